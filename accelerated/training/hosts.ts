/** Hosts of an assembly: the base model, the adapted model, and their forward passes as an objective asks for them. */
import type { Expression } from '../graph/expression.js'
import { SettingsError } from '../errors/expectedErrors.js'
import type { BatchInputs } from '../models/batchInputs.js'
import { plainHost, trainedOrFrozen, type Host, type TensorSource, type Wrap } from '../models/host.js'
import type { Forward, Forwards, ModelOutput } from '../objectives/objective.js'
import type { Assembly } from './assembly.js'

/** The model in the run's precision, without the method: on the trained tensors where they exist, else on the frozen ones. */
const modelHost = ({ frozen, precision, model }: Assembly, trained: ReadonlyMap<string, Expression> = new Map()): Host =>
  precision.wrap(plainHost(trainedOrFrozen(trained, frozen), (name) => trained.has(name) || model.spec.tensors.has(name)))

/** The adapted model. @param wrapModel what training wraps the model in before the method does: dropout and gradient checkpointing */
export const adaptedHost = (
  assembly: Assembly,
  phase: unknown,
  trained: ReadonlyMap<string, Expression>,
  wrapModel: Wrap = (host) => host,
): Host => assembly.method.train.wrap(phase, assembly.settings, trainedTensor(trained))(wrapModel(modelHost(assembly, trained)))

/** Forward passes of the adapted and of the base model. */
export const buildForwards = (assembly: Assembly, adapted: Host): Forwards => ({
  forward: forwardOn(assembly, () => adapted),
  baseForward: forwardOn(assembly, () => {
    const { method, settings } = assembly
    if (method.train.virtualTokens !== undefined && method.train.virtualTokens(settings).count > 0)
      throw new SettingsError('method', 'a method without virtual tokens, since this objective compares with the base model', method.name)
    const base = modelHost(assembly)
    return method.train.baseWrap?.(base) ?? base
  }),
})

/** One forward pass for each batch, even if called repeatedly: a dropout site may occur only once in a graph. */
const forwardOn = ({ model, precision }: Assembly, makeHost: () => Host): Forward => {
  const outputs = new Map<BatchInputs, ModelOutput>()
  return (batch) => {
    const cached = outputs.get(batch)
    if (cached !== undefined) return cached
    const host = makeHost()
    const output = { hidden: model.hidden(host, batch), host, dtype: precision.dtype }
    outputs.set(batch, output)
    return output
  }
}

/** @returns the trained tensor of a name, for the method's own tensors */
export const trainedTensor =
  (trained: ReadonlyMap<string, Expression>): TensorSource =>
  (name) => {
    const tensor = trained.get(name)
    if (tensor === undefined) throw new Error(`trainedTensor: expected one of ${[...trained.keys()].slice(0, 20).join(', ')}, got ${name}`)
    return tensor
  }
