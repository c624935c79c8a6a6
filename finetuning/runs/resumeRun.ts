/** Opens a run's checkpoint and metrics, and warns of everything that is not as the run left it. */
import type { Checkpoint } from '../../accelerated/checkpoints/checkpointContent.js'
import { newestCheckpoint } from '../../accelerated/checkpoints/newestCheckpoint.js'
import { joinPath } from '../../accelerated/storage/paths.js'
import { runOutline } from '../../accelerated/training/runOutline.js'
import { extensionWarning } from './extendRun.js'
import type { MetricsLog } from './metricsLog.js'
import type { PreparedRun } from './prepareTask.js'
import type { FinetuneEvent, RunOptions } from './run.js'
import { defaultsOf } from './runFingerprint.js'
import type { RunFolder } from './runFolder.js'

/** Where a run starts. checkpoint: null for step 0 */
export type StartOfRun = { readonly checkpoint: Checkpoint | null; readonly log: MetricsLog }

/** @throws InputError if a checkpoint is of another run */
export async function* resumeRun(options: RunOptions, prepared: PreparedRun, folder: RunFolder): AsyncGenerator<FinetuneEvent, StartOfRun> {
  const { output, resume } = options
  const warning = (message: string): FinetuneEvent => ({ kind: 'warning', message })
  const damaged: string[] = []
  const checkpoint = resume ? await newest(options, prepared, folder, (message) => damaged.push(message)) : null
  const extension = folder.extended.at(-1)
  const isExtended = extension !== undefined && checkpoint?.state.step === extension.after
  if (isExtended) yield warning(`${output}: ${extensionWarning(extension, prepared.plan.steps)}`)
  for (const message of damaged) yield warning(message)
  if (resume && checkpoint === null) yield warning(`${folder.checkpoints}: no checkpoint to resume from; starting at step 0`)
  if (folder.otherVersions.length > 0)
    yield warning(`${output}: ${folder.otherVersions.join('; ')}; the run's bits may differ from here on`)
  if (folder.newSettings.length > 0)
    yield warning(`${output}: began before there was ${folder.newSettings.join(', ')}: these are the defaults of this version`)
  const log = await folder.begin(checkpoint?.metricsLines ?? 0)
  if (log.missing > 0)
    yield warning(
      `${joinPath(output, 'metrics.jsonl')}: expected ${checkpoint?.metricsLines} lines of the steps before the checkpoint, got ${log.missing} fewer`,
    )
  return { checkpoint: isExtended ? { ...checkpoint, sinceBest: 0 } : checkpoint, log }
}

const newest = (
  { settings }: RunOptions,
  { task, plan, start, base }: PreparedRun,
  folder: RunFolder,
  onDamaged: (message: string) => void,
): Promise<Checkpoint | null> => {
  const fingerprint = { now: folder.fingerprint, ended: folder.ended, defaults: defaultsOf(settings) }
  const plannedSteps = folder.extended[0]?.steps ?? plan.steps
  return newestCheckpoint(
    folder.checkpoints,
    runOutline(task, { start, steps: plan.steps, plannedSteps, fingerprint }),
    onDamaged,
    base.storage,
  )
}
