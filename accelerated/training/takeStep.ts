/** One step of a run: its noise, its scalars and its batches as feeds, the phase's graph, and what comes back. */
import type { EncoderConfig } from '../models/encoderConfig.js'
import type { Feeds } from '../runtime/feeds.js'
import { floatFeed, scalarFeed } from '../runtime/feeds.js'
import { gateAdam, gateControl } from '../methods/salora/gateControl.js'
import type { Vector } from './parameterVector.js'
import { uniforms } from './random.js'
import type { Settings } from '../settings.js'
import { adamw } from './adamwDefaults.js'
import { dropoutOffsets } from './dropoutFeeds.js'
import type { PhaseGraphs } from './phaseGraphs.js'
import type { RunState } from './runState.js'
import type { GateSteps } from './schedule.js'
import type { LabelledExample, Results } from './trainFeeds.js'
import { batchFeeds, stateFeeds } from './trainFeeds.js'

/** What does not change from step to step. */
export type StepContext = {
  readonly config: EncoderConfig
  readonly settings: Settings
  readonly training: ReadonlyArray<LabelledExample>
  readonly gates: GateSteps
}
export type StepOutcome = { readonly results: Results; readonly tokens: number; readonly loss: number; readonly taskLoss: number }

/** `parts` are the rows of each accumulated batch: all but the last only add their gradients. */
export const takeStep = async (
  context: StepContext,
  graphs: PhaseGraphs,
  state: RunState,
  learningRate: number,
  parts: ReadonlyArray<ReadonlyArray<number>>,
): Promise<StepOutcome> => {
  const { config, settings, training } = context
  const dtype = settings.precision
  const fixed: Feeds = {
    ...stateFeeds(state, dtype),
    ...weightFeeds(settings, state, learningRate),
    ...(state.gating === 'sampled' ? gateFeeds(context, state) : {}),
    ...graphs.pools,
  }
  const examples = parts.reduce((sum, part) => sum + part.length, 0)
  const size = graphs.layout.size
  let gradientSum = floatFeed(new Float32Array(graphs.add === null ? 0 : size), [size], dtype)
  let outcome: StepOutcome = { results: {}, tokens: 0, loss: 0, taskLoss: 0 }
  for (const [i, part] of parts.entries()) {
    const batch = batchFeeds(
      config,
      part.map((row) => training[row] as LabelledExample),
      examples,
      dtype,
    )
    const offsets = dropoutOffsets(settings.seed, state.step * settings.accumulate + i, graphs.sites, graphs.pools, batch.dimensions)
    const isLast = i === parts.length - 1
    const results = await (isLast ? graphs.update : (graphs.add ?? graphs.update)).run({
      ...fixed,
      ...batch.feeds,
      ...offsets,
      gradientSum,
    })
    if (!isLast) gradientSum = floatFeed(results['nextGradientSum'] as Vector, [size], dtype)
    outcome = {
      results,
      tokens: outcome.tokens + batch.tokens,
      loss: outcome.loss + (scalarOf(results['loss']) ?? NaN),
      taskLoss: outcome.taskLoss + (scalarOf(results['taskLoss']) ?? NaN),
    }
  }
  return outcome
}

/** η_p and the bias corrections of W, whose steps are counted from 1. */
const weightFeeds = ({ precision }: Settings, { step }: RunState, learningRate: number): Feeds => ({
  learningRate: scalarFeed(learningRate, precision),
  correction1: scalarFeed(1 - adamw.beta1 ** (step + 1), precision),
  correction2: scalarFeed(1 - adamw.beta2 ** (step + 1), precision),
})

/** Noise of this step and the controller's scalars; its counter is that of the gated steps. */
const gateFeeds = ({ settings, gates }: StepContext, { modules, step, gatedStep, initialDensity }: RunState): Feeds => {
  const dtype = settings.precision
  const count = modules.reduce((sum, { r }) => sum + r, 0)
  const t = gatedStep + 1
  const control = gateControl({
    steps: gates === null ? 1 : gates.end - gates.start,
    gates: count,
    initialDensity: initialDensity ?? NaN,
    targetDensity: settings.density,
    controlLearningRate: settings.controlLearningRate,
  })(t)
  return {
    u: floatFeed(uniforms(settings.seed, 'gates', step, count), [count], dtype),
    targetDensity: scalarFeed(control.targetDensity, dtype),
    controlLearningRate: scalarFeed(control.controlLearningRate, dtype),
    // 'sgd' is Algorithm 1 to the letter: η_c times the plain gradient, whether or not that reaches b.
    multiplierLearningRate: scalarFeed(
      settings.lambdaOptimizer === 'sgd' ? settings.controlLearningRate : control.multiplierLearningRate,
      dtype,
    ),
    gateCorrection1: scalarFeed(1 - gateAdam.beta1 ** t, dtype),
    gateCorrection2: scalarFeed(1 - gateAdam.beta2 ** t, dtype),
    multiplierCorrection1: scalarFeed(1 - adamw.beta1 ** t, dtype),
    multiplierCorrection2: scalarFeed(1 - adamw.beta2 ** t, dtype),
  }
}

/** The one number of a scalar output; null where the graph has no such output. */
export const scalarOf = (values: ArrayLike<number | bigint> | undefined): number | null => (values === undefined ? null : Number(values[0]))
