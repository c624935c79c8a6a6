/** One step of a run: its scalars, its noise and its batches as feeds, the phase's graph, and the next state. */
import { adamOf } from '../settings/commonSettings.js'
import type { FloatType } from '../graph/expression.js'
import type { Controls, TrainingProgress } from '../methods/method.js'
import type { Objective, TrainingExample } from '../objectives/objective.js'
import type { Results } from '../engines/engine.js'
import { floatFeed, scalarFeed, type Feeds } from '../engines/feeds.js'
import { correctionNames } from '../parameters/optimizerGroup.js'
import type { RunState } from '../parameters/runState.js'
import { namedVectors, zeros, type Vector } from '../parameters/vectors.js'
import type { Assembly } from './assembly.js'
import { batchFeeds, dimensionsOf } from './batchFeeds.js'
import { dropoutOffsets } from './dropoutFeeds.js'
import type { PhaseSessions } from './phaseSessions.js'
import { blockFeeds, collect, nextBuffers, resultsInto, stateFeeds } from './stateBuffers.js'

export type StepContext<E extends TrainingExample> = {
  readonly assembly: Assembly
  readonly objective: Objective<E>
  readonly progress: TrainingProgress
  readonly learningRate: number
  /** parameters of the step before the last, whose memory is used again */
  readonly spare: Vector | null
}

export type StepOutcome = {
  readonly state: RunState
  /** of the last part */
  readonly results: Results
  readonly tokens: number
  readonly loss: number
  readonly taskLoss: number
}

/** `parts` are the examples of each accumulated batch. All but the last only add their gradients; the last updates the state. */
export const trainStep = async <E extends TrainingExample>(
  { assembly, objective, progress, learningRate, spare }: StepContext<E>,
  { layout, update, add, sites, pools }: PhaseSessions,
  state: RunState,
  parts: ReadonlyArray<ReadonlyArray<E>>,
): Promise<StepOutcome> => {
  const { method, settings, precision } = assembly
  const { dtype } = precision
  const constant: Feeds = {
    ...stateFeeds(layout, state, dtype),
    ...weightFeeds(assembly, progress, learningRate),
    ...controlFeeds(method.train.controls?.(state.phase, settings, progress) ?? {}, dtype),
    ...pools,
  }
  const drawOf = (part: number): number => state.step * settings.gradientAccumulationSteps + part
  const prepared = parts.map((part, i) => objective.prepare(part, { seed: settings.seed, step: drawOf(i) }))
  const whole = prepared.reduce((sum, { weight }) => sum + weight, 0)
  const next = nextBuffers(layout, state, spare, dtype)
  let gradientSum = zeros(add === null ? 0 : layout.size, dtype)
  let outcome = { results: {} as Results, tokens: 0, loss: 0, taskLoss: 0 }
  for (const [i, part] of prepared.entries()) {
    const { packed, feeds } = batchFeeds(assembly, part, whole)
    const offsets = dropoutOffsets(settings.seed, drawOf(i), sites, pools, dimensionsOf(packed))
    const sum = add === null ? {} : blockFeeds(layout, 'gradientSum', gradientSum, dtype)
    const isLast = i === parts.length - 1
    const buffers: Readonly<Record<string, Vector>> = isLast ? namedVectors(next) : { gradientSum: zeros(layout.size, dtype) }
    const session = isLast ? update : (add ?? update)
    const results = await session.run({ ...constant, ...feeds, ...offsets, ...sum }, resultsInto(layout, buffers))
    collect(layout, buffers, results)
    gradientSum = buffers['gradientSum'] ?? gradientSum
    outcome = {
      results,
      tokens: outcome.tokens + packed.tokens,
      loss: outcome.loss + firstNumber(results['loss']),
      taskLoss: outcome.taskLoss + firstNumber(results['taskLoss']),
    }
  }
  return { ...outcome, state: { ...next, step: state.step + 1, phase: state.phase } }
}

/** η_p and the bias corrections of W, whose steps count from 1. */
const weightFeeds = ({ settings, precision }: Assembly, { step }: TrainingProgress, learningRate: number): Feeds => {
  const [correction1, correction2] = correctionNames('weight')
  const { beta1, beta2 } = adamOf(settings)
  return {
    learningRate: scalarFeed(learningRate, precision.dtype),
    [correction1]: scalarFeed(1 - beta1 ** (step + 1), precision.dtype),
    [correction2]: scalarFeed(1 - beta2 ** (step + 1), precision.dtype),
  }
}

const controlFeeds = (controls: Controls, dtype: FloatType): Feeds =>
  Object.fromEntries(
    Object.entries(controls).map(([name, value]) => [
      name,
      typeof value === 'number' ? scalarFeed(value, dtype) : floatFeed(value, [value.length], dtype),
    ]),
  )

const firstNumber = (values: ArrayLike<number | bigint> | undefined): number => (values === undefined ? NaN : Number(values[0]))
