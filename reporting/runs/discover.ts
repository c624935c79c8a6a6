/**
 * Finds the runs, sweeps and style transfers below a folder, for reports and for the board.
 *
 * This folder knows which folders are runs and reads their config.json, result.json and tables. Curves of metrics.jsonl belong in charts/.
 */
import { lstat, readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { planFile } from '../../evaluation/glue/plan.js'
import { isAbsent } from '../../accelerated/errors/systemError.js'

export type RunFolder = {
  readonly kind: 'run' | 'sweep' | 'style transfer'
  readonly folder: string
  /** relative to the root; '' for the root itself */
  readonly path: string
  /** folder of the sweep that the run belongs to */
  readonly sweep: string | null
}

export type Discovery = {
  readonly folders: readonly RunFolder[]
  /** whether a limit ended the search early */
  readonly truncated: boolean
}

export type DiscoveryOptions = {
  /** maximum number of runs; absent: 5,000 */
  readonly maxRuns?: number
  /** called for a folder that cannot be read; absent: the folder is skipped */
  readonly onError?: (thrown: unknown) => void
}

export const runLimit = 5_000
export const folderLimit = 20_000
/** Levels of folders below the root that are searched, but for folders of packages. */
const [depth, isPackages] = [4, (name: string): boolean => name === 'node_modules']

/** Milliseconds during which a changed folder is read again: its time stamp may not distinguish two changes. */
const stampResolution = 2_000

type Entries = { readonly files: ReadonlySet<string>; readonly folders: readonly string[] }
type CachedEntries = { readonly stamp: string; readonly readAt: number; readonly entries: Entries }

type Search = Required<DiscoveryOptions> & {
  readonly root: string
  readonly previous: ReadonlyMap<string, CachedEntries>
  readonly current: Map<string, CachedEntries>
  readonly found: RunFolder[]
  runs: number
  truncated: boolean
}

/** @returns a function that searches `root`; later calls only read folders that have changed. Links are not followed. */
export const openDiscovery = (
  root: string,
  { maxRuns = runLimit, onError = () => undefined }: DiscoveryOptions = {},
): (() => Promise<Discovery>) => {
  let previous: ReadonlyMap<string, CachedEntries> = new Map()
  return async () => {
    const search: Search = { root, maxRuns, onError, previous, current: new Map(), found: [], runs: 0, truncated: false }
    await visit(search, root, '', depth)
    previous = search.current
    return { folders: search.found, truncated: search.truncated }
  }
}

const visit = async (search: Search, folder: string, path: string, levels: number): Promise<void> => {
  const entries = await lookUpEntries(search, folder)
  const kind = findKind(entries)
  if (kind !== null) add(search, { kind, folder, path, sweep: null })
  if (kind === 'sweep' && entries.folders.includes('cells'))
    for (const cell of (await lookUpEntries(search, join(folder, 'cells'))).folders)
      add(search, { kind: 'run', folder: join(folder, 'cells', cell), path: join(path, 'cells', cell), sweep: folder })
  if (kind !== null || levels === 0) return
  for (const child of entries.folders) await visit(search, join(folder, child), join(path, child), levels - 1)
}

const add = (search: Search, found: RunFolder): void => {
  if (found.kind === 'run' && ++search.runs > search.maxRuns) search.truncated = true
  else search.found.push(found)
}

const isLock = (name: string): boolean => /^lock-[0-9a-f]{12}\.json$/.test(name)

const findKind = ({ files, folders }: Entries): RunFolder['kind'] | null => {
  if (files.has('sweep.json')) return 'sweep'
  if (files.has('table.md') && files.has('result.json')) return 'style transfer'
  if (files.has(planFile) || folders.includes('cells')) return 'sweep'
  if (isModel({ files, folders })) return null
  const isStarting = folders.includes('checkpoints') && [...files].some(isLock)
  return files.has('config.json') || files.has('result.json') || isStarting ? 'run' : null
}

/** A model in Hugging Face layout, such as an export: its config.json is no run's. */
const isModel = ({ files, folders }: Entries): boolean =>
  folders.includes('onnx') || [...files].some((name) => name === 'tokenizer.json' || name.endsWith('.safetensors'))

const noEntries: Entries = { files: new Set(), folders: [] }

/** The names in a folder, from the cache if its time stamp is the same. */
const lookUpEntries = async (search: Search, folder: string): Promise<Entries> => {
  if (search.current.size >= folderLimit) {
    search.truncated = true
    return noEntries
  }
  try {
    const stats = await (folder === search.root ? stat(folder) : lstat(folder))
    if (!stats.isDirectory()) return noEntries
    const { ino, mtimeMs } = stats
    const [stamp, readAt] = [`${ino} ${mtimeMs}`, Date.now()]
    const cached = search.previous.get(folder)
    const isCurrent = cached?.stamp === stamp && cached.readAt - mtimeMs > stampResolution
    const read = cached !== undefined && isCurrent ? cached : { stamp, readAt, entries: await readEntries(folder) }
    search.current.set(folder, read)
    return read.entries
  } catch (thrown) {
    if (!isAbsent(thrown)) search.onError(thrown)
    return noEntries
  }
}

const collator = new Intl.Collator('en', { numeric: true })

const readEntries = async (folder: string): Promise<Entries> => {
  const entries = await readdir(folder, { withFileTypes: true })
  return {
    files: new Set(entries.filter((entry) => !entry.isDirectory()).map(({ name }) => name)),
    folders: entries
      .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.') && !isPackages(entry.name))
      .map(({ name }) => name)
      .sort(collator.compare),
  }
}
