/** A fine-tuning run from a model's name and a task's name to a folder on disk: prepare, train, save. Runs in any thread. */
import { join } from 'node:path'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { hubIdOf } from '../../accelerated/checkpoints/hub/snapshot.js'
import { formatOf, writeAdapter } from '../../accelerated/formats/index.js'
import { runOutline } from '../../accelerated/training/runOutline.js'
import { newestCheckpoint } from '../../accelerated/checkpoints/newestCheckpoint.js'
import type { Checkpoint } from '../../accelerated/checkpoints/checkpointContent.js'
import { lastCheckpoint, saveCheckpoint } from '../../accelerated/checkpoints/checkpointFile.js'
import type { TrainingEvent } from '../../accelerated/training/events.js'
import { TrainingError } from '../../accelerated/errors/trainingError.js'
import { estimateOf } from './estimate.js'
import { toldOfExtension } from './extendRun.js'
import type { MetricsLog } from './metricsLog.js'
import { cardFile, modelCard } from './modelCard.js'
import { prepareRun, type PreparedRun } from './prepareRun.js'
import { resolveRunOptions, type FinetuneEvent, type FinetuneOptions, type RunOptions, type RunResult } from './run.js'
import { defaultsOf } from './runFingerprint.js'
import { openRunFolder, type RunFolder } from './runFolder.js'
import { adapterOf, keptOf, resultOf } from './runResult.js'
import { checkStorable } from './runFiles.js'

/** Runs a fine-tuning job in this thread. The events are those of `finetune`; it returns the result. @throws as `finetune` */
export async function* finetuneJob(given: FinetuneOptions, signal: AbortSignal): AsyncGenerator<FinetuneEvent, RunResult> {
  const options = resolveRunOptions(given)
  const began = performance.now()
  checkStorable(options)
  const prepared = yield* prepareRun(options, signal)
  const { facts } = prepared
  const folder = await openRunFolder(options, { ...facts, ...prepared, steps: prepared.plan.steps }) // last: a mistake found before leaves nothing behind
  try {
    return yield* runIn(folder, options, prepared, signal, began)
  } finally {
    await folder.release()
  }
}

async function* runIn(
  folder: RunFolder,
  options: RunOptions,
  prepared: PreparedRun,
  signal: AbortSignal,
  began: number,
): AsyncGenerator<FinetuneEvent, RunResult> {
  const { task, facts, plan, base, labelNames } = prepared
  yield { kind: 'ready', ...facts }
  yield { kind: 'estimate', ...estimateOf(task, prepared.examples, plan.steps, process.memoryUsage.rss()) }
  const plannedSteps = folder.extended[0]?.steps ?? plan.steps
  for (const message of task.method.reporting?.warnings?.(task.settings, { step: 0, steps: plannedSteps }) ?? [])
    yield { kind: 'warning', message }
  const { checkpoint, log } = yield* openRun(options, prepared, folder)
  const more = { plannedSteps, evalOnStart: folder.evalOnStart }
  const run = prepared.train(more, checkpoint?.state ?? prepared.start, checkpoint, signal)

  for (;;) {
    const next = await run.next().catch(async (error: unknown) => {
      throw error instanceof TrainingError ? await withCheckpoint(error, folder, log) : error
    })
    if (next.done === true) {
      const result = resultOf(
        options,
        task,
        next.value,
        facts,
        { steps: plan.steps, extended: folder.extended },
        (performance.now() - began) / 1000,
      )
      await folder.check()
      const kept = keptOf(task.settings, next.value)
      await log.flush()
      // what no step has trained is no adapter
      if (next.value.last.step > 0) {
        await writeAdapter(folder.adapter, adapterOf(task, base, prepared.outputs, kept.inference, labelNames), base)
        const [hubId, { library }] = [(await hubIdOf(base.folder)) ?? null, formatOf(task.method)]
        await writeFileAtomically(join(folder.adapter, cardFile), modelCard({ options, hubId, library, data: prepared.data, result }))
      }
      await folder.writeResult(result)
      yield { kind: 'result', result }
      return result
    }
    const event = next.value
    await folder.check()
    if (event.kind === 'checkpoint') {
      const { kind: _, ...saved } = event
      await log.flush()
      const { fingerprint } = folder
      await saveCheckpoint(folder.checkpoints, task.method.name, { ...saved, fingerprint, metricsLines: log.lines() })
      yield { kind: 'saved', step: event.state.step }
      continue
    }
    if (event.kind !== 'start' && event.kind !== 'evaluating') log.append(lineOf(event))
    if (event.kind === 'evaluation' && event.step > 0 && event.constant !== null)
      yield { kind: 'warning', message: `step ${event.step}: every example of the evaluation is predicted as ${event.constant}` }
    yield event
  }
}

