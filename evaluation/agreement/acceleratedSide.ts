/** The accelerated path's side of a comparison: a small model's assembly, phases, step graph, feeds and state. */
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { SaloraPhase } from '../../accelerated/methods/salora/phase.js'
import { salora } from '../../accelerated/methods/salora/salora.js'
import type { Model as AcceleratedModel } from '../../accelerated/models/architecture.js'
import { encoderModel } from '../../accelerated/models/bert/bert.js'
import { gemma2 } from '../../accelerated/models/gemma/gemma.js'
import { llama, type DecoderConfig as AcceleratedConfig } from '../../accelerated/models/llama/family.js'
import { decoderModel } from '../../accelerated/models/llama/llama.js'
import type { TensorSource } from '../../accelerated/models/host.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import type { Objective } from '../../accelerated/objectives/objective.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { tokenClassification } from '../../finetuning/tasks/tokenClassification/objective.js'
import { type Results, type Session, noWeights } from '../../accelerated/engines/engine.js'
import type { Feeds } from '../../accelerated/engines/feeds.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { buildLayout, type Assembly } from '../../accelerated/training/assembly.js'
import { stepGraph, type StepGraph, type Accumulation } from '../../accelerated/training/stepGraph.js'
import type { ParameterLayout } from '../../accelerated/parameters/layout.js'
import { zeros, mapVectors, namedVectors } from '../../accelerated/parameters/vectors.js'
import { collect, blockFeeds, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import { adaptedShapes, type DecoderConfig, type Gating, type ModelConfig, type Noise, type TrainingState } from '../../reference/index.js'
import { roundedOperands } from './int8Rounding.js'
import type { Model } from './drawModel.js'
import {
  dropoutFeeds,
  frozenTensors,
  gateVector,
  headOutputs,
  scalarFeeds,
  toExamples,
  toTaggedExamples,
  toTexts,
  toVector,
} from './convert.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import type { Device } from '../../accelerated/engines/devices/device.js'

/** Any model that both derivations have. */
export type AnyModel = Model<ModelConfig>

const modelIn = ({ config }: AnyModel): AcceleratedModel => {
  if (config.family !== 'decoder') return encoderModel({ ...config, embeddingSize: config.hiddenSize })
  return decoderModel(decoderSizes(config))
}

/** A reference decoder as the accelerated one takes it. */
export const decoderSizes = ({ family: _, taskType: __, outputNorms, ...same }: DecoderConfig): AcceleratedConfig => {
  const { norms } = outputNorms ? gemma2 : llama
  return { ...same, norms, maxPositions: 1_000, paddingIndex: 0, attentionDropout: 0 }
}

/** SaLoRA on the accelerated path, with the model's settings. */
export const buildAssembly = (model: AnyModel, precision: string): Assembly => {
  const accelerated = modelIn(model)
  return {
    model: accelerated,
    frozen: frozenTensors(model.base, accelerated.spec, findPrecision(precision)),
    method: salora,
    settings: toSettings(model),
    objective: chooseObjective(model, accelerated).objective,
    precision: findPrecision(precision),
  }
}

/** The objective, and the examples of the batch as it reads them. */
const chooseObjective = (
  { config, batch }: AnyModel,
  accelerated: AcceleratedModel,
): { objective: Objective<never>; examples: readonly unknown[] } => {
  if (config.taskType === 'causal') return { objective: causalLM(accelerated), examples: toTexts(batch) }
  return config.taskType === 'tokens'
    ? { objective: tokenClassification(accelerated, config), examples: toTaggedExamples(batch) }
    : { objective: sequenceClassification(accelerated, headOutputs(config)), examples: toExamples(batch) }
}

/** The optimizer's constants are fed, so they are no settings here. */
const toSettings = ({ settings, parameters }: AnyModel) => {
  const { alpha, clip, beta1, beta2, epsilon, gateAdam, loraPlusRatio, control: rule, ...same } = settings
  const control = toControl(rule, parameters.lambda)
  return resolveSettings({
    ...same,
    control,
    method: 'salora',
    loraAlpha: alpha,
    maxGradNorm: clip ?? null,
    loraplusLrRatio: loraPlusRatio,
  })
}

/** The reference's rule as a setting: a constant λ is the value of `control`. */
export const toControl = (rule: AnyModel['settings']['control'], lambda: number) => (rule === 'constant' ? lambda : rule)

export const listMatrices = ({ config }: AnyModel, adapters: TrainingState['adapters']): SaloraPhase['matrices'] => {
  const shapes = adaptedShapes(config)
  return Object.entries(adapters).map(([name, { logTheta }]) => {
    const [d, k] = shapes[name] ?? [NaN, NaN]
    return { name, d, k, r: logTheta.data.length }
  })
}

/** Before the window, or in it. */
export const buildPhase = (model: AnyModel, adapters: TrainingState['adapters'], gating: Gating): SaloraPhase => ({
  stage: gating === 'sampled' ? 'gated' : 'before',
  matrices: listMatrices(model, adapters),
  opened: gating === 'sampled' ? { step: 0, density: NaN } : null,
  retained: null,
  gates: null,
  squaredNorms: null,
})

/** The phase of an accelerated state of SaLoRA. */
export const phaseIn = ({ phase }: Pick<RunState, 'phase'>): SaloraPhase => phase as SaloraPhase

export const layoutFor = (model: AnyModel, phase: SaloraPhase): ParameterLayout => buildLayout(buildAssembly(model, 'float64'), phase)

/** The production graph of one step; `more` adds outputs to what it reports, and a graph that rounds also outputs its rounded operands. */
export const stepOutputs = (
  model: AnyModel,
  phase: SaloraPhase,
  accumulation: Accumulation,
  precision: string,
  more?: (parameter: TensorSource) => StepGraph['outputs'],
): StepGraph => {
  const assembly = buildAssembly(model, precision)
  const graph = stepGraph(assembly, phase, accumulation, more)
  return { ...graph, outputs: withLevels(assembly, graph.outputs) }
}

/** The outputs of a graph, and what it rounded. */
export const withLevels = (assembly: Assembly, outputs: StepGraph['outputs']): StepGraph['outputs'] => ({
  ...outputs,
  ...roundedOperands(outputs, assembly.frozen, matrixNames(assembly)),
})

export const matrixNames = ({ model }: Pick<Assembly, 'model'>): readonly string[] => model.spec.matrices.map(({ name }) => name)

export const openStep = (
  model: AnyModel,
  phase: SaloraPhase,
  accumulation: Accumulation,
  target: Target,
  more?: (parameter: TensorSource) => StepGraph['outputs'],
): Promise<Session> => openRuntime(target).engine.open(stepOutputs(model, phase, accumulation, target.precision, more).outputs, noWeights)

/** Everything that step t is fed but the state. */
export const buildFeeds = (
  model: AnyModel,
  phase: SaloraPhase,
  noise: Noise,
  step: number,
  gatedStep: number,
  precision: string,
): Feeds => {
  const { dtype } = findPrecision(precision)
  const u = gateVector(phase.matrices, noise.gates)
  const assembly = buildAssembly(model, precision)
  const layout = buildLayout(assembly, phase)
  const { objective, examples } = chooseObjective(model, assembly.model)
  const prepared = objective.prepare(examples as readonly never[], { seed: 0, step: 0 })
  return {
    ...batchFeeds(assembly, prepared, prepared.weight).feeds,
    ...dropoutFeeds(stepGraph(assembly, phase, 'whole').sites, noise.dropout, dtype),
    ...scalarFeeds(model.control, model.settings, step, Math.max(1, gatedStep), dtype),
    u: { data: dtype === 'float64' ? Float64Array.from(u) : Float32Array.from(u), shape: [u.length] },
    ...blockFeeds(layout, 'gradientSum', zeros(layout.size, dtype), dtype),
  }
}

/** Runs one step's graph on a state: → the next one, and what the step reported. */
export const runStep = async (
  session: Session,
  layout: ParameterLayout,
  state: RunState,
  feeds: Feeds,
  dtype: FloatType,
): Promise<{ readonly state: RunState; readonly results: Results }> => {
  const room = mapVectors(state, () => zeros(layout.size, dtype))
  const results = await session.run({ ...feeds, ...stateFeeds(layout, state, dtype) }, resultsInto(layout, namedVectors(room)))
  collect(layout, namedVectors(room), results)
  return { state: { ...state, ...room, step: state.step + 1 }, results }
}

/** The accelerated state before any step, at the reference's parameters. */
export const buildInitialState = (model: AnyModel, gating: Gating, dtype: FloatType): RunState => {
  const phase = buildPhase(model, model.parameters.adapters, gating)
  const layout = layoutFor(model, phase)
  return {
    step: 0,
    phase,
    parameters: toVector(layout, model.parameters, dtype),
    firstMoment: zeros(layout.size, dtype),
    secondMoment: zeros(layout.size, dtype),
    memory: {},
  }
}

/** The device and precision of the accelerated path. */
export type Target = { readonly device: string; readonly precision: string }

/** How far the accelerated path may lie from the reference there. */
export const boundIn = ({ device, precision }: Target): number => {
  const { dtype, exactAs = dtype } = findPrecision(precision)
  return findBound(device, exactAs)
}

export const findDtype = ({ precision }: Pick<Target, 'precision'>): FloatType => findPrecision(precision).dtype

/** Tiny graphs: more threads would only wait for each other. */
export const openRuntime = ({ device }: Target) => ({ engine: findDevice(device).engine({ threads: 1 }), weights: noWeights })

// How far the accelerated path may lie from the reference: each device says so itself. Bounds are shares of the largest |reference| of a tensor.
/** @throws if a device does not compute in that dtype: only the CPU provider does in float64 */
export const findBound = (device: string, dtype: keyof Device['tolerances']): number => {
  const tolerance = findDevice(device).tolerances[dtype]
  if (tolerance === undefined) throw new Error(`findBound: expected a device that computes in ${dtype}, got ${device}`)
  return tolerance.relative
}
