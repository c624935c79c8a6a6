/** A stretch of training steps with one kind of gating, done by both derivations from the same state, batch and noise. */
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { SaloraPhase } from '../../accelerated/methods/salora/phase.js'
import { salora } from '../../accelerated/methods/salora/salora.js'
import type { Model as AcceleratedModel } from '../../accelerated/models/architecture.js'
import { encoderModel } from '../../accelerated/models/bert/bert.js'
import { decoderModel } from '../../accelerated/models/llama/llama.js'
import type { TensorSource } from '../../accelerated/models/host.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import type { Prepared } from '../../accelerated/objectives/objective.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { deviceOf } from '../../accelerated/engines/deviceProbe.js'
import type { Results, Session } from '../../accelerated/engines/engine.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import type { Feeds } from '../../accelerated/engines/feeds.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { resolveSettings } from '../../accelerated/training/settings.js'
import { layoutOf, type Assembly } from '../../accelerated/training/assembly.js'
import { stepGraph, type StepGraph } from '../../accelerated/training/stepGraph.js'
import type { ParameterLayout } from '../../accelerated/parameters/layout.js'
import { zeros } from '../../accelerated/parameters/vectors.js'
import { collect, blockFeeds, resultsInto, stateFeeds } from '../../accelerated/training/stateBuffers.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { mapVectors, namedVectors } from '../../accelerated/parameters/vectors.js'
import type { Accumulation } from '../../accelerated/training/stepGraph.js'
import { batchFeeds } from '../../accelerated/training/batchFeeds.js'
import {
  adaptedShapes,
  startFrom,
  trainingStep,
  zerosLike,
  type Gating,
  type ModelConfig,
  type Noise,
  type StepReport,
  type TrainingState,
} from '../../reference/index.js'
import { boundOf } from './bounds.js'
import { follow, overall, roundedOperands, type Followed, type RoundedLevels } from './int8Rounding.js'
import type { Model } from './model.js'
import { dropoutFeeds, frozenTensors, gateVector, headOutputs, scalarFeeds, toExamples, toTexts, toVector } from './convert.js'

/** Where and in what the accelerated path computes. */
export type Target = { readonly device: string; readonly precision: string }

/** How far the accelerated path may lie from the reference there. */
export const boundIn = ({ device, precision }: Target): number => {
  const { dtype, exactAs = dtype } = precisionOf(precision)
  return boundOf(device, exactAs)
}

export const dtypeOf = ({ precision }: Pick<Target, 'precision'>): FloatType => precisionOf(precision).dtype

/** Tiny graphs: more threads would only wait for each other. */
export const runtimeOf = ({ device }: Target) => ({ engine: deviceOf(device).engine({ threads: 1 }), weights: noWeights })

/** Any model that both derivations have. */
type AnyModel = Model<ModelConfig>

const modelIn = ({ config }: AnyModel): AcceleratedModel => {
  if (config.family !== 'decoder') return encoderModel({ ...config, embeddingSize: config.hiddenSize })
  const { window, layers, ...same } = config
  const windows = Array.from({ length: layers }, () => window)
  return decoderModel({ ...same, family: 'llama', layers, windows, maxPositions: 1_000, paddingIndex: 0, attentionDropout: 0 })
}

/** SaLoRA on the accelerated path, with the model's settings. */
export const assemblyOf = (model: AnyModel, precision: string): Assembly => {
  const { config, settings } = model
  const accelerated = modelIn(model)
  return {
    model: accelerated,
    frozen: frozenTensors(model.base, accelerated.spec, precisionOf(precision)),
    method: salora,
    settings: settingsOf(settings),
    objective: config.taskType === 'causal' ? causalLM(accelerated) : sequenceClassification(accelerated, headOutputs(config)),
    precision: precisionOf(precision),
  }
}

/** The batch as the objective prepares it. */
const preparedBatch = ({ config, batch }: AnyModel, accelerated: AcceleratedModel): Prepared<unknown> => {
  const draw = { seed: 0, step: 0 }
  return config.taskType === 'causal'
    ? causalLM(accelerated).prepare(toTexts(batch), draw)
    : sequenceClassification(accelerated, headOutputs(config)).prepare(toExamples(batch), draw)
}

const settingsOf = ({
  rank,
  alpha,
  tau,
  gamma,
  zeta,
  beta,
  orthogonality,
  orthogonalityAfter,
  control,
  clip,
  weightDecay,
}: AnyModel['settings']) =>
  resolveSettings({
    rank,
    loraAlpha: alpha,
    tau,
    gamma,
    zeta,
    beta,
    orthogonality,
    orthogonalityAfter,
    control,
    maxGradNorm: clip ?? null,
    weightDecay,
  })

export const matricesOf = ({ config }: AnyModel, adapters: TrainingState['adapters']): SaloraPhase['matrices'] => {
  const shapes = adaptedShapes(config)
  return Object.entries(adapters).map(([name, { logTheta }]) => {
    const [d, k] = shapes[name] ?? [NaN, NaN]
    return { name, d, k, r: logTheta.data.length }
  })
}

/** Before the window, or in it. */
export const phaseOf = (model: AnyModel, adapters: TrainingState['adapters'], gating: Gating): SaloraPhase => ({
  stage: gating === 'sampled' ? 'gated' : 'before',
  matrices: matricesOf(model, adapters),
  opened: gating === 'sampled' ? { step: 0, density: NaN } : null,
  retained: null,
  gates: null,
  squaredNorms: null,
})

