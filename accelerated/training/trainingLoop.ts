/**
 * Training as an asynchronous sequence of events: the method's next phase, its graph, a step, what it told. The caller saves, shows and
 * stops: this file has no disk, no terminal and no clock but the one for speed; and no method, whose phases are its own.
 */
import type { TrainingProgress } from '../methods/method.js'
import type { TrainingExample } from '../objectives/objective.js'
import { TrainingError } from '../errors/trainingError.js'
import { checkAnswers, checkStep } from './finiteChecks.js'
import { layoutOf, type Assembly } from './assembly.js'
import { examplesAt, lengthsOf } from '../models/packing.js'
import { batchesOfEpoch, inBatches } from './batchOrder.js'
import type { Scored, StepReport, TrainingEvent, TrainingResult, TrainingTask } from './events.js'
import type { BestCheckpoint, RunProgress, InferenceState } from '../parameters/runState.js'
import { tensorOf, type Vector } from '../parameters/vectors.js'
import { openPhase, type OpenedPhase } from './phase.js'
import { runLength } from './runLength.js'
import { openPredictor, type Predictor } from './prediction.js'
import { learningRateAt } from './schedules.js'
import type { RunState } from '../parameters/runState.js'
import { largestBatch, trainStep, type StepOutcome } from './trainStep.js'


/** How often a run tells the ranks that are being found, at most: a curve needs no more, and a large model has hundreds of matrices. */
const ranksTold = 100

/**
 * Runs from `start` (with `resumed` where that is a checkpoint's state) to the end. An aborted signal ends it after the step or the batch of an
 * evaluation at hand, with a checkpoint; an evaluation that it stopped is the first thing that the resumed run does. What a run computes is a
 * function of its settings, data and start alone: resuming from any checkpoint ends in the same bits.
 * The state is written over from step to step, `start` among them: take what is to be kept of an event before asking for the next.
 * @throws TrainingError where a number is not finite, naming the step and the rows of its batch, or where the method never did its work
 */
