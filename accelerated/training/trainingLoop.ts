/**
 * The training loop as an asynchronous sequence of events. Each iteration asks the method for its next phase, takes a step (trainStep.ts, whose
 * graph is stepGraph.ts), evaluates, and offers a checkpoint. The caller saves, prints and stops: this room knows no disk and no terminal.
 */
import type { TrainingProgress } from '../methods/method.js'
import type { TrainingExample } from '../objectives/objective.js'
import type { BestCheckpoint, InferenceState, RunProgress, RunState } from '../parameters/runState.js'
import type { Vector } from '../parameters/vectors.js'
import { buildLayout } from './assembly.js'
import { stepBatches } from './batchOrder.js'
import { makeEvaluator, toInferenceState, type Evaluation, type Evaluator } from './evaluation.js'
import type { Sample, Scored, TrainingEvent, TrainingResult, TrainingTask } from './events.js'
import { InputError } from '../errors/inputError.js'
import { TrainingError } from '../errors/expectedErrors.js'
import { checkStep } from './finiteChecks.js'
import { forLengths } from './batchFeeds.js'
import { openPhaseSessions, makePhaseSessions, type PhaseSessions } from './phaseSessions.js'
import { runLength, type RunLength } from './runLength.js'
import { makeLearningRate } from './learningRate.js'
import { computeExpectedRanks, buildStepReport, trainStep } from './trainStep.js'

/** At most this many `ranks` events a run: a curve needs no more, and a large model has hundreds of matrices. */
const rankEvents = 100

/** A run in progress. The loop replaces the fields that are not readonly. */
type Run<E extends TrainingExample, O> = RunLength & {
  readonly task: TrainingTask<E, O>
  readonly signal: AbortSignal
  readonly batches: (step: number) => readonly (readonly E[])[]
  readonly sessions: ReturnType<typeof makePhaseSessions<PhaseSessions>>
  readonly evaluator: Evaluator
  readonly learningRate: (step: number) => number
  state: RunState
  /** parameters of the step before the last, whose memory is used again */
  spare: Vector | null
  results: RunProgress
}

/**
 * Runs from `start` to the end. With `resumed`, `start` is a checkpoint's state and `resumed` its results. An aborted signal stops the run after
 * the current step, or the current batch of an evaluation, with a checkpoint. A resumed run first completes an evaluation that was stopped.
 * The numbers are a function of settings, data and start: a run resumed from any checkpoint ends in the same bits.
 * Each step overwrites the vectors of the state, `start` included: copy what you keep of an event before you ask for the next.
 * @throws TrainingError if a number is not finite (it names the step and the rows of its batch), or if the method never completed its phases
 */
export async function* train<E extends TrainingExample, O>(
  task: TrainingTask<E, O>,
  start: RunState,
  resumed: RunProgress | null,
  signal: AbortSignal,
): AsyncGenerator<TrainingEvent, TrainingResult> {
  const run = openRun(task, start, resumed, signal)
  try {
    yield startEvent(run)
    if (task.evalOnStart !== undefined && task.evalOnStart !== false && run.state.step === 0 && hasEvaluation(run))
      yield* evaluateStart(run)
    if (needsEvaluation(run)) yield* evaluateAndSave(run)
    while (run.state.step < run.steps && !signal.aborted && !isOutOfPatience(run)) {
      yield* advancePhase(run)
      yield* step(run)
      if (run.state.step === run.steps) yield* advancePhase(run) // the result is in the method's last phase
      yield* evaluateAndSave(run)
    }
    await settle(run)
    checkCompleted(run)
  } finally {
    await run.sessions.release()
    await run.evaluator.release()
  }
  return buildResult(run)
}

const openRun = <E extends TrainingExample, O>(
  given: TrainingTask<E, O>,
  state: RunState,
  resumed: RunProgress | null,
  signal: AbortSignal,
): Run<E, O> => {
  const task = forLengths(given, given.training, given.runtime.engine)
  const { method, settings, model, training } = task
  const length = runLength(method, settings, model, training.length, task.evalOnStart === 'candidate', task.evaluation.length)
  return {
    task,
    signal,
    ...length,
    batches: stepBatches(training, settings, length.stepsPerEpoch),
    sessions: makePhaseSessions(task, (...of) => openPhaseSessions(...of, task.executor !== undefined, true)),
    evaluator: makeEvaluator(task),
    learningRate: makeLearningRate({ ...settings, method: method.name }, length.steps),
    state,
    spare: null,
    results: resumed === null ? { best: null, lastEvaluation: null, byMatrix: {} } : pickResults(resumed),
  }
}

/** Only the results: a caller may pass a whole checkpoint, whose state is not the run's for long. */
const pickResults = ({ best, sinceBest = 0, lastEvaluation, byMatrix }: RunProgress): RunProgress => ({
  best,
  sinceBest,
  lastEvaluation,
  byMatrix,
})

