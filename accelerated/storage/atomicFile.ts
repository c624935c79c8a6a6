/** Atomic writes: a file is written under a temporary name beside its target, flushed to the disk, and then renamed. */
import { randomBytes } from 'node:crypto'
import { closeSync, fsync, openSync, write } from 'node:fs'
import { open, readdir, unlink, rename } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'
import { isAbsent, writeError, systemCode } from '../errors/systemError.js'
import { contentChunks, type Content } from './storage.js'
import { setTimeout as pause } from 'node:timers/promises'

/** The part of node:fs/promises that writing needs. A test passes one whose disk is full. */
export type FileSystem = {
  readonly open: (path: string, flags: string) => Promise<WritableFile>
  readonly rename: (from: string, to: string) => Promise<void>
  readonly unlink: (path: string) => Promise<void>
}
type WritableFile = {
  readonly write: (bytes: Uint8Array) => Promise<{ readonly bytesWritten: number }>
  readonly sync: () => Promise<void>
  readonly close: () => Promise<void>
}

const [writeTo, sync] = [promisify(write), promisify(fsync)]

/**
 * Opens a file at once. Node closes the descriptors of a terminated thread, except one that is just being opened in the background. A run that is
 * left in mid-write would leak that one.
 */
export const openNow = async (path: string, flags: string): Promise<WritableFile> => {
  const descriptor = openSync(path, flags)
  return {
    write: (bytes) => writeTo(descriptor, bytes),
    sync: () => sync(descriptor),
    close: async () => closeSync(descriptor),
  }
}

/**
 * Writes the file at `path`. The old file stays until all of `content` is on the disk, and after any error; no temporary file remains.
 * `check` reads the whole file before it gets its name. Errors of `check` and of `content` itself pass through.
 * @throws InputError if the disk is full, the folder is missing or may not be written to
 */
export const writeFileAtomically = async (
  path: string,
  content: Content,
  fileSystem: FileSystem = { open: openNow, rename: renameFile, unlink },
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
      for await (const chunk of contentChunks(content)) await guarded(() => writeAll(handle, chunk))
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

/** The names of temporary files. */
export const temporary = /^\..+\.\d+\.[0-9a-f]{12}\.partial$/

/** Removes the temporary files that a killed process left in `folder`. No other process may be writing there, but for its claim to a lock. */
export const removeTemporaries = async (folder: string): Promise<void> => {
  for (const name of await readdir(folder))
    if (temporary.test(name))
      await unlink(join(folder, name)).catch((thrown: unknown) => {
        if (!isAbsent(thrown)) throw thrown
      })
}

/** Writes all of `chunk`, however many bytes the system takes at a time. */
export const writeAll = async (handle: WritableFile, bytes: Uint8Array): Promise<void> => {
  for (let written = 0; written < bytes.length; ) {
    written += (await handle.write(bytes.subarray(written))).bytesWritten
  }
}

/** Makes the rename itself durable. Some systems refuse to open a folder; the file is still complete there. */
const syncFolder = async (folder: string): Promise<void> => {
  const handle = await open(folder, 'r').catch(() => undefined)
  if (handle === undefined) return
  await handle.sync().catch(() => undefined)
  await handle.close()
}

/** What Windows reports while another program has one of both files open. */
const busy: readonly (string | null)[] = ['EPERM', 'EACCES', 'EBUSY']

/** Milliseconds before each further attempt, two seconds in all. A rename that is not permitted fails with the same codes. */
const pauses: readonly number[] = [10, 20, 50, 100, 200, 500, 1_100]

type System = {
  readonly rename: (from: string, to: string) => Promise<void>
  readonly platform: NodeJS.Platform
  readonly pauses: readonly number[]
}

/**
 * Renames a file or a folder. On Windows it waits for other programs: there, nobody can rename a file that a virus scanner or a reader has open.
 * @throws the system's error
 */
export const renameFile = async (
  from: string,
  to: string,
  system: System = { rename, platform: process.platform, pauses },
): Promise<void> => {
  for (const milliseconds of system.platform === 'win32' ? system.pauses : [])
    try {
      return await system.rename(from, to)
    } catch (thrown) {
      if (!busy.includes(systemCode(thrown))) throw thrown
      await pause(milliseconds)
    }
  return system.rename(from, to)
}
