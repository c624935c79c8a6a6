/**
 * The disk as a Storage, and where its cache is: atomic writes, regular files only, errors of the system in one line. A pipe or a device is refused,
 * because reading it could wait forever or never end. A browser's bundle has noFiles.ts in its place ("browser" in package.json).
 */
import { constants, type BigIntStats } from 'node:fs'
import { mkdir, open, readdir, realpath, stat, unlink, type FileHandle } from 'node:fs/promises'
import { homedir, userInfo } from 'node:os'
import { join, sep } from 'node:path'
import { inputError } from '../errors/inputError.js'
import { isAbsent, systemInputError, writeError } from '../errors/systemError.js'
import { renameFile, writeFileAtomically } from './atomicFile.js'
import { makeFolder } from './folders.js'
import type { FileInfo, OpenFile, Storage } from './storage.js'

const openFile = async (path: string): Promise<OpenFile> => {
  const { handle, size } = await openRegularFile(path)
  return {
    size,
    read: async (position, length) => {
      try {
        return await readBytes(handle, path, position, length)
      } catch (thrown) {
        throw systemInputError(path, 'a readable file', thrown)
      }
    },
    close: () => handle.close(),
  }
}

const toFileInfo = (stats: BigIntStats): FileInfo => {
  const { dev, ino, size, mtimeNs, ctimeNs } = stats
  return {
    kind: stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : 'other',
    size: Number(size),
    version: [dev, ino, size, mtimeNs].join(),
    attributesVersion: [dev, ino, size, mtimeNs, ctimeNs].join(),
    changedAt: Number(ctimeNs) / 1e6,
  }
}

export const nodeFiles: Storage = {
  stat: async (path) => {
    try {
      return toFileInfo(await stat(path, { bigint: true }))
    } catch (thrown) {
      if (isAbsent(thrown)) return null
      throw systemInputError(path, 'a readable file', thrown)
    }
  },
  list: async (folder) => {
    try {
      return await readdir(folder)
    } catch (thrown) {
      if (isAbsent(thrown)) return []
      throw systemInputError(folder, 'a readable folder', thrown)
    }
  },
  open: openFile,
  write: (path, content) => writeFileAtomically(path, content),
  makeFolder: (path, { recursive = false } = {}) =>
    (recursive ? makeFolder(path) : mkdir(path)).catch((thrown: unknown) => {
      throw writeError(path, thrown)
    }),
  rename: (from, to) =>
    renameFile(from, to).catch((thrown: unknown) => {
      throw systemInputError(from, 'a file that can be renamed', thrown)
    }),
  remove: (path) =>
    unlink(path).catch((thrown: unknown) => {
      if (!isAbsent(thrown)) throw systemInputError(path, 'a file that can be removed', thrown)
    }),
  realPath: async (path) => {
    try {
      return (await realpath(path)).replaceAll(sep, '/')
    } catch (thrown) {
      throw systemInputError(path, 'a readable file', thrown)
    }
  },
  mapped: async (folder) => folder,
}

/** Without this flag, opening a pipe waits for a writer. Systems that lack the flag lack these pipes. */
const nonBlocking = constants.O_NONBLOCK ?? 0

/** Whether the path is a regular file, or a link to one. */
export const isFile = (path: string): Promise<boolean> =>
  stat(path).then(
    (stats) => stats.isFile(),
    () => false,
  )

/** Opens `file` for reading; the caller closes it. @throws InputError if it is absent, not permitted, or not a regular file */
export const openRegularFile = async (file: string): Promise<{ readonly handle: FileHandle; readonly size: number }> => {
  const handle = await open(file, constants.O_RDONLY | nonBlocking).catch((thrown: unknown) => {
    throw systemInputError(file, 'a readable file', thrown)
  })
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw inputError(file, 'a regular file', stats.isDirectory() ? 'a folder' : 'a pipe, a device or a socket')
    return { handle, size: stats.size }
  } catch (thrown) {
    await handle.close()
    throw thrown
  }
}

/** Opens the file, reads with `read` and closes it. @throws InputError if the system reports an error */
export const withRegularFile = async <T>(file: string, read: (handle: FileHandle, size: number) => Promise<T>): Promise<T> => {
  const { handle, size } = await openRegularFile(file)
  try {
    return await read(handle, size)
  } catch (thrown) {
    throw systemInputError(file, 'a readable file', thrown)
  } finally {
    await handle.close()
  }
}

/** Exactly `length` bytes from `position`, alone in their ArrayBuffer. @throws InputError if the file ends before */
export const readBytes = async (handle: FileHandle, file: string, position: number, length: number): Promise<Buffer<ArrayBuffer>> => {
  const bytes = Buffer.alloc(length) // never from Node's pool, unlike allocUnsafe
  for (let filled = 0; filled < length; ) {
    const { bytesRead } = await handle.read(bytes, filled, length - filled, position + filled)
    if (bytesRead === 0) throw inputError(file, `${position + length} bytes`, `${position + filled} (the file is truncated)`)
    filled += bytesRead
  }
  return bytes
}

export type Environment = Readonly<Record<string, string | undefined>>

/** A variable without the white space around it; an empty one counts as unset. */
export const variable = (environment: Environment, name: string): string | undefined => {
  const value = environment[name]?.trim()
  return value === '' ? undefined : value
}

/** The folder of downloads and of what is computed once for all runs. Python's tools use it too, so that each finds the other's downloads. */
export const locateCache = (environment: Environment = process.env): string => {
  const explicit = variable(environment, 'SALORA_CACHE') ?? variable(environment, 'HF_HUB_CACHE')
  if (explicit !== undefined) return explicit
  return join(locateHfHome(environment), 'hub')
}

/** The folder of Python's tools. */
export const locateHfHome = (environment: Environment): string =>
  variable(environment, 'HF_HOME') ??
  join(variable(environment, 'XDG_CACHE_HOME') ?? join(homedir() || userInfo().homedir, '.cache'), 'huggingface')
