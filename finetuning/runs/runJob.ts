/** A prepared run: it trains, records, scores and saves, on any machine and in any storage. */
import { lastCheckpoint, saveCheckpoint } from '../../accelerated/checkpoints/checkpointFile.js'
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import { TrainingError } from '../../accelerated/errors/trainingError.js'
import { writeAdapter } from '../../accelerated/formats/index.js'
import { joinPath } from '../../accelerated/storage/paths.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import type { TrainingEvent, TrainingResult } from '../../accelerated/training/events.js'
import type { Leader } from '../distributed/leader.js'
import type { Estimate } from './estimate.js'
import { writeDetails } from './evaluationDetails.js'
import { lineOf } from './metricsLine.js'
import type { MetricsLog } from './metricsLog.js'
import type { PreparedRun } from './prepareTask.js'
import { resumeRun } from './resumeRun.js'
import type { FinetuneEvent, RunOptions, RunResult, TestScores } from './run.js'
import type { RunFolder } from './runFolder.js'
import { adapterOf, keptOf, resultOf } from './runResult.js'
import { workersWriter } from './workersFile.js'

/** A run that is ready to train. Its files are in the storage of its base model. */
export type Job = {
  readonly options: RunOptions
  readonly prepared: PreparedRun
  readonly folder: RunFolder
  /** when the run began, by performance.now() */
  readonly began: number
  /** The other machines that compute parts of its steps and evaluations. Absent: there are none. */
  readonly machines?: Pick<Leader, 'executor' | 'answers' | 'events'>
  /** The memory that the run needs. Absent: it is not known here. */
  readonly estimate?: (prepared: PreparedRun) => Promise<Estimate>
  /** The model card to save beside the adapter. Absent: there is none. */
  readonly cardOf?: (result: RunResult) => Promise<{ readonly name: string; readonly text: string }>
}

/** Trains, scores the test data, and saves. The last event is the result, which it also returns. @throws TrainingError, InputError */
export async function* runJob(job: Job, signal: AbortSignal): AsyncGenerator<FinetuneEvent, RunResult> {
  const { trained, log } = yield* trainJob(job, signal)
  const test = yield* scoreOnTest(job, trained, signal)
  const isStopped = trained.interrupted || test === 'stopped'
  const finished = { trained: { ...trained, interrupted: isStopped }, test: test === 'stopped' ? null : test }
  const result = await saveResult(job, finished, log, (performance.now() - job.began) / 1000)
  yield { kind: 'result', result }
  return result
}

