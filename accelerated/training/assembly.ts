/** The assembly of a graph: a model on a host that precision, dropout and method wrap, under an objective. Training, prediction, benchmark and every comparison go through here. */
import type { Expression, FloatType } from '../graph/expression.js'
import { add, input, mul } from '../graph/operators.js'
import type { CommonSettings } from '../settings/commonSettings.js'
import { weightGroupsOf } from '../settings/commonSettings.js'
import type { Method } from '../methods/method.js'
import type { Model } from '../models/architecture.js'
import type { BatchInputs, PaddedInputs } from '../models/batchInputs.js'
import { batchInputs } from '../models/batchInputs.js'
import { plainHost, trainedOrFrozen, type Host, type TensorSource } from '../models/host.js'
import { pooledDropout, type DropoutSite } from '../models/layers/dropout.js'
import { checkpointedLayers } from '../models/layers/recomputed.js'
import type { Objective } from '../objectives/objective.js'
import type { Precision } from '../precisions/precision.js'
import { parameterLayout, splitBlock, type ParameterLayout } from '../parameters/layout.js'
import { trainingStep, type Accumulation, type Loss } from './step.js'
import { blockInput } from '../parameters/layout.js'

/** All that a graph is made of, but for the phase of the method. */
export type Assembly = {
  readonly model: Model
  /** the model's frozen tensors, in the precision's dtype */
  readonly frozen: TensorSource
  readonly method: Method
  readonly settings: CommonSettings
  readonly objective: Pick<Objective, 'tensors' | 'loss' | 'outputs' | 'dimensions'>
  readonly precision: Precision
}

/** An assembly of these parts: the model has the settings' dropout, and the objective that model. */
export const assemble = <O extends Assembly['objective']>(
  { model, ...parts }: Omit<Assembly, 'objective'>,
  objectiveOf: (model: Model) => O,
): Omit<Assembly, 'objective'> & { readonly objective: O } => {
  const own = parts.settings.dropout === null ? model : model.withDropout(parts.settings.dropout)
  return { ...parts, model: own, objective: objectiveOf(own) }
}

/** What is trained in a phase: the method's tensors, and the head's. */
export const layoutOf = (
  { method, settings, objective }: Pick<Assembly, 'method' | 'settings' | 'objective'>,
  phase: unknown,
): ParameterLayout => parameterLayout([...method.tensors(phase, settings), ...objective.tensors(weightGroupsOf(settings))])

export type StepGraph = {
  readonly layout: ParameterLayout
  readonly outputs: Readonly<Record<string, Expression>>
  readonly sites: ReadonlyArray<DropoutSite>
}

/** The graph of a step in this phase. `more` adds outputs to what it reports. */
export const stepGraph = (
  assembly: Assembly,
  phase: unknown,
  accumulation: Accumulation,
  more: (parameter: TensorSource) => Readonly<Record<string, Expression>> = () => ({}),
): StepGraph => {
  const { model, method, settings, objective, precision } = assembly
  const { dtype } = precision
  const layout = layoutOf(assembly, phase)
  const plan = pooledDropout(dtype)
  const loss: Loss = (parameters) => {
    const parameter = trainedTensor(parameters)
    const plain = plan.wrap(baseHost(assembly, parameters))
    const host = method.wrap(phase, settings, parameter)(settings.gradientCheckpointing ? checkpointedLayers(plain) : plain)
    const taskLoss = objective.loss(model.hidden(host, batchInputs(dtype)), host, dtype)
    const penalty = method.penalty?.(phase, settings, parameter) ?? null
    // A part of an accumulated batch carries its share of what does not depend on the batch, so that the parts add up to one step.
    const share = (x: Expression): Expression => (accumulation === 'whole' ? x : mul(x, input('batchShare', [], dtype)))
    return {
      loss: penalty === null ? taskLoss : add(taskLoss, share(penalty.value)),
      report: { taskLoss, ...penalty?.report, ...more(parameter) },
    }
  }
  const memory = method.memory?.(phase, settings) ?? null
  const outputs = trainingStep(layout, loss, { clip: settings.maxGradNorm, memory }, accumulation, dtype)
  return { layout, outputs, sites: plan.sites() }
}

/** The graph of inference in a phase without randomness: parameters in, no dropout, the objective's outputs. */
export const inferenceGraph = (assembly: Assembly, phase: unknown): Readonly<Record<string, Expression>> => {
  const { dtype } = assembly.precision
  return outputsOn(assembly, phase, parameterInputs(layoutOf(assembly, phase), dtype), batchInputs(dtype))
}

/** The trained tensors by name, as parts of the vectors that each run is fed. */
export const parameterInputs = ({ blocks }: ParameterLayout, dtype: FloatType): ReadonlyMap<string, Expression> =>
  new Map(blocks.flatMap((block) => splitBlock(block, input(blockInput('parameters', block), [block.size], dtype))))

/** The objective's outputs on given tensors and inputs. */
export const outputsOn = (
  assembly: Assembly,
  phase: unknown,
  parameters: ReadonlyMap<string, Expression>,
  batch: BatchInputs | PaddedInputs,
): Readonly<Record<string, Expression>> => {
  const { model, objective } = assembly
  const host = hostOn(assembly, phase, parameters)
  return objective.outputs(model.hidden(host, batch), host)
}

/** What the model asks where nothing is dropped: precision and method on given tensors. */
export const hostOn = (assembly: Assembly, phase: unknown, parameters: ReadonlyMap<string, Expression>): Host =>
  assembly.method.wrap(phase, assembly.settings, trainedTensor(parameters))(baseHost(assembly, parameters))

const baseHost = ({ frozen, precision, model }: Assembly, parameters: ReadonlyMap<string, Expression>): Host =>
  precision.wrap(plainHost(trainedOrFrozen(parameters, frozen), (name) => parameters.has(name) || model.spec.tensors.has(name)))

const trainedTensor =
  (parameters: ReadonlyMap<string, Expression>): TensorSource =>
  (name) => {
    const tensor = parameters.get(name)
    if (tensor === undefined)
      throw new Error(`assembly: expected ${name} among the trained tensors, got ${[...parameters.keys()].slice(0, 20).join(', ')}`)
    return tensor
  }
