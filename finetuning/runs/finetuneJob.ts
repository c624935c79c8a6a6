/** A fine-tuning run, from a model's and a task's name to a folder on disk: prepare, train, save. It works in any thread. */
import { join } from 'node:path'
import { lastCheckpoint, saveCheckpoint } from '../../accelerated/checkpoints/checkpointFile.js'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { hubIdOf } from '../../accelerated/checkpoints/hub/snapshot.js'
import { InputError, inputError } from '../../accelerated/errors/inputError.js'
import { TrainingError } from '../../accelerated/errors/trainingError.js'
import { formatOf, writeAdapter } from '../../accelerated/formats/index.js'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import type { TrainingEvent, TrainingResult } from '../../accelerated/training/events.js'
import { loadMetric, type LoadedMetric } from '../metrics/metricModule.js'
import { leavesPromptTemplate, takesPromptTemplate, withModelTemplate, withTemplateOf } from '../tasks/index.js'
import { estimateOf } from './estimate.js'
import { writeDetails } from './evaluationDetails.js'
import { lineOf } from './metricsLine.js'
import type { MetricsLog } from './metricsLog.js'
import { cardFile, modelCard } from './modelCard.js'
import { prepareRun, type PreparedRun } from './prepareRun.js'
import { resumeRun } from './resumeRun.js'
import { resolveRunOptions, type FinetuneEvent, type FinetuneOptions, type RunOptions, type RunResult, type TestScores } from './run.js'
import { checkStorable, readRunConfig } from './runFiles.js'
import { checkSamplePrompts } from './samplePrompts.js'
import { openRunFolder, type RunFolder, type RunSources } from './runFolder.js'
import { adapterOf, keptOf, resultOf } from './runResult.js'

/** Runs a fine-tuning job in this thread. The events are those of `finetune`; it returns the result. @throws as `finetune` */
export async function* finetuneJob(input: FinetuneOptions, signal: AbortSignal): AsyncGenerator<FinetuneEvent, RunResult> {
  const given = resolveRunOptions(input)
  const began = performance.now()
  checkStorable(given)
  const { options: chosen, metric } = await withMetricModule(given)
  const options = yield* withPromptTemplate(await withSamplePrompts(chosen), signal)
  const prepared = yield* prepareRun(options, signal, metric)
  const { facts } = prepared
  const folder = await openRunFolder(options, { ...facts, ...prepared, ...stored(metric), steps: prepared.plan.steps }) // last: errors above leave no folder
  try {
    const job: Job = { options, prepared, folder }
    const { trained, log } = yield* trainJob(job, signal)
    const test = yield* scoreOnTest(job, trained, signal)
    const isStopped = trained.interrupted || test === 'stopped'
    const finished = { trained: { ...trained, interrupted: isStopped }, test: test === 'stopped' ? null : test }
    const result = await saveResult(job, finished, log, (performance.now() - began) / 1000)
    yield { kind: 'result', result }
    return result
  } finally {
    await folder.release()
  }
}

/** The options with the prompt template of the model and its truncation, which config.json stores. A resumed run keeps those that it began with. */
async function* withPromptTemplate(options: RunOptions, signal: AbortSignal): AsyncGenerator<FinetuneEvent, RunOptions> {
  const { task, model, output, resume } = options
  if (!takesPromptTemplate(task.task)) return options
  const earlier = resume ? await readRunConfig(output) : null
  if (earlier !== null) return { ...options, task: withTemplateOf(earlier.task, task) }
  const { folder } = await resolveModel(model, { signal })
  const resolved = await withModelTemplate(task, folder)
  if (leavesPromptTemplate(task) && resolved.promptTemplate !== undefined)
    yield { kind: 'preparing', what: "framing instructions in the model's chat template (--prompt-template names another)" }
  return { ...options, task: resolved }
}

/** The custom metric selects the best checkpoint unless another is named, so its own name needs no option. @throws InputError */
const withMetricModule = async (options: RunOptions): Promise<{ readonly options: RunOptions; readonly metric: LoadedMetric | null }> => {
  if (options.metric === undefined) return { options, metric: null }
  const metric = await loadMetric(options.metric)
  const { metricForBestModel, ...task } = options.task
  return { options: metricForBestModel === metric.definition.name ? { ...options, task } : options, metric }
}

const stored = (metric: LoadedMetric | null): Pick<RunSources, 'metric'> => {
  if (metric === null) return {}
  const { name, higherIsBetter } = metric.definition
  return { metric: { name, higherIsBetter, sha256: metric.sha256 } }
}

