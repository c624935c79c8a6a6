/** The life of a run: plain steps, gated steps, retention, plain steps on what was retained, and the logits of what is handed over. */
import { parameterLayout, tensorOf } from '../../accelerated/training/parameterVector.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import type { AdaptedModule } from '../../accelerated/methods/salora/salora.js'
import { saloraTrainables } from '../../accelerated/methods/salora/salora.js'
import { closeGates, deterministicParameters, openGates, type RunState } from '../../accelerated/training/runState.js'
import {
  density,
  deterministicGate,
  encoder,
  mergeAdapters,
  pruneState,
  scaleOf,
  type PruneSettings,
  type Tensors,
  type TrainingState,
} from '../../reference/index.js'
import { boundOf } from './bounds.js'
import { compareStates } from './compareSteps.js'
import type { Model } from './model.js'
import type { Row } from './rows.js'
import { compare } from './rows.js'
import type { Reached, Target } from './segment.js'
import { advance, layoutFor, startOfRun } from './segment.js'
import { constants, toExamples } from './translate.js'

export type RunRules = Pick<PruneSettings, 'retain' | 'gateAfter'> & { readonly density: number }

export const compareRun = async (model: Model, target: Target, rules: RunRules, number = 0): Promise<ReadonlyArray<Row>> => {
  const { config, settings } = model
  const bound = boundOf(target.device, target.dtype)
  const row = compare('run', bound, number)
  const compareLogits = compare('adapter', bound, number)

  const plain = await advance(model, target, startOfRun(model, target.dtype), 'open', 3)
  const opened = { reference: plain.reference, accelerated: openGates(config, plain.accelerated, settings, 0, target.dtype) }
  const gated = await advance(model, target, opened, 'sampled', 4)
  const [pruned, { retained, retainedDensity }] = pruneState({ ...settings, ...rules, targetDensity: rules.density })(gated.reference)
  const closed = closeGates(config, gated.accelerated, { ...settings, ...rules }, target.dtype)
  const ranks = Object.keys(retained).map((name) => closed.retained?.ranks[name] ?? NaN)
  const after = await advance(model, target, { reference: pruned, accelerated: closed }, 'open', 3)

  const gates = gatesWithoutNoise(model, gated.reference)
  const soft = await logitsOf(model, target, gated.accelerated.modules, {
    ...gated.accelerated,
    gating: 'open',
    parameters: deterministicParameters(config, gated.accelerated, settings, target.dtype),
  })
  const ungated = await logitsOf(model, target, after.accelerated.modules, after.accelerated)
  const merged = mergeAdapters(scaleOf(settings))({ base: model.base, adapters: after.reference.adapters, gates: {} })
  const mergedLogits = await logitsOf({ ...model, base: merged }, target, [], headOnly(model, after))
  const expectedPruned = referenceLogits(model, after.reference, {})
  return [
    ...compareStates(model, target, gated, 'run', number),
    row('expected density', [density(settings)(gated.reference.adapters)], [closed.retained?.expectedDensity ?? NaN]),
    row('retained density', [retainedDensity], [closed.retained?.retainedDensity ?? NaN]),
    row(
      'retained ranks',
      Object.values(retained).map(({ length }) => length),
      ranks,
    ),
    ...compareStates(model, target, after, 'run', number).map((compared) => ({ ...compared, quantity: `pruned ${compared.quantity}` })),
    compareLogits('logits with ĝ', referenceLogits(model, gated.reference, gates), soft),
    compareLogits('logits after pruning', expectedPruned, ungated),
    compareLogits('logits of the merged model', expectedPruned, mergedLogits),
  ]
}

const gatesWithoutNoise = ({ settings }: Model, { adapters }: TrainingState): Tensors =>
  Object.fromEntries(Object.entries(adapters).map(([name, { logTheta }]) => [name, deterministicGate(settings)(logTheta)]))

const referenceLogits = ({ config, settings, base, batch }: Model, { adapters, head }: TrainingState, gates: Tensors): Float64Array =>
  encoder(config, { scale: scaleOf(settings) })({ base, adapters, head, gates }, batch).logits.data

/** By the path that evaluation and prediction take, in batches of two. */
const logitsOf = async (
  model: Model,
  target: Target,
  modules: ReadonlyArray<AdaptedModule>,
  { parameters }: Pick<RunState, 'parameters' | 'gating'>,
): Promise<ReadonlyArray<number>> => {
  const { config, settings } = model
  const session = { device: target.device, threads: 1, weightFiles: [] }
  const predictor = await openPredictor(
    { config, frozen: constants(model.base, target.dtype), session, scale: scaleOf(settings), dtype: target.dtype },
    modules,
  )
  return (await predictor.predict(parameters, toExamples(model.batch), 2).finally(predictor.release)).flat()
}

/** The parameters of a model without adapters. */
const headOnly = (model: Model, { accelerated }: Reached): Pick<RunState, 'parameters' | 'gating'> => {
  const [from, to] = [layoutFor(model, accelerated.modules, 'open'), parameterLayout(saloraTrainables(model.config, [], 'open'))]
  const parameters = accelerated.parameters.slice(0, to.size)
  to.entries.forEach(({ name, offset }) => parameters.set(tensorOf(from, accelerated.parameters, name), offset))
  return { parameters, gating: 'open' }
}