export async function* train<E extends TrainingExample, O>(
  task: TrainingTask<E, O>,
  start: RunState,
  resumed: RunProgress | null,
  signal: AbortSignal,
): AsyncGenerator<TrainingEvent, TrainingResult> {
  const { method, settings } = task
  const { steps, stepsPerEpoch } = runLength(method, settings, task.model, task.training.length)
  const clockAt = (step: number): TrainingProgress => ({ step, steps: task.plannedSteps ?? steps })
  const batches = batchSource(task, stepsPerEpoch)
  const graphs = graphSource(task)
  const evaluator = evaluatorOf(task)
  const evaluateEvery = settings.evalSteps ?? stepsPerEpoch
  const ranksEvery = Math.ceil(clockAt(0).steps / ranksTold)
  const rate = learningRateAt({ peak: settings.learningRate, warmup: settings.warmupRatio, steps })
  let state = start
  let { best, sinceBest = 0, lastEvaluation, byMatrix }: RunProgress = resumed ?? { best: null, lastEvaluation: null, byMatrix: {} }
  let spare: Vector | null = null
  const outOfPatience = (): boolean => settings.earlyStoppingPatience !== null && sinceBest >= settings.earlyStoppingPatience

  /** The method's next phase, where it is time for one. */
  const advanced = function* (): Generator<TrainingEvent, RunState> {
    const layouts = { vectors: state, layoutOf: (phase: unknown) => layoutOf(task, phase), dtype: task.precision.dtype }
    const next = method.advance?.(state.phase, settings, clockAt(state.step), layouts) ?? null
    if (next === null) return state
    if (next.event !== null) yield { kind: 'phase', step: state.step, ...next.event }
    return { ...next.vectors, step: state.step, phase: next.phase }
  }

  /** The scores of the state at hand, batch by batch; null where the signal stopped it. */
  const evaluated = async function* (): AsyncGenerator<TrainingEvent, (Scored & { readonly handed: InferenceState }) | null> {
    const batchesOf = await evaluator.open(state)
    for (;;) {
      if (signal.aborted) return null
      const next = await batchesOf.next()
      if (next.done === true) return next.value
      yield { kind: 'evaluating', step: state.step, done: next.value, examples: task.evaluation.length }
    }
  }

  const isScheduled = (): boolean => state.step > 0 && (state.step === steps || state.step % evaluateEvery === 0)
  const isUnscored = (): boolean => isScheduled() && lastEvaluation?.step !== state.step

  /** What follows a step: its evaluation, where one is scheduled and not yet made, and its checkpoint. */
  const conclude = async function* (): AsyncGenerator<TrainingEvent> {
    const scoring = isUnscored() ? yield* evaluated() : null
    if (scoring !== null) {
      const { handed, ...scored } = scoring
      const eligible = method.eligible?.(state.phase) ?? true
      const isBest: boolean = eligible && (best === null || scored.selection > best.selection)
      if (isBest) best = bestOf(handed, state.step, scored)
      if (eligible) sinceBest = isBest ? 0 : sinceBest + 1
      lastEvaluation = { step: state.step, scores: scored.scores }
      yield { kind: 'evaluation', step: state.step, epoch: state.step / stepsPerEpoch, ...scored, eligible, best: isBest }
    }
    const isLast = state.step === steps || outOfPatience()
    const isDue = settings.saveSteps === null ? isScheduled() : isLast || state.step % settings.saveSteps === 0
    if (isDue || signal.aborted) yield { kind: 'checkpoint', state, best, sinceBest, lastEvaluation, byMatrix }
  }

  try {
    const [stage, announced] = [method.stage?.(state.phase) ?? null, method.announce?.(state.phase, settings, clockAt(0)) ?? null]
    yield { kind: 'start', steps, stepsPerEpoch, resumedAt: state.step, evaluateEvery, stage, announced }
    if (task.evalOnStart === true && state.step === 0) {
      const before = yield* evaluated()
      if (before !== null) {
        const { handed: _, ...scored } = before
        yield { kind: 'evaluation', step: 0, epoch: 0, ...scored, eligible: false, best: false }
      }
    }
    if (isUnscored()) yield* conclude() // a signal stopped its evaluation
    while (state.step < steps && !signal.aborted && !outOfPatience()) {
      state = yield* advanced()
      const opened = await graphs.of(state.phase)
      const parts = batches(state.step)
      const began = performance.now()
      const context = { assembly: task, objective: task.objective, clock: clockAt(state.step), learningRate: rate(state.step), spare }
      const outcome = await trainStep(context, opened, state, parts)
      const { report, measured } = reportOf(task, opened, state, outcome, { learningRate: rate(state.step), stepsPerEpoch, began })
      if (Object.keys(measured).length > 0) byMatrix = measured
      spare = state.parameters
      state = outcome.state
      checkStep(report, opened.layout, state, parts.flat())
      yield report
      const ranks = state.step % ranksEvery === 0 ? ranksOf(task, opened, state) : null
      if (ranks !== null) yield { kind: 'ranks', step: state.step, ranks }

      if (state.step === steps) state = yield* advanced() // what the run hands over has its last phase behind it
      yield* conclude()
    }
    const unfinished =
      state.step >= steps && !isUnscored() ? (method.unfinished?.(state.phase, settings, clockAt(state.step)) ?? null) : null
    if (unfinished !== null) throw new TrainingError(`the run's end: ${unfinished}`)
  } finally {
    await graphs.release()
    await evaluator.release()
  }
  const stoppedEarly = state.step < steps && outOfPatience()
  const interrupted = (state.step < steps && !stoppedEarly) || isUnscored()
  return { last: state, handed: inferenceStateOf(task, state), lastEvaluation, best, interrupted, stoppedEarly, byMatrix }
}

/** The function of a state without randomness. */
export const inferenceStateOf = (
  task: Pick<Assembly, 'method' | 'settings' | 'objective' | 'precision'>,
  { phase, parameters }: Pick<RunState, 'phase' | 'parameters'>,
): InferenceState =>
  task.method.deterministic?.(phase, task.settings, parameters, { layoutOf: (of) => layoutOf(task, of), dtype: task.precision.dtype }) ?? {
    phase,
    parameters,
  }

/** A copy: the state goes on. */
const bestOf = ({ phase, parameters }: InferenceState, step: number, { selection, scores }: Scored): BestCheckpoint => ({
  phase,
  parameters: parameters.slice(),
  step,
  selection,
  scores,
})

