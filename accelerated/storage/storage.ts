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
  /** milliseconds since 1970 of the last change of `attributesVersion`, where the storage has such a time */
  readonly changedAt?: number
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
  readonly list: (folder: string) => Promise<readonly string[]>
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

/** A storage some of whose files have another text than underneath. @param texts by path; each file exists underneath */
export const withTexts = (under: Storage, texts: ReadonlyMap<string, string>): Storage => ({
  ...under,
  open: async (path): Promise<OpenFile> => {
    const text = texts.get(path)
    if (text === undefined) return under.open(path)
    const bytes = new TextEncoder().encode(text)
    return { size: bytes.length, read: async (position, length) => bytes.slice(position, position + length), close: async () => undefined }
  },
})

/** A content as chunks of bytes. */
export async function* contentChunks(content: Content): AsyncGenerator<Uint8Array> {
  if (typeof content === 'string') yield new TextEncoder().encode(content)
  else if (content instanceof Uint8Array) yield content
  else yield* content
}

/** Chunks of bytes as one array. */
export const concatenate = (chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> => {
  const whole = new Uint8Array(chunks.reduce((sum, { length }) => sum + length, 0))
  let offset = 0
  for (const chunk of chunks) {
    whole.set(chunk, offset)
    offset += chunk.length
  }
  return whole
}
