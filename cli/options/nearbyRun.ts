/** The run that a wrong --run probably means: the folder around it, or the newest run in it. */
import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { inShell } from '../../finetuning/commandLine/shell.js'
import { readRunConfig } from '../../finetuning/runs/runFiles.js'

/** ` (did you mean --run runs/reviews?)`, or where the runs of a sweep are; empty if no run is near */
export const nearbyRun = async (folder: string): Promise<string> => {
  for (const run of [dirname(folder), ...(await newestFirst(folder))]) if (await isRun(run)) return ` (did you mean --run ${inShell(run)}?)`
  const cells = join(folder, 'cells')
  return (await newestFirst(cells)).length > 0 ? ` (the folder of a sweep: its runs are in ${inShell(cells)})` : ''
}

/** A model has a config.json too, which is no run's. */
const isRun = async (folder: string): Promise<boolean> => (await readRunConfig(folder).catch(() => null)) !== null

/** At most this many folders are read. */
const mostFolders = 100

const newestFirst = async (folder: string): Promise<ReadonlyArray<string>> => {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
  const inside = entries.filter((entry) => entry.isDirectory()).map(({ name }) => join(folder, name))
  const dated = await Promise.all(
    inside
      .slice(0, mostFolders)
      .map(async (run) => ({ run, time: (await stat(join(run, 'config.json')).catch(() => null))?.mtimeMs ?? 0 })),
  )
  return dated.sort((a, b) => b.time - a.time).map(({ run }) => run)
}