type AnyExample = TrainingExample

const toProgress = <E extends AnyExample, O>({ task, steps, state }: Run<E, O>, step = state.step): TrainingProgress => ({
  step,
  steps: task.plannedSteps ?? steps,
})

const startEvent = <E extends AnyExample, O>(run: Run<E, O>): TrainingEvent => {
  const { task, state, steps, stepsPerEpoch, evalSteps, chosenEpochs } = run
  const { method, settings } = task
  const stage = method.reporting?.stage?.(state.phase) ?? null
  const announcement = method.reporting?.announce?.(state.phase, settings, toProgress(run, 0)) ?? null
  return { kind: 'start', steps, stepsPerEpoch, resumedAt: state.step, evalSteps, chosenEpochs, stage, announcement }
}

/** Copies what the device has of the state into its vectors, before they are read. */
const settle = async <E extends AnyExample, O>({ sessions, state }: Run<E, O>): Promise<void> => sessions.current()?.device?.settle(state)

/** Enters the method's next phase if it is time for one. */
const advancePhase = async function* <E extends AnyExample, O>(run: Run<E, O>): AsyncGenerator<TrainingEvent> {
  const { task, state } = run
  const context = { vectors: state, buildLayout: (phase: unknown) => buildLayout(task, phase), dtype: task.precision.dtype }
  const advanced = () => task.method.phases.advance?.(state.phase, task.settings, toProgress(run), context) ?? null
  if (advanced() === null) return // the step alone decides it
  await settle(run)
  const next = advanced()
  if (next === null) return
  if (next.event !== null) yield { kind: 'phase', step: state.step, ...next.event }
  run.state = { ...next.vectors, step: state.step, phase: next.phase }
}

/** Takes one step and reports it. */
const step = async function* <E extends AnyExample, O>(run: Run<E, O>): AsyncGenerator<TrainingEvent> {
  const { task, state, stepsPerEpoch } = run
  const sessions = await run.sessions.of(state.phase)
  const batches = run.batches(state.step)
  const learningRate = run.learningRate(state.step)
  const started = performance.now()
  const { objective, executor = null } = task
  const context = { assembly: task, objective, progress: toProgress(run), learningRate, spare: run.spare, executor }
  const outcome = await trainStep(context, sessions, state, batches)
  const seconds = (performance.now() - started) / 1_000
  const { report, byMatrix } = buildStepReport(task, sessions, state, outcome, { learningRate, stepsPerEpoch, seconds })
  if (Object.keys(byMatrix).length > 0) run.results = { ...run.results, byMatrix }
  run.spare = state.parameters
  run.state = outcome.state
  checkStep(report, sessions.layout, run.state, batches.flat())
  yield report
  const ranks =
    run.state.step % Math.ceil(toProgress(run).steps / rankEvents) === 0 ? computeExpectedRanks(task, sessions, run.state) : null
  if (ranks !== null) yield { kind: 'ranks', step: run.state.step, ranks }
}

const isEvaluationStep = <E extends AnyExample, O>({ state, steps, evalSteps }: Run<E, O>): boolean =>
  state.step > 0 && (state.step === steps || state.step % evalSteps === 0)

/** A run may train on all rows, and leave none to evaluate it. */
const hasEvaluation = <E extends AnyExample, O>({ task: { evaluation } }: Run<E, O>): boolean => evaluation.length > 0

const needsEvaluation = <E extends AnyExample, O>(run: Run<E, O>): boolean =>
  hasEvaluation(run) && isEvaluationStep(run) && run.results.lastEvaluation?.step !== run.state.step

const isOutOfPatience = <E extends AnyExample, O>({ task, results }: Run<E, O>): boolean => {
  const { earlyStoppingPatience } = task.settings
  return earlyStoppingPatience !== null && (results.sinceBest ?? 0) >= earlyStoppingPatience
}

/** Scores and samples of the current state; null if the signal stopped the evaluation. A resumed run then repeats both. */
const evaluated = async function* <E extends AnyExample, O>(run: Run<E, O>): AsyncGenerator<TrainingEvent, Sampled | null> {
  const batches = run.evaluator.evaluate(run.state)
  for (;;) {
    if (run.signal.aborted) return null
    const next = await batches.next()
    if (next.done === true) return yield* sampled(run, next.value)
    yield { kind: 'evaluating', step: run.state.step, done: next.value, examples: run.task.evaluation.length }
  }
}

type Sampled = Evaluation & { readonly samples: readonly Sample[] }

const sampled = async function* <E extends AnyExample, O>(
  { task, state: { step }, signal }: Run<E, O>,
  evaluation: Evaluation,
): AsyncGenerator<TrainingEvent, Sampled | null> {
  if (task.sample === undefined) return { ...evaluation, samples: [] }
  const texts = task.sample(evaluation.inference, signal)
  for (;;) {
    const next = await texts.next()
    if (next.done === true) return next.value === null ? null : { ...evaluation, samples: next.value }
    yield { kind: 'sampling', step, done: next.value }
  }
}