/** The examples of a step, part by part. */
const batchSource = <E extends TrainingExample, O>({ settings, training }: TrainingTask<E, O>, stepsPerEpoch: number) => {
  const lengths = lengthsOf(training)
  let order: { readonly epoch: number; readonly batches: ReadonlyArray<ReadonlyArray<number>> } | null = null
  return (step: number): ReadonlyArray<ReadonlyArray<E>> => {
    const epoch = Math.floor(step / stepsPerEpoch)
    if (order?.epoch !== epoch) order = { epoch, batches: batchesOfEpoch(settings.seed, epoch, lengths, settings.batchSize) }
    const parts = inBatches(order.batches, settings.gradientAccumulationSteps)[step % stepsPerEpoch] ?? []
    return parts.map((rows) => examplesAt(training, rows))
  }
}

/** The sessions of the phase at hand: opened when the phase is new, released when it is over. */
const graphSource = <E extends TrainingExample, O>(task: TrainingTask<E, O>) => {
  const virtual = task.method.virtualTokens?.(task.settings)
  const largest = largestBatch(task.training, task.settings.batchSize, virtual?.at === 'embeddings' ? virtual.count : 0)
  let current: { readonly phase: unknown; readonly opened: OpenedPhase } | null = null
  return {
    of: async (phase: unknown): Promise<OpenedPhase> => {
      if (current !== null && current.phase !== phase) {
        await current.opened.release()
        current = null
      }
      current ??= { phase, opened: await openPhase(task, phase, task.runtime, largest) }
      return current.opened
    },
    release: async (): Promise<void> => current?.opened.release(),
  }
}

/** Evaluation without noise; one session serves as long as the phase that is handed over stays the same. */
const evaluatorOf = <E extends TrainingExample, O>(task: TrainingTask<E, O>) => {
  let current: { readonly key: string; readonly predictor: Predictor<E, O> } | null = null
  const scoresOf = async function* (
    { predictions }: Predictor<E, O>,
    step: number,
    handed: InferenceState,
  ): AsyncGenerator<number, Scored & { readonly handed: InferenceState }> {
    const answers = yield* predictions(handed.parameters, task.evaluation, task.settings.batchSize)
    checkAnswers(step, answers, task.evaluation)
    return { ...task.score(answers), handed }
  }
  return {
    open: async (state: RunState): Promise<AsyncGenerator<number, Scored & { readonly handed: InferenceState }>> => {
      const handed = inferenceStateOf(task, state)
      const key = JSON.stringify(handed.phase)
      if (current?.key !== key) {
        await current?.predictor.release()
        current = { key, predictor: await openPredictor(task, task.objective, handed.phase, task.runtime, 'sparing') }
      }
      return scoresOf(current.predictor, state.step, handed)
    },
    release: async (): Promise<void> => current?.predictor.release(),
  }
}

/** Ranks that are being found: none of a method that finds none, or has found them. */
const ranksOf = ({ method, settings }: Pick<Assembly, 'method' | 'settings'>, { layout }: OpenedPhase, { phase, parameters }: RunState) =>
  method.expectedRanks?.(phase, settings, (name) => tensorOf(layout, parameters, name)) ?? null

/** What a step tells, and what it measured matrix by matrix. Parameters are those before the step. */
const reportOf = (
  { method }: Pick<Assembly, 'method'>,
  { layout }: OpenedPhase,
  before: RunState,
  { results, tokens, loss, taskLoss }: StepOutcome,
  at: { readonly learningRate: number; readonly stepsPerEpoch: number; readonly began: number },
): { readonly report: StepReport; readonly measured: RunProgress['byMatrix'] } => {
  const numbers = (name: string): ReadonlyArray<number> | undefined =>
    results[name] === undefined ? undefined : Array.from(results[name], Number)
  const measures = method.measures?.(before.phase, numbers, (name) => tensorOf(layout, before.parameters, name))
  const report: StepReport = {
    kind: 'step',
    step: before.step + 1,
    epoch: (before.step + 1) / at.stepsPerEpoch,
    loss,
    taskLoss,
    columns: measures?.columns ?? {},
    learningRate: at.learningRate,
    gradientNorm: numbers('gradientNorm')?.[0] ?? NaN,
    tokens,
    tokensPerSecond: (1000 * tokens) / (performance.now() - at.began),
  }
  return { report, measured: measures?.byMatrix ?? {} }
}
