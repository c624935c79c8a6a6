/** Differences between the choices of two runs, and whether a run is finished. */
import { differing, type Fingerprint } from '../../accelerated/checkpoints/fingerprint.js'
import { SystemError } from '../../accelerated/errors/systemError.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import type { RunConfig, RunResult } from './run.js'
import { readRunResult } from './runFiles.js'
import { decisiveSettings, defaultsOf } from './runFingerprint.js'

type Choices = Pick<RunConfig, 'model' | 'adapter' | 'task' | 'settings'> & Partial<Pick<RunConfig, 'device' | 'revision'>>

/** What `after` chooses differently, in words. A device or a commit that one of the two does not have counts as the same. */
export const differingChoices = (before: RunConfig, after: Choices): ReadonlyArray<string> => {
  const revision = after.revision ?? null
  return differing(
    flattened({ revision, ...before }),
    flattened({ revision: before.revision ?? null, device: before.device, ...after }),
    defaultsOf(after.settings),
  )
}

const flattened = ({ model, revision, adapter, task, settings, device }: Choices): Fingerprint => ({
  model,
  revision: revision ?? null,
  adapter,
  ...task,
  ...decisiveSettings(settings),
  device,
})

/** result.json of a finished run. null: the run is not finished, or the file is damaged; the run then continues from its checkpoint and writes it again. */
export const finishedResult = async (output: string, storage?: Storage): Promise<RunResult | null> => {
  const result = await readRunResult(output, storage).catch((thrown: unknown) => {
    if (thrown instanceof SystemError) throw thrown
    return null
  })
  return result?.interrupted === false ? result : null
}