function* samplesEvent(step: number, samples: readonly Sample[]): Generator<TrainingEvent> {
  if (samples.length > 0) yield { kind: 'samples', step, samples }
}

/** Evaluates the model before the first step. A start that was fitted to the data is a result like any other. */
const evaluateStart = async function* <E extends AnyExample, O>(run: Run<E, O>): AsyncGenerator<TrainingEvent> {
  const evaluation = yield* evaluated(run)
  if (evaluation === null) return
  const { inference, samples, ...scored } = evaluation
  const eligible = run.task.evalOnStart === 'candidate' && (run.task.method.phases.isEligible?.(run.state.phase) ?? true)
  if (eligible) run.results = { ...run.results, best: copyBest(inference, 0, scored) }
  yield { kind: 'evaluation', step: 0, epoch: 0, ...scored, eligible, best: eligible }
  yield* samplesEvent(0, samples)
}

/** The same. If it fails, as a metric of the user's own may, the steps before it are saved first: a resumed run repeats the evaluation. */
const evaluatedOrSaved = async function* <E extends AnyExample, O>(run: Run<E, O>): AsyncGenerator<TrainingEvent, Sampled | null> {
  try {
    return yield* evaluated(run)
  } catch (thrown) {
    if (thrown instanceof InputError) yield { kind: 'checkpoint', state: run.state, sinceBest: 0, ...run.results }
    throw thrown
  }
}

/** After a step: the evaluation that is due, then the checkpoint that is due. */
const evaluateAndSave = async function* <E extends AnyExample, O>(run: Run<E, O>): AsyncGenerator<TrainingEvent> {
  const { task, state, steps, stepsPerEpoch, signal } = run
  if (needsEvaluation(run)) await settle(run)
  const evaluation = needsEvaluation(run) ? yield* evaluatedOrSaved(run) : null
  if (evaluation !== null) {
    const { inference, samples, ...scored } = evaluation
    const { best, sinceBest = 0 } = run.results
    const eligible = task.method.phases.isEligible?.(state.phase) ?? true
    const isHigher = eligible && (best === null || scored.selection > best.selection)
    const isBest = isHigher || (eligible && best !== null && breaksTie(scored, best))
    run.results = {
      ...run.results,
      best: isBest ? copyBest(inference, state.step, scored) : best,
      sinceBest: eligible ? (isHigher ? 0 : sinceBest + 1) : sinceBest,
      lastEvaluation: { step: state.step, scores: scored.scores },
    }
    yield { kind: 'evaluation', step: state.step, epoch: state.step / stepsPerEpoch, ...scored, eligible, best: isBest }
    yield* samplesEvent(state.step, samples)
  }
  const { saveSteps } = task.settings
  const isLast = state.step === steps || isOutOfPatience(run)
  const isDue = saveSteps === null ? isEvaluationStep(run) : isLast || state.step % saveSteps === 0
  if (!isDue && !signal.aborted) return
  await settle(run)
  yield { kind: 'checkpoint', state, sinceBest: 0, ...run.results }
}

/** Whether an evaluation with the best one's score has a lower loss. It is kept then, but patience counts on, as in the Trainer. */
const breaksTie = ({ selection, scores }: Pick<Scored, 'selection' | 'scores'>, best: BestCheckpoint): boolean =>
  selection === best.selection && (scores['loss'] ?? NaN) < (best.scores['loss'] ?? NaN)

/** Copies the parameters: later steps overwrite them. */
const copyBest = ({ phase, parameters }: InferenceState, step: number, { selection, scores }: Scored): BestCheckpoint => ({
  phase,
  parameters: parameters.slice(),
  step,
  selection,
  scores,
})

/** @throws TrainingError if all steps are done and the method's phases are not */
const checkCompleted = <E extends AnyExample, O>(run: Run<E, O>): void => {
  const { task, state, steps } = run
  if (state.step < steps || needsEvaluation(run)) return
  const problem = task.method.phases.unfinished?.(state.phase, task.settings, toProgress(run)) ?? null
  if (problem !== null) throw new TrainingError(`the run's end: ${problem}`)
}

const buildResult = <E extends AnyExample, O>(run: Run<E, O>): TrainingResult => {
  const { task, state, steps } = run
  const { best, lastEvaluation, byMatrix } = run.results
  const stoppedEarly = state.step < steps && isOutOfPatience(run)
  const interrupted = (state.step < steps && !stoppedEarly) || needsEvaluation(run)
  return { last: state, inference: toInferenceState(task, state), lastEvaluation, best, interrupted, stoppedEarly, byMatrix }
}
