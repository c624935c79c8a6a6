/** One step of a run: its scalars, its noise and its batches as feeds, the phase's graph, and the state that comes back. */
import { adamOf } from '../settings/commonSettings.js'
import type { FloatType } from '../graph/expression.js'
import type { TrainingProgress } from '../methods/method.js'
import { noVirtualTokens, packBatch, type Examples, type PackedBatch, type TokenizedExample } from '../models/packing.js'
import type { Objective, Prepared, TrainingExample } from '../objectives/objective.js'
import type { Results, Session } from '../engines/engine.js'
import { floatFeed, scalarFeed, type Feeds } from '../engines/feeds.js'
import type { Assembly } from './assembly.js'
import { dropoutOffsets } from './dropoutFeeds.js'
import { correctionNames } from '../parameters/optimizerGroup.js'
import { zeros, type Vector } from '../parameters/vectors.js'
import type { OpenedPhase } from './phase.js'
import { blockFeeds, collect, resultsInto, roomForNext, stateFeeds } from './state.js'
import type { RunState } from '../parameters/runState.js'
import { namedVectors } from '../parameters/vectors.js'

export type StepContext<E extends TrainingExample> = {
  readonly assembly: Assembly
  readonly objective: Objective<E>
  readonly clock: TrainingProgress
  readonly learningRate: number
  /** parameters of the step before the last, whose memory may be used again */
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

/** `parts` are the examples of each accumulated batch: all but the last only add their gradients. */
export const trainStep = async <E extends TrainingExample>(
  { assembly, objective, clock, learningRate, spare }: StepContext<E>,
  { layout, update, add, sites, pools }: OpenedPhase,
  state: RunState,
  parts: ReadonlyArray<ReadonlyArray<E>>,
): Promise<StepOutcome> => {
  const { method, settings, precision } = assembly
  const { dtype } = precision
  const controls = method.controls?.(state.phase, settings, clock) ?? {}
  const fixed: Feeds = {
    ...stateFeeds(layout, state, dtype),
    ...weightFeeds(assembly, clock, learningRate),
    ...Object.fromEntries(Object.entries(controls).map(([name, value]) => [name, controlFeed(value, dtype)])),
    ...pools,
  }
  const prepared = parts.map((part, i) =>
    objective.prepare(part, { seed: settings.seed, step: state.step * settings.gradientAccumulationSteps + i }),
  )
  const whole = prepared.reduce((sum, { weight }) => sum + weight, 0)
  const room = roomForNext(layout, state, spare, dtype)
  let gradientSum = zeros(add === null ? 0 : layout.size, dtype)
  let outcome = { results: {} as Results, tokens: 0, loss: 0, taskLoss: 0 }
  for (const [i, part] of prepared.entries()) {
    const { packed, feeds } = batchFeeds(assembly, part, whole)
    const offsets = dropoutOffsets(settings.seed, state.step * settings.gradientAccumulationSteps + i, sites, pools, dimensionsOf(packed))
    const sum = add === null ? {} : blockFeeds(layout, 'gradientSum', gradientSum, dtype)
    const isLast = i === parts.length - 1
    const target: Readonly<Record<string, Vector>> = isLast ? namedVectors(room) : { gradientSum: zeros(layout.size, dtype) }
    const session: Session = isLast ? update : (add ?? update)
    const results = await session.run({ ...fixed, ...feeds, ...offsets, ...sum }, resultsInto(layout, target))
    collect(layout, target, results)
    if (target['gradientSum'] !== undefined) gradientSum = target['gradientSum']
    outcome = {
      results,
      tokens: outcome.tokens + packed.tokens,
      loss: outcome.loss + numberOf(results['loss']),
      taskLoss: outcome.taskLoss + numberOf(results['taskLoss']),
    }
  }
  return { ...outcome, state: { ...room, step: state.step + 1, phase: state.phase } }
}

/** What is fed of one batch. `whole`: the weight of all parts of the step together. */
export const batchFeeds = (
  { method, settings, model, precision }: Pick<Assembly, 'method' | 'settings' | 'model' | 'precision'>,
  { shown, weight, feeds }: Prepared<unknown>,
  whole: number,
): { readonly packed: PackedBatch; readonly feeds: Feeds } => {
  const packed = packBatch(shown, model.firstPosition, precision.dtype, method.virtualTokens?.(settings) ?? noVirtualTokens)
  const batchShare = scalarFeed(weight / whole, precision.dtype)
  return { packed, feeds: { ...packed.feeds, ...feeds(packed, whole, precision.dtype), batchShare } }
}

export const dimensionsOf = ({ tokens, batch, sequence }: PackedBatch): Readonly<Record<string, number>> => ({ tokens, batch, sequence })

/** Bounds of any batch's dimensions: the longest examples could meet in one, and those of most texts. `virtual`: tokens before each text. */
export const largestBatch = (
  examples: Examples<TokenizedExample>,
  batchSize: number,
  virtual: number,
): Readonly<Record<'batch' | 'sequence' | 'tokens', number>> => {
  const most = (numbers: Int32Array): number =>
    numbers
      .sort()
      .reverse()
      .subarray(0, batchSize)
      .reduce((a, b) => a + b, 0)
  const of = (number: (example: TokenizedExample) => number): Int32Array =>
    Int32Array.from({ length: examples.length }, (_, i) => number(examples.at(i) as TokenizedExample))
  const texts = ({ ends }: TokenizedExample): number => ends?.length ?? 1
  const longest = ({ inputIds, ends = [inputIds.length] }: TokenizedExample): number =>
    ends.reduce((sum, end, i) => Math.max(sum, end - (ends[i - 1] ?? 0)), 0)
  return {
    batch: most(of(texts)),
    sequence: of(longest).reduce((a, b) => Math.max(a, b), 0) + virtual,
    tokens: most(of((example) => example.inputIds.length + virtual * texts(example))),
  }
}

/** η_p and the bias corrections of W, whose steps are counted from 1. */
const weightFeeds = ({ settings, precision }: Assembly, { step }: TrainingProgress, learningRate: number): Feeds => {
  const [first, second] = correctionNames('weight')
  const { beta1, beta2 } = adamOf(settings)
  return {
    learningRate: scalarFeed(learningRate, precision.dtype),
    [first]: scalarFeed(1 - beta1 ** (step + 1), precision.dtype),
    [second]: scalarFeed(1 - beta2 ** (step + 1), precision.dtype),
  }
}

const controlFeed = (value: number | Float64Array, dtype: FloatType) =>
  typeof value === 'number' ? scalarFeed(value, dtype) : floatFeed(value, [value.length], dtype)

const numberOf = (values: ArrayLike<number | bigint> | undefined): number => (values === undefined ? NaN : Number(values[0]))
