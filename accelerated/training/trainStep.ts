/** One step of a run: its scalars, its noise and its batches as feeds, the phase's graph, the next state, and its report. */
import { pickAdamSettings } from '../settings/commonSettings.js'
import type { FloatType } from '../graph/expression.js'
import type { TrainingProgress } from '../methods/method.js'
import type { TrainingExample } from '../objectives/objective.js'
import type { Results } from '../engines/engine.js'
import { scalarFeed, type Feeds } from '../engines/feeds.js'
import { correctionNames } from '../parameters/optimizerGroup.js'
import type { RunState, RunProgress } from '../parameters/runState.js'
import type { ParameterLayout } from '../parameters/layout.js'
import { namedVectors, zeros, type Vector, type Vectors, viewTensor } from '../parameters/vectors.js'
import type { Assembly } from './assembly.js'
import { microBatchGradient, sumGradients, type PartExecutor, type MicroBatchGradient } from './microBatchGradient.js'
import type { PhaseSessions } from './phaseSessions.js'
import { blockFeeds, collect, nextBuffers, resultsInto, stateFeeds } from './stateBuffers.js'
import { controlFeeds, microBatchFeeds, type PartFeeds, type PartsContext } from './microBatchFeeds.js'
import type { StepReport } from './events.js'

type StepContext<E extends TrainingExample> = PartsContext<E> & {
  readonly learningRate: number
  /** parameters of the step before the last, whose memory is used again */
  readonly spare: Vector | null
  /** who computes the gradients of the parts; null: this process, one after another (the sessions must fit) */
  readonly executor?: PartExecutor | null
}

type StepOutcome = {
  readonly state: RunState
  /** of the last part */
  readonly results: Results
  readonly tokens: number
  readonly loss: number
  readonly taskLoss: number
}

/**
 * `parts` are the examples of each accumulated batch. All but the last only add their gradients; the last updates the state. With an executor
 * each part may be computed elsewhere, and the update takes their sum: the same bits. Where the device keeps a part of
 * the state, the vectors of that part are older than the state: see phaseSessions.ts.
 */
export const trainStep = async <E extends TrainingExample>(
  { learningRate, spare, executor = null, ...context }: StepContext<E>,
  sessions: PhaseSessions,
  state: RunState,
  parts: readonly (readonly E[])[],
): Promise<StepOutcome> => {
  const { layout } = sessions
  const { assembly, progress } = context
  const { dtype } = assembly.precision
  const ofState = stateFeeds(layout, state, dtype)
  const constant: Feeds = {
    ...(sessions.device?.feeds(state, ofState) ?? ofState),
    ...weightFeeds(assembly, progress, learningRate),
    ...controlFeeds(assembly, state.phase, progress),
  }
  let prepared: ReturnType<typeof microBatchFeeds<E>> | null = null
  const prepareFeeds = () => (prepared ??= microBatchFeeds(context, sessions, state, parts))
  const next = nextBuffers(layout, state, spare, dtype)
  const step = { ...{ layout, state, dtype, constant, prepareFeeds, next }, parts: parts.length }
  const outcome = await (executor === null ? chained(step, sessions) : spread(step, sessions, { progress, executor }))
  sessions.device?.took(state.step + 1)
  return { ...outcome, state: { ...next, step: state.step + 1, phase: state.phase } }
}

type Step = {
  readonly layout: ParameterLayout
  readonly state: RunState
  readonly dtype: FloatType
  readonly constant: Feeds
  readonly prepareFeeds: () => Promise<(part: number) => PartFeeds>
  readonly next: Vectors
  readonly parts: number
}

const noOutcome = { results: {} as Results, tokens: 0, loss: 0, taskLoss: 0 }

/** The outcome with one more part. */
const withPart = (outcome: typeof noOutcome, tokens: number, results: Results): typeof noOutcome => ({
  results,
  tokens: outcome.tokens + tokens,
  loss: outcome.loss + firstNumber(results['loss']),
  taskLoss: outcome.taskLoss + firstNumber(results['taskLoss']),
})

