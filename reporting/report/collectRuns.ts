/** Folders that were named → the finished runs, sweeps and transfers in them. What is broken or unfinished is left out, and told in one line each. */
import { readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, resolve } from 'node:path'
import { InputError, inputError, reason } from '../../accelerated/errors/inputError.js'
import { isAbsent, systemInputError } from '../../accelerated/errors/systemError.js'
import type { RunConfig, RunResult } from '../../finetuning/runs/run.js'
import { readRunConfig, readRunResult } from '../../finetuning/runs/runFiles.js'
import type { TransferTable } from '../../evaluation/styleTransfer/transferTable.js'
import { cellId } from '../../evaluation/glue/plan.js'
import { readSweep, type StoredSweep } from './storedSweep.js'
import { readTransfer } from './storedTransfer.js'

export type FoundRun = {
  readonly folder: string
  /** as it is told: from the folder that was named on */
  readonly name: string
  /** the sweep that it is of, and its line in that table; null where it is in none */
  readonly place: { readonly sweep: string; readonly row: string } | null
  readonly config: RunConfig
  readonly result: RunResult
}

export type Collected = {
  readonly runs: ReadonlyArray<FoundRun>
  readonly sweeps: ReadonlyArray<StoredSweep & { readonly name: string }>
  readonly transfers: ReadonlyArray<{ readonly name: string; readonly table: TransferTable }>
  /** one line each */
  readonly leftOut: ReadonlyArray<string>
}

/** Runs in one report: a page of more is no page to read. */
const runLimit = 5000
/** Folders within a folder: what is no run is looked into, two levels down. */
const folderLimit = 20_000
const depth = 2

/**
 * A folder may be a run, a sweep, a style transfer, or hold such. The same folder twice counts once; links are not followed.
 * @throws Mistake for a folder that cannot be read, or in which nothing of these is finished
 */
export const collectRuns = async (folders: ReadonlyArray<string>, tell: (runs: number) => void = () => undefined): Promise<Collected> => {
  const found = {
    runs: [] as FoundRun[],
    sweeps: [] as (StoredSweep & { readonly name: string })[],
    transfers: [] as { readonly name: string; readonly table: TransferTable }[],
    leftOut: [] as string[],
  }
  const seen = new Set<string>()
  let looked = 0

  const within = async (folder: string): Promise<ReadonlyArray<string>> => {
    const entries = await readdir(folder, { withFileTypes: true })
    const names = entries.filter((entry) => entry.isDirectory() && !entry.name.startsWith('.')).map(({ name }) => name)
    return names.sort(new Intl.Collator('en', { numeric: true }).compare).map((name) => join(folder, name))
  }

  const look = async (folder: string, name: string, levels: number, rows: Rows | null): Promise<void> => {
    const place = await realpath(folder)
    if (seen.has(place)) return
    seen.add(place)
    if (++looked > folderLimit) throw inputError(name, `at most ${folderLimit} folders`, 'more')
    try {
      const names = new Set((await readdir(folder, { withFileTypes: true })).map((entry) => entry.name))
      if (names.has('sweep.json') || names.has('cells')) return await lookAtSweep(folder, name, names.has('cells'))
      if (names.has('table.md') && names.has('result.json')) return await lookAtTransfer(folder, name)
      if (names.has('config.json') || names.has('result.json')) return await lookAtRun(folder, name, rows)
    } catch (thrown) {
      if (!(thrown instanceof InputError) || thrown === tooMany) throw thrown
      found.leftOut.push(thrown.message)
      return
    }
    if (levels > 0) for (const inner of await within(folder)) await look(inner, join(name, basename(inner)), levels - 1, rows)
  }

  const tooMany = inputError('the folders', `at most ${runLimit} runs`, 'more')

  const lookAtRun = async (folder: string, name: string, rows: Rows | null): Promise<void> => {
    const row = rows?.byId.get(basename(folder))
    if (rows !== null && row === undefined) return // a run of the search for a learning rate, or of an earlier call with other rows
    const [config, result] = [await readRunConfig(folder), await readRunResult(folder)]
    const missing = config === null ? 'config.json' : result === null ? 'result.json' : null
    if (config === null || result === null) {
      found.leftOut.push(inputError(folder, 'a finished run', `no ${missing}`).message)
      return
    }
    if (found.runs.length >= runLimit) throw tooMany
    found.runs.push({ folder, name, place: rows === null || row === undefined ? null : { sweep: rows.sweep, row }, config, result })
    tell(found.runs.length)
  }

  const lookAtSweep = async (folder: string, name: string, hasCells: boolean): Promise<void> => {
    const stored = await readSweep(folder).catch((thrown: unknown) => {
      if (!(thrown instanceof InputError)) throw thrown
      found.leftOut.push(thrown.message)
      return null
    })
    if (stored !== null) found.sweeps.push({ ...stored, name })
    const rows = stored === null ? null : { sweep: name, byId: rowsById(stored) }
    if (hasCells) for (const cell of await within(join(folder, 'cells'))) await look(cell, join(name, 'cells', basename(cell)), 0, rows)
  }

  const lookAtTransfer = async (folder: string, name: string): Promise<void> => {
    const table = await readTransfer(folder)
    if (table !== null) found.transfers.push({ name, table })
  }

  for (const folder of folders) {
    const before = found.runs.length + found.sweeps.length + found.transfers.length + found.leftOut.length
    const isFolder = await stat(folder).then(
      (there) => there.isDirectory(),
      (thrown: unknown) => {
        throw systemInputError(folder, 'a folder', thrown, isAbsent(thrown) ? 'none there' : reason(thrown))
      },
    )
    if (!isFolder) throw inputError(folder, 'a folder', 'a file')
    const again = seen.has(await realpath(folder))
    await look(folder, relative(dirname(resolve(folder)), resolve(folder)) || basename(resolve(folder)), depth, null).catch(
      (thrown: unknown) => {
        throw systemInputError(folder, 'a folder that can be read', thrown)
      },
    )
    const after = found.runs.length + found.sweeps.length + found.transfers.length + found.leftOut.length
    if (after === before && !again) throw inputError(folder, 'a run, a sweep, a style transfer, or a folder of such', 'none in it')
  }
  if (found.runs.length + found.sweeps.length + found.transfers.length === 0)
    throw inputError(folders.join(', '), 'at least one finished run', found.leftOut[0] ?? 'none')
  return found
}

type Rows = { readonly sweep: string; readonly byId: ReadonlyMap<string, string> }

/** By the names of the cells' folders, for each row, task and seed of the table. */
const rowsById = ({ table }: StoredSweep): ReadonlyMap<string, string> =>
  new Map(
    table.rows.flatMap(({ name, cells }) =>
      cells.flatMap(({ task, values }) =>
        Object.keys(values).map((seed) => [cellId({ task, row: name, seed: Number(seed) }), name] as const),
      ),
    ),
  )
