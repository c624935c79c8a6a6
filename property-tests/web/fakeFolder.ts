/** A folder of a browser's private file system, in memory, as the standard describes it (https://fs.spec.whatwg.org). */
import type { FolderHandle } from '../../accelerated/storage/browser.js'

/** Errors of a browser differ by their names. */
const named = (name: string): Error => Object.assign(new Error(name), { name })

type Entry = { readonly bytes: Uint8Array; readonly lastModified: number } | ReturnType<typeof fakeFolder>

/** @param quota bytes that one file may have */
export const fakeFolder = (quota = Infinity): FolderHandle => {
  const entries = new Map<string, Entry>()
  let clock = 0
  const isFile = (entry: Entry): entry is Extract<Entry, { readonly bytes: Uint8Array }> => 'bytes' in entry
  return {
    getFileHandle: async (name, { create = false } = {}) => {
      const entry = entries.get(name)
      if (entry === undefined && !create) throw named('NotFoundError')
      if (entry !== undefined && !isFile(entry)) throw named('TypeMismatchError')
      if (entry === undefined) entries.set(name, { bytes: new Uint8Array(0), lastModified: ++clock })
      return {
        getFile: async () => {
          const now = entries.get(name)
          if (now === undefined || !isFile(now)) throw named('NotFoundError')
          return Object.assign(new Blob([Uint8Array.from(now.bytes)]), { lastModified: now.lastModified })
        },
        createWritable: async () => {
          let written = new Uint8Array(0)
          return {
            write: async (bytes) => {
              if (written.length + bytes.length > quota) throw named('QuotaExceededError')
              written = Uint8Array.from([...written, ...bytes])
            },
            close: async () => void entries.set(name, { bytes: written, lastModified: ++clock }),
            abort: async () => undefined,
          }
        },
      }
    },
    getDirectoryHandle: async (name, { create = false } = {}) => {
      const entry = entries.get(name)
      if (entry === undefined && !create) throw named('NotFoundError')
      if (entry !== undefined && isFile(entry)) throw named('TypeMismatchError')
      const folder = entry ?? fakeFolder(quota)
      entries.set(name, folder)
      return folder as FolderHandle
    },
    removeEntry: async (name) => {
      if (!entries.delete(name)) throw named('NotFoundError')
    },
    keys: async function* () {
      yield* entries.keys()
    },
  }
}