/** Part after part: each adds its gradient to the sum of those before it. */
const chained = async (
  { layout, dtype, constant, prepareFeeds, next, parts }: Step,
  { update, add, device = null }: PhaseSessions,
): Promise<typeof noOutcome> => {
  let gradientSum = zeros(add === null ? 0 : layout.size, dtype)
  let outcome = noOutcome
  const feedsByPart = await prepareFeeds()
  for (let i = 0; i < parts; i++) {
    const { feeds, tokens } = feedsByPart(i)
    const whole = add === null ? {} : blockFeeds(layout, 'gradientSum', gradientSum, dtype)
    const sum = i === 0 ? whole : (device?.withoutSums(whole) ?? whole)
    const isLast = i === parts - 1
    const buffers: Readonly<Record<string, Vector>> = isLast ? namedVectors(next) : { gradientSum: zeros(layout.size, dtype) }
    const session = isLast ? update : (add ?? update)
    const results = await session.run({ ...constant, ...feeds, ...sum }, resultsInto(layout, buffers))
    collect(layout, buffers, results, (block) => device?.isKept(block) !== true)
    gradientSum = buffers['gradientSum'] ?? gradientSum
    outcome = withPart(outcome, tokens, results)
  }
  return outcome
}

/** The gradients of all parts from the executor, then the update from their sum. */
const spread = async (
  { layout, state, dtype, constant, prepareFeeds, next, parts }: Step,
  { update, add }: PhaseSessions,
  { progress, executor }: { readonly progress: TrainingProgress; readonly executor: PartExecutor },
): Promise<typeof noOutcome> => {
  if (add === null) throw new Error('spread: expected the sessions of a spread step, got those of a whole one')
  const { step, phase, parameters } = state
  const compute = async (part: number): Promise<MicroBatchGradient> =>
    microBatchGradient({ layout, add }, parameters, (await prepareFeeds())(part), dtype)
  const gradients = await executor({ step, phase, parameters, progress, layout, parts, compute })
  const outcome = gradients.reduce((before, { tokens, results }) => withPart(before, tokens, results), noOutcome)
  const sum = blockFeeds(layout, 'gradientSum', sumGradients(gradients, layout, dtype), dtype)
  const results = await update.run({ ...constant, ...sum }, resultsInto(layout, namedVectors(next)))
  collect(layout, namedVectors(next), results)
  return { ...outcome, results: { ...outcome.results, ...results } }
}

/** η_p and the bias corrections of W, whose steps count from 1. */
const weightFeeds = ({ settings, precision }: Assembly, { step }: TrainingProgress, learningRate: number): Feeds => {
  const [correction1, correction2] = correctionNames('weight')
  const { beta1, beta2 } = pickAdamSettings(settings)
  return {
    learningRate: scalarFeed(learningRate, precision.dtype),
    [correction1]: scalarFeed(1 - beta1 ** (step + 1), precision.dtype),
    [correction2]: scalarFeed(1 - beta2 ** (step + 1), precision.dtype),
  }
}

const firstNumber = (values: ArrayLike<number | bigint> | undefined): number => (values === undefined ? NaN : Number(values[0]))

/** The report of a step, and its measures by matrix. @param before the state before the step @param seconds what the step took */
export const buildStepReport = (
  { method }: Pick<Assembly, 'method'>,
  { layout }: Pick<PhaseSessions, 'layout'>,
  before: RunState,
  { results, tokens, loss, taskLoss }: Omit<StepOutcome, 'state'>,
  { learningRate, stepsPerEpoch, seconds }: { readonly learningRate: number; readonly stepsPerEpoch: number; readonly seconds: number },
): { readonly report: StepReport; readonly byMatrix: RunProgress['byMatrix'] } => {
  const numbers = (name: string): readonly number[] | undefined =>
    results[name] === undefined ? undefined : Array.from(results[name], Number)
  const measures = method.reporting?.measures?.(before.phase, numbers, (name) => viewTensor(layout, before.parameters, name))
  const report: StepReport = {
    kind: 'step',
    step: before.step + 1,
    epoch: (before.step + 1) / stepsPerEpoch,
    loss,
    taskLoss,
    columns: measures?.columns ?? {},
    learningRate,
    gradientNorm: numbers('gradientNorm')?.[0] ?? NaN,
    tokens,
    tokensPerSecond: tokens / seconds,
  }
  return { report, byMatrix: measures?.byMatrix ?? {} }
}

/** Expected ranks while the method searches for them; null before and after, and for a method that searches for none. */
export const computeExpectedRanks = (
  { method, settings }: Pick<Assembly, 'method' | 'settings'>,
  { layout }: Pick<PhaseSessions, 'layout'>,
  { phase, parameters }: RunState,
): Readonly<Record<string, number>> | null =>
  method.reporting?.expectedRanks?.(phase, settings, (name) => viewTensor(layout, parameters, name)) ?? null
