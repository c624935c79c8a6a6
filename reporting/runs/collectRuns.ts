/** Collects the finished runs, sweeps and style transfers of folders. Unfinished and damaged ones are skipped, with one line each. */
import { realpath, stat } from 'node:fs/promises'
import { basename, join, resolve } from 'node:path'
import { InputError, inputError, reason } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemInputError } from '../../accelerated/errors/systemError.js'
import type { RunConfig, RunResult } from '../../finetuning/run/run.js'
import { readRunConfig, readRunResult } from '../../finetuning/run/runFiles.js'
import type { TransferTable } from '../../evaluation/styleTransfer/transferTable.js'
import { cellId } from '../../evaluation/glue/plan.js'
import { folderLimit, openDiscovery, runLimit, type RunFolder } from './discover.js'
import { pathNames } from './runNames.js'
import { readSweep, readTransfer, type StoredSweep } from './readStored.js'

export type FinishedRun = {
  readonly folder: string
  /** path that starts with the name of the collected folder, after the folders that distinguish it from others of that name */
  readonly name: string
  /** the sweep of the run and its row in the sweep's table; null for a run outside of sweeps */
  readonly place: { readonly sweep: string; readonly row: string } | null
  readonly config: RunConfig
  readonly result: RunResult
}

export type Collected = {
  readonly runs: readonly FinishedRun[]
  readonly sweeps: readonly (StoredSweep & { readonly name: string })[]
  readonly transfers: readonly { readonly name: string; readonly table: TransferTable }[]
  /** one line for each skipped run, sweep or style transfer */
  readonly skipped: readonly string[]
}

/** The rows of a sweep's table, by the names of the cells' folders. */
type Rows = { readonly sweep: string; readonly byCell: ReadonlyMap<string, string> }

type Collecting = {
  readonly runs: FinishedRun[]
  readonly sweeps: (StoredSweep & { readonly name: string })[]
  readonly transfers: { readonly name: string; readonly table: TransferTable }[]
  readonly skipped: string[]
  /** real paths of the folders that were collected */
  readonly seen: Set<string>
  readonly rows: Map<string, Rows>
}

/**
 * Each folder may be a run, a sweep, a style transfer, or contain these up to four levels down. A folder that is given twice counts once.
 * @throws InputError if a folder cannot be read, or none contains a finished run, sweep or style transfer
 */
export const collectRuns = async (folders: readonly string[]): Promise<Collected> => {
  const collecting: Collecting = { runs: [], sweeps: [], transfers: [], skipped: [], seen: new Set(), rows: new Map() }
  const names = pathNames(folders.map((folder) => resolve(folder)))
  for (const folder of folders) await collectFrom(folder, names.get(resolve(folder)) ?? '', collecting)
  const { runs, sweeps, transfers, skipped } = collecting
  if (runs.length + sweeps.length + transfers.length === 0)
    throw inputError(folders.join(', '), 'at least one finished run', skipped[0] ?? 'none')
  return { runs, sweeps, transfers, skipped }
}

const collectFrom = async (root: string, name: string, collecting: Collecting): Promise<void> => {
  await checkIsFolder(root)
  const onError = (thrown: unknown): never => {
    throw systemInputError(root, 'a readable folder', thrown)
  }
  const { folders, truncated } = await openDiscovery(root, { maxRuns: folderLimit, onError })()
  if (truncated) throw inputError(root, `at most ${folderLimit} folders`, 'more')
  if (folders.length === 0) throw inputError(root, 'a folder with runs, sweeps or style transfers', 'none of these')
  for (const found of folders) {
    if (collecting.runs.length > runLimit) throw inputError(root, `at most ${runLimit} runs`, 'more')
    const path = await realpath(found.folder)
    if (collecting.seen.has(path)) continue
    collecting.seen.add(path)
    try {
      await collectFolder(found, join(name, found.path), collecting)
    } catch (thrown) {
      if (!(thrown instanceof InputError)) throw thrown
      collecting.skipped.push(thrown.message)
    }
  }
}

const checkIsFolder = async (folder: string): Promise<void> => {
  const stats = await stat(folder).catch((thrown: unknown) => {
    throw systemInputError(folder, 'a folder', thrown, isAbsent(thrown) ? 'none' : reason(thrown))
  })
  if (!stats.isDirectory()) throw inputError(folder, 'a folder', 'a file')
}

const collectFolder = async ({ kind, folder, sweep }: RunFolder, name: string, collecting: Collecting): Promise<void> => {
  switch (kind) {
    case 'sweep': {
      const stored = await readSweep(folder)
      if (stored === null) return
      collecting.sweeps.push({ ...stored, name })
      collecting.rows.set(folder, { sweep: name, byCell: rowsByCell(stored) })
      return
    }
    case 'style transfer': {
      const table = await readTransfer(folder)
      if (table !== null) collecting.transfers.push({ name, table })
      return
    }
    case 'run':
      await collectRun(folder, name, sweep, collecting)
  }
}

const collectRun = async (folder: string, name: string, sweep: string | null, { runs, rows }: Collecting): Promise<void> => {
  const table = sweep === null ? undefined : rows.get(sweep)
  const row = table?.byCell.get(basename(folder))
  if (table !== undefined && row === undefined) return // the learning-rate search, or an earlier call with other rows
  const [config, result] = [await readRunConfig(folder), await readRunResult(folder)]
  if (sweep !== null && config === null && result === null) return // a cell that has not started
  if (config === null || result === null)
    throw inputError(folder, 'a finished run', `no ${config === null ? 'config.json' : 'result.json'}`)
  const copied = runs.find((run) => isCopy(run, config, result))
  if (copied !== undefined) throw inputError(folder, `another run than that of ${copied.folder}`, 'a copy of it')
  runs.push({ folder, name, place: table === undefined || row === undefined ? null : { sweep: table.sweep, row }, config, result })
}

/** Two runs do not end in the same millisecond with the same settings and seed. A copy would count as another seed. */
const isCopy = (run: FinishedRun, { settings }: RunConfig, { finishedAt }: RunResult): boolean =>
  finishedAt !== undefined && run.result.finishedAt === finishedAt && JSON.stringify(run.config.settings) === JSON.stringify(settings)

/** The row of each task and seed in a sweep's table, by the name of its cell's folder. */
const rowsByCell = ({ table }: StoredSweep): ReadonlyMap<string, string> =>
  new Map(
    table.rows.flatMap(({ name, cells }) =>
      cells.flatMap(({ task, values }) =>
        Object.keys(values).map((seed) => [cellId({ task, row: name, seed: Number(seed) }), name] as const),
      ),
    ),
  )