/** The phase of an accelerated state of SaLoRA. */
export const phaseIn = ({ phase }: Pick<RunState, 'phase'>): SaloraPhase => phase as SaloraPhase

export const layoutFor = (model: AnyModel, phase: SaloraPhase): ParameterLayout => layoutOf(assemblyOf(model, 'float64'), phase)

/** The production graph of one step; `more` adds outputs to what it reports, and a graph that rounds also outputs its rounded operands. */
export const stepOutputs = (
  model: AnyModel,
  phase: SaloraPhase,
  accumulation: Accumulation,
  precision: string,
  more?: (parameter: TensorSource) => StepGraph['outputs'],
): StepGraph => {
  const assembly = assemblyOf(model, precision)
  const graph = stepGraph(assembly, phase, accumulation, more)
  return { ...graph, outputs: withLevels(assembly, graph.outputs) }
}

/** The outputs of a graph, and what it rounded. */
export const withLevels = (assembly: Assembly, outputs: StepGraph['outputs']): StepGraph['outputs'] => ({
  ...outputs,
  ...roundedOperands(outputs, assembly.frozen, matrixNames(assembly)),
})

const matrixNames = ({ model }: Pick<Assembly, 'model'>): ReadonlyArray<string> => model.spec.matrices.map(({ name }) => name)

export const openStep = (
  model: AnyModel,
  phase: SaloraPhase,
  accumulation: Accumulation,
  target: Target,
  more?: (parameter: TensorSource) => StepGraph['outputs'],
): Promise<Session> => runtimeOf(target).engine.open(stepOutputs(model, phase, accumulation, target.precision, more).outputs, noWeights)

/** Everything that step t is fed but the state. */
export const feedsOf = (model: AnyModel, phase: SaloraPhase, noise: Noise, step: number, gatedStep: number, precision: string): Feeds => {
  const { dtype } = precisionOf(precision)
  const u = gateVector(phase.matrices, noise.gates)
  const assembly = assemblyOf(model, precision)
  const layout = layoutOf(assembly, phase)
  const prepared = preparedBatch(model, assembly.model)
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
export const startOf = (model: AnyModel, gating: Gating, dtype: FloatType): RunState => {
  const phase = phaseOf(model, model.parameters.adapters, gating)
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

export type LockstepResult = {
  readonly reference: TrainingState
  readonly accelerated: RunState
  /** of the last step */
  readonly report: StepReport
  readonly results: Results
  /** of all steps */
  readonly levels: ReadonlyArray<RoundedLevels>
}

/** The reference's side of a step that had these results, or of runs on one part of a batch after another. */
export const followStep = (model: AnyModel, target: Target, results: ReadonlyArray<Results>): Followed => {
  const assembly = assemblyOf(model, target.precision)
  return follow(assembly.frozen, matrixNames(assembly), results, boundIn(target))
}

/** Both derivations `steps` steps on. The noise is placed by the reference's log θ and given to both. */
export const advance = async (
  model: AnyModel,
  target: Target,
  start: Pick<LockstepResult, 'reference' | 'accelerated'>,
  gating: Gating,
  steps: number,
): Promise<LockstepResult> => {
  const phase = phaseIn(start.accelerated)
  const layout = layoutFor(model, phase)
  const dtype = dtypeOf(target)
  const session = await openStep(model, phase, 'whole', target)
  const levels: ReadonlyArray<RoundedLevels>[] = []
  let [reached, report, results] = [start, undefined as StepReport | undefined, {} as Results]
  try {
    for (let i = 0; i < steps; i++) {
      const { reference, accelerated } = reached
      const noise = model.noiseAt(reference.adapters, reference.step)
      const gatedStep = reference.gatedStep + (gating === 'sampled' ? 1 : 0)
      const feeds = feedsOf(model, phase, noise, reference.step + 1, gatedStep, target.precision)
      const stepped = await runStep(session, layout, accelerated, feeds, dtype)
      results = stepped.results
      const followed = followStep(model, target, [results])
      const step = trainingStep(model.config, model.settings, model.base, followed)
      const [next, reported] = step(reference, model.batch, noise, { ...model.control, gating })
      levels.push(followed.levels())
      report = reported
      reached = { reference: next, accelerated: stepped.state }
    }
  } finally {
    await session.release()
  }
  if (report === undefined) throw new Error(`advance: expected at least one step, got ${steps}`)
  return { ...reached, report, results, levels: overall(levels) }
}

export const startOfBoth = (model: AnyModel, gating: Gating, dtype: FloatType): Pick<LockstepResult, 'reference' | 'accelerated'> => ({
  reference: startFrom(model.parameters),
  accelerated: startOf(model, gating, dtype),
})

/** Before T_start: log θ = 0 and λ = 0, as a run's gates will start. */
export const startOfRun = (model: AnyModel, dtype: FloatType): Pick<LockstepResult, 'reference' | 'accelerated'> => {
  const { reference, accelerated } = startOfBoth(model, 'open', dtype)
  const adapters = Object.fromEntries(
    Object.entries(reference.adapters).map(([name, adapter]) => [name, { ...adapter, logTheta: zerosLike(adapter.logTheta) }]),
  )
  return { reference: { ...reference, adapters, lambda: 0 }, accelerated }
}