/** The options with the sample prompts that a resumed run began with, unless others are given. @throws InputError for prompts of another form */
const withSamplePrompts = async (options: RunOptions): Promise<RunOptions> => {
  const { samplePrompts, resume, output } = options
  if (samplePrompts !== undefined) checkSamplePrompts(samplePrompts)
  if (samplePrompts !== undefined || !resume) return options
  const earlier = (await readRunConfig(output))?.samplePrompts
  return earlier === undefined ? options : { ...options, samplePrompts: earlier }
}

type Job = { readonly options: RunOptions; readonly prepared: PreparedRun; readonly folder: RunFolder }

async function* trainJob(
  { options, prepared, folder }: Job,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, { readonly trained: TrainingResult; readonly log: MetricsLog }> {
  const { task, plan } = prepared
  yield { kind: 'ready', ...prepared.facts }
  yield { kind: 'estimate', ...estimateOf(task, prepared.examples, plan.steps, process.memoryUsage.rss()) }
  const plannedSteps = folder.extended[0]?.steps ?? plan.steps
  for (const message of task.method.reporting?.warnings?.(task.settings, { step: 0, steps: plannedSteps }) ?? [])
    yield { kind: 'warning', message }
  const { checkpoint, log } = yield* resumeRun(options, prepared, folder)
  const more = { plannedSteps, evalOnStart: folder.evalOnStart }
  const training = prepared.train(more, checkpoint?.state ?? prepared.start, checkpoint, signal)
  for (;;) {
    const next = await training.next().catch(async (error: unknown) => {
      if (error instanceof InputError) throw await savedBefore(error, folder, log)
      throw error instanceof TrainingError ? await withLastCheckpoint(error, folder, log) : error
    })
    if (next.done === true) return { trained: next.value, log }
    await folder.check()
    yield* record(next.value, { options, prepared, folder }, log)
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
async function* record(event: TrainingEvent, { options, prepared, folder }: Job, log: MetricsLog): AsyncGenerator<FinetuneEvent, void> {
  if (event.kind === 'checkpoint') {
    const { kind: _, ...state } = event
    await log.flush()
    const { task } = prepared
    const { fingerprint } = folder
    await saveCheckpoint(folder.checkpoints, task.method.name, { ...state, fingerprint, metricsLines: log.lines() })
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
  if (step > 0 && details !== null && (best || !eligible || !settings.loadBestModelAtEnd)) await writeDetails(output, { step, ...details })
}

/** Saves the adapter with its card, and result.json. A run without a step has no adapter. */
const saveResult = async (
  { options, prepared, folder }: Job,
  { trained, test }: { readonly trained: TrainingResult; readonly test: TestScores | null },
  log: MetricsLog,
  seconds: number,
): Promise<RunResult> => {
  const { task, base, facts, plan, outputs, labelNames, data } = prepared
  const result = resultOf(options, task, trained, facts, { steps: plan.steps, extended: folder.extended, test }, seconds)
  await folder.check()
  await log.flush()
  if (trained.last.step > 0) {
    const { inference } = keptOf(task.settings, trained)
    await writeAdapter(folder.adapter, adapterOf(task, base, outputs, inference, labelNames), base)
    const [hubId, { library }] = [(await hubIdOf(base.folder)) ?? null, formatOf(task.method)]
    await writeFileAtomically(join(folder.adapter, cardFile), modelCard({ options, hubId, library, data, result }))
  }
  await folder.writeResult(result)
  return result
}

/** The error with the checkpoint to continue from. The metrics so far are on the disk then. */
const withLastCheckpoint = async ({ message }: TrainingError, { checkpoints }: RunFolder, log: MetricsLog): Promise<TrainingError> => {
  await log.flush()
  const last = await lastCheckpoint(checkpoints)
  return new TrainingError(
    `${message}; ${last === null ? 'no checkpoint was saved before it' : `the last good checkpoint is ${last.path}, after step ${last.step}`}`,
  )
}

/** An evaluation that failed, such as by a metric of the user's own: the training loop has saved the steps before it. */
const savedBefore = async ({ where, expected, got }: InputError, { checkpoints }: RunFolder, log: MetricsLog): Promise<InputError> => {
  await log.flush()
  const last = await lastCheckpoint(checkpoints)
  return inputError(where, expected, last === null ? got : `${got}; step ${last.step} is saved, and --resume evaluates it again`)
}