/** The run's checkpoint and its metrics, with a warning for each thing that is not as it was left. */
async function* openRun(
  options: RunOptions,
  { task, plan, start }: PreparedRun,
  folder: RunFolder,
): AsyncGenerator<FinetuneEvent, { readonly checkpoint: Checkpoint | null; readonly log: MetricsLog }> {
  const damaged: string[] = []
  const fingerprint = { now: folder.fingerprint, ended: folder.ended, defaults: defaultsOf(options.settings) }
  const checkpoint = options.resume
    ? await newestCheckpoint(
        folder.checkpoints,
        runOutline(task, { start, steps: plan.steps, plannedSteps: folder.extended[0]?.steps ?? plan.steps, fingerprint }),
        (message) => damaged.push(message),
      )
    : null
  const extension = folder.extended.at(-1)
  const lengthens = extension !== undefined && checkpoint?.state.step === extension.after
  if (lengthens) yield { kind: 'warning', message: `${options.output}: ${toldOfExtension(extension, plan.steps)}` }
  for (const message of damaged) yield { kind: 'warning', message }
  if (options.resume && checkpoint === null)
    yield { kind: 'warning', message: `${folder.checkpoints}: no checkpoint to resume from; starting at step 0` }
  if (folder.otherVersions.length > 0)
    yield {
      kind: 'warning',
      message: `${options.output}: ${folder.otherVersions.join('; ')}; the run may not end in the bits it would have had`,
    }
  if (folder.newSettings.length > 0)
    yield {
      kind: 'warning',
      message: `${options.output}: began before there was ${folder.newSettings.join(', ')}: these are the defaults of this version`,
    }
  const log = await folder.begin(checkpoint?.metricsLines ?? 0)
  if (log.missing > 0)
    yield {
      kind: 'warning',
      message: `${join(options.output, 'metrics.jsonl')}: expected ${checkpoint?.metricsLines} lines of the steps before the checkpoint, got ${log.missing} fewer`,
    }
  return { checkpoint: lengthens ? { ...checkpoint, sinceBest: 0 } : checkpoint, log }
}

/** An event as metrics.jsonl has it: the method's columns among the others, a phase under its own name. */
const lineOf = (
  event: Exclude<TrainingEvent, { readonly kind: 'start' | 'checkpoint' | 'evaluating' }>,
): { readonly kind: string; readonly step: number } => {
  if (event.kind === 'phase') return { kind: event.name, step: event.step, ...event.facts }
  if (event.kind !== 'step') return event
  const { columns, ...common } = event
  return { ...common, ...columns }
}

/** The accident with what is left of the run: its lines so far, and the state to go on from. */
const withCheckpoint = async ({ message }: TrainingError, { checkpoints }: RunFolder, log: MetricsLog): Promise<TrainingError> => {
  await log.flush()
  const last = await lastCheckpoint(checkpoints)
  return new TrainingError(
    `${message}; ${last === null ? 'no checkpoint was saved before it' : `the last good checkpoint is ${last.path}, after step ${last.step}`}`,
  )
}
