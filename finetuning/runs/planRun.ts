/** Plans a run in its folder on the disk. Changes nothing. */
import { finishedResult } from './compareRuns.js'
import { refuseForeignFiles, refuseLinks } from './foreignFiles.js'
import { hasAdapter } from './newRunFrom.js'
import type { RunOptions } from './run.js'
import { readRunConfig } from './runFiles.js'
import { planFrom, usedFolder, type RunPlan, type RunSources } from './runPlan.js'
import { versions } from './versions.js'

export type { RunPlan, RunSources }

/** Looks at the folder of a new run before its data is read, which may take minutes. @throws InputError if it has a run or foreign files */
export const refuseUsedFolder = async (output: string): Promise<void> => {
  await refuseLinks(output)
  if ((await readRunConfig(output)) !== null) throw usedFolder(output)
  await refuseForeignFiles(output)
}

/** @throws InputError if the folder has another run, one with other settings, model or data, or foreign files */
export const planRun = async (options: RunOptions, sources: RunSources): Promise<RunPlan> => {
  const { output, resume } = options
  await refuseLinks(output)
  const earlier = await readRunConfig(output)
  if (earlier === null) await refuseForeignFiles(output)
  const finished = earlier !== null && resume ? await finishedResult(output) : null
  return planFrom(options, sources, { earlier, finished, hasAdapter: await hasAdapter(output), versions })
}