async function* trainJob(
  { options, prepared, folder, machines, estimate }: Job,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, { readonly trained: TrainingResult; readonly log: MetricsLog }> {
  const { task, plan, base } = prepared
  yield { kind: 'ready', ...prepared.facts }
  if (estimate !== undefined) yield { kind: 'estimate', ...(await estimate(prepared)) }
  const plannedSteps = folder.extended[0]?.steps ?? plan.steps
  for (const message of task.method.reporting?.warnings?.(task.settings, { step: 0, steps: plannedSteps }) ?? [])
    yield { kind: 'warning', message }
  const { checkpoint, log } = yield* resumeRun(options, prepared, folder)
  const { executor, answers } = machines ?? {}
  const spread = executor === undefined || answers === undefined ? {} : { executor, answers }
  const more = { plannedSteps, evalOnStart: folder.evalOnStart, ...spread }
  const writeWorkers = workersWriter(options.output, base.storage)
  const training = prepared.train(more, checkpoint?.state ?? prepared.start, checkpoint, signal)
  for (;;) {
    const next = await training.next().catch(async (error: unknown) => {
      if (error instanceof InputError) throw await savedBefore(error, folder, log, base.storage)
      throw error instanceof TrainingError ? await withLastCheckpoint(error, folder, log, base.storage) : error
    })
    if (next.done === true) return { trained: next.value, log }
    yield* prepared.placements()
    await folder.check()
    yield* record(next.value, { options, prepared, folder }, log)
    for (const news of machines?.events() ?? []) {
      if (news.kind === 'workers') await writeWorkers(news)
      yield news
    }
  }
}

/** Scores the state to keep on the test data, once. `stopped`: by the signal; a resumed run does it again */
async function* scoreOnTest(
  { prepared: { task, facts, test } }: Job,
  trained: TrainingResult,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, TestScores | null | 'stopped'> {
  if (test === null || trained.interrupted || trained.last.step === 0) return null
  const { inference, step } = keptOf(task.settings, trained)
  const batches = test(inference)
  for (;;) {
    const next = await batches.next()
    if (next.done === true) {
      const { scores } = next.value
      yield { kind: 'test', step, scores }
      return { step, scores }
    }
    yield { kind: 'evaluating', step: trained.last.step, done: next.value, examples: facts.examples.test ?? next.value }
    if (signal.aborted) {
      await batches.return({ scores: {}, selection: NaN, constant: null }) // closes the session
      return 'stopped'
    }
  }
}

/** Writes an event to the run's files, and passes it on. */
async function* record(
  event: TrainingEvent,
  { options, prepared, folder }: Pick<Job, 'options' | 'prepared' | 'folder'>,
  log: MetricsLog,
): AsyncGenerator<FinetuneEvent, void> {
  if (event.kind === 'checkpoint') {
    const { kind: _, ...state } = event
    await log.flush()
    const { task } = prepared
    const { fingerprint } = folder
    await saveCheckpoint(folder.checkpoints, task.method.name, { ...state, fingerprint, metricsLines: log.lines() }, prepared.base.storage)
    yield { kind: 'saved', step: event.state.step }
    return
  }
  if (event.kind === 'evaluation') await recordDetails(event, options, prepared)
  if (event.kind !== 'start' && event.kind !== 'evaluating' && event.kind !== 'sampling') log.append(lineOf(event))
  if (event.kind === 'evaluation' && event.step > 0 && event.constant !== null)
    yield { kind: 'warning', message: `step ${event.step}: every example of the evaluation is predicted as ${event.constant}` }
  yield event
}

/** Writes evaluation.json if adapter/ would hold this step: the best one, or the last one until there is a best. */
const recordDetails = async (
  { step, best, eligible }: Extract<TrainingEvent, { readonly kind: 'evaluation' }>,
  { output, settings }: RunOptions,
  prepared: PreparedRun,
): Promise<void> => {
  const details = prepared.details()
  if (step > 0 && details !== null && (best || !eligible || !settings.loadBestModelAtEnd))
    await writeDetails(output, { step, ...details }, prepared.base.storage)
}

/** Saves the adapter with its card, and result.json. A run without a step has no adapter. */
const saveResult = async (
  { options, prepared, folder, cardOf }: Job,
  { trained, test }: { readonly trained: TrainingResult; readonly test: TestScores | null },
  log: MetricsLog,
  seconds: number,
): Promise<RunResult> => {
  const { task, base, facts, plan, outputs, labelNames } = prepared
  const result = resultOf(options, task, trained, facts, { steps: plan.steps, extended: folder.extended, test }, seconds)
  await folder.check()
  await log.flush()
  if (trained.last.step > 0) {
    const { inference } = keptOf(task.settings, trained)
    await writeAdapter(folder.adapter, adapterOf(task, base, outputs, inference, labelNames), base, base.storage)
    const card = await cardOf?.(result)
    if (card !== undefined) await base.storage.write(joinPath(folder.adapter, card.name), card.text)
  }
  await folder.writeResult(result)
  return result
}

/** The error with the checkpoint to continue from. The metrics so far are on the disk then. */
const withLastCheckpoint = async (
  { message }: TrainingError,
  { checkpoints }: RunFolder,
  log: MetricsLog,
  storage: Storage,
): Promise<TrainingError> => {
  await log.flush()
  const last = await lastCheckpoint(checkpoints, storage)
  return new TrainingError(
    `${message}; ${last === null ? 'no checkpoint was saved before it' : `the last good checkpoint is ${last.path}, after step ${last.step}`}`,
  )
}

/** An evaluation that failed, such as by a metric of the user's own: the training loop has saved the steps before it. */
const savedBefore = async (
  { where, expected, got }: InputError,
  { checkpoints }: RunFolder,
  log: MetricsLog,
  storage: Storage,
): Promise<InputError> => {
  await log.flush()
  const last = await lastCheckpoint(checkpoints, storage)
  return inputError(where, expected, last === null ? got : `${got}; step ${last.step} is saved, and --resume evaluates it again`)
}
