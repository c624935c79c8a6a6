/** Files that are whole or absent: written to a temporary name beside the target, flushed to the disk, then renamed. */
import { randomBytes } from 'node:crypto'
import { open, readdir, rename, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { writeError } from '../errors/systemError.js'

/** The part of node:fs/promises that writing needs; a test passes one whose disk is full. */
export type FileSystem = {
  readonly open: (path: string, flags: string) => Promise<OpenFile>
  readonly rename: (from: string, to: string) => Promise<void>
  readonly unlink: (path: string) => Promise<void>
}
type OpenFile = {
  readonly write: (bytes: Uint8Array) => Promise<{ readonly bytesWritten: number }>
  readonly sync: () => Promise<void>
  readonly close: () => Promise<void>
}

/** What a file can be written from: a text (as UTF-8), bytes, or pieces of bytes as they come. */
export type Content = string | Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>

/**
 * Writes the file at `path`, replacing what is there only when all of `content` is safely on the disk.
 * Throws Mistake (no space, no permission, no such folder); the old file is then as it was, and no temporary is left.
 * An error of `content` itself, or of `check`, which sees the whole file before it gets its name, is passed on in the same state.
 */
export const writeFileAtomically = async (
  path: string,
  content: Content,
  fileSystem: FileSystem = { open, rename, unlink },
  check: (temporary: string) => Promise<void> = async () => undefined,
): Promise<void> => {
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.${randomBytes(6).toString('hex')}.partial`)
  const guarded = <T>(action: () => Promise<T>): Promise<T> =>
    action().catch((thrown: unknown) => {
      throw writeError(path, thrown)
    })
  const handle = await guarded(() => fileSystem.open(temporary, 'wx'))
  try {
    try {
      for await (const piece of piecesOf(content)) await guarded(() => writeAll(handle, piece))
      await guarded(() => handle.sync())
    } finally {
      await guarded(() => handle.close())
    }
    await check(temporary)
    await guarded(() => fileSystem.rename(temporary, path))
  } catch (thrown) {
    await fileSystem.unlink(temporary).catch(() => undefined)
    throw thrown
  }
  await syncFolder(dirname(path))
}

/** The names of such temporaries. */
export const temporary = /^\..+\.\d+\.[0-9a-f]{12}\.partial$/

/** Removes what a process that was killed while it wrote left in `folder`. No other process may be writing there. */
export const removeTemporaries = async (folder: string): Promise<void> => {
  for (const name of await readdir(folder)) if (temporary.test(name)) await unlink(join(folder, name))
}

async function* piecesOf(content: Content): AsyncGenerator<Uint8Array> {
  if (typeof content === 'string') yield Buffer.from(content)
  else if (content instanceof Uint8Array) yield content
  else yield* content
}

const writeAll = async (handle: OpenFile, bytes: Uint8Array): Promise<void> => {
  for (let written = 0; written < bytes.length; ) {
    written += (await handle.write(bytes.subarray(written))).bytesWritten
  }
}

/** Makes the rename itself durable. Some systems refuse to open a folder: there the file is still whole. */
const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r').catch(() => undefined)
  if (handle === undefined) return
  await handle.sync().catch(() => undefined)
  await handle.close()
}
