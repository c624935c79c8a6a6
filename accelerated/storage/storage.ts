/**
 * The Storage port: what models, checkpoints, adapters and exports need of a place for files. `nodeFiles` is the disk, `memoryStorage` a Map.
 * This folder knows files, locks and JSON text; what a file means belongs in checkpoints/ and formats/.
 * A function that reads or writes files takes its storage as the last argument; the default is the disk. Paths use `/`.
 */

/** A file's content: text (as UTF-8), bytes, or chunks of bytes. */
export type Content = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>

export type FileInfo = {
  readonly kind: 'file' | 'folder' | 'other'
  /** in bytes */
  readonly size: number
  /** Changes when the file is written or another file takes its place. */
  readonly version: string
  /** Changes with `version`, and when the file's attributes change, its time stamps included. */
  readonly attributesVersion: string
}

/** A file that is open for reading. */
export type OpenFile = {
  /** in bytes */
  readonly size: number
  /** `length` bytes from `position`, alone in their ArrayBuffer. @throws InputError if the file ends before */
  readonly read: (position: number, length: number) => Promise<Uint8Array<ArrayBuffer>>
  readonly close: () => Promise<void>
}

/** @throws InputError if the storage fails, by every member; it is a SystemError where the operating system reports an error code */
export type Storage = {
  /** What is at a path, behind links; null if nothing is. */
  readonly stat: (path: string) => Promise<FileInfo | null>
  /** The names in a folder; none if the folder is absent. */
  readonly list: (folder: string) => Promise<ReadonlyArray<string>>
  /** Opens a regular file. */
  readonly open: (path: string) => Promise<OpenFile>
  /** Writes a file into an existing folder, entirely or not at all. An error of `content` itself passes through, and the old file stays. */
  readonly write: (path: string, content: Content) => Promise<void>
  /** Makes a folder; with `recursive`, also those above it, and an existing folder is no error. */
  readonly makeFolder: (path: string, options?: { readonly recursive?: boolean }) => Promise<void>
  /** Renames a file, in place of a file that has the new name. */
  readonly rename: (from: string, to: string) => Promise<void>
  /** Removes a file; an absent one is no error. */
  readonly remove: (path: string) => Promise<void>
  /** The path of an existing file or folder behind all links. */
  readonly realPath: (path: string) => Promise<string>
  /** A folder of the disk with the same files, for an engine that maps files into memory. Without it, engines are given bytes. */
  readonly mapped?: (folder: string) => Promise<string>
}

/** Opens a file, reads with `use` and closes it. @throws InputError */
export const withFile = async <T>(storage: Storage, path: string, use: (file: OpenFile) => Promise<T>): Promise<T> => {
  const file = await storage.open(path)
  try {
    return await use(file)
  } finally {
    await file.close()
  }
}
