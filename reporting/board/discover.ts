/** Which folders below one are runs and sweeps, as a report takes them. Folders whose entries are the same as at the last look are not read again. */
import { lstat, readdir } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { planFile } from '../../evaluation/glue/storedPlan.js'

export type FoundFolder = {
  readonly kind: 'run' | 'sweep'
  readonly folder: string
  /** from the board's folder on; of that folder itself its own name */
  readonly name: string
  /** the folder of the sweep whose cell it is */
  readonly sweep: string | null
}

export type Found = {
  readonly folders: ReadonlyArray<FoundFolder>
  /** what was not looked at, in a line; null: nothing */
  readonly more: string | null
}

/** As many as a report takes. */
export const runLimit = 5_000
const folderLimit = 20_000
const depth = 2

/** Milliseconds for which a folder that has just changed is read again: its time may not tell two changes apart. */
const young = 2_000

type Names = { readonly files: ReadonlySet<string>; readonly folders: ReadonlyArray<string> }
type Known = { readonly stamp: string; readonly read: number; readonly names: Names }

const nothing: Names = { files: new Set(), folders: [] }
const collator = new Intl.Collator('en', { numeric: true })
const isClaim = (name: string): boolean => /^lock-[0-9a-f]{12}\.json$/.test(name)

export const openFinder = (root: string): (() => Promise<Found>) => {
  let known = new Map<string, Known>()
  return async () => {
    const now = new Map<string, Known>()
    const folders: FoundFolder[] = []
    let [runs, full] = [0, false]

    /** Links are neither: they may lead anywhere. */
    const namesIn = async (folder: string): Promise<Names> => {
      if (now.size >= folderLimit) {
        full = true
        return nothing
      }
      const there = await lstat(folder).catch(() => null)
      if (there?.isDirectory() !== true) return nothing
      const stamp = `${there.ino} ${there.mtimeMs}`
      const before = known.get(folder)
      const read = Date.now()
      if (before?.stamp === stamp && before.read - there.mtimeMs > young) {
        now.set(folder, before)
        return before.names
      }
      const entries = await readdir(folder, { withFileTypes: true }).catch(() => [])
      const names = {
        files: new Set(entries.filter((entry) => entry.isFile()).map(({ name }) => name)),
        folders: entries
          .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
          .map(({ name }) => name)
          .sort(collator.compare),
      }
      now.set(folder, { stamp, read, names })
      return names
    }

    const run = (folder: string, name: string, sweep: string | null): void => {
      if (runs >= runLimit) full = true
      else folders.push({ kind: 'run', folder, name, sweep })
      runs++
    }

    const look = async (folder: string, name: string, levels: number): Promise<void> => {
      const { files, folders: inner } = await namesIn(folder)
      if (files.has('table.md') && files.has('result.json') && !files.has('sweep.json')) return // a style transfer: a report shows it
      if (files.has('sweep.json') || files.has(planFile) || inner.includes('cells')) {
        folders.push({ kind: 'sweep', folder, name, sweep: null })
        for (const cell of (await namesIn(join(folder, 'cells'))).folders)
          run(join(folder, 'cells', cell), join(name, 'cells', cell), folder)
        return
      }
      const begins = inner.includes('checkpoints') && [...files].some(isClaim)
      if (files.has('config.json') || files.has('result.json') || begins) return run(folder, name, null)
      if (levels > 0) for (const child of inner) await look(join(folder, child), folder === root ? child : join(name, child), levels - 1)
    }

    await look(root, basename(root) || root, depth)
    known = now
    return { folders, more: full ? `only the first ${runLimit} runs and ${folderLimit} folders are shown` : null }
  }
}
