/** The disk as a Storage: atomic writes, regular files only, errors of the system in one line. */
import type { BigIntStats } from 'node:fs'
import { mkdir, readdir, realpath, stat, unlink } from 'node:fs/promises'
import { sep } from 'node:path'
import { isAbsent, systemInputError, writeError } from '../errors/systemError.js'
import { writeFileAtomically } from './atomicFile.js'
import { makeFolder } from './makeFolder.js'
import { openRegularFile, readBytes } from './regularFile.js'
import { renameFile } from './renameFile.js'
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

const infoOf = (stats: BigIntStats): FileInfo => {
  const { dev, ino, size, mtimeNs, ctimeNs } = stats
  return {
    kind: stats.isFile() ? 'file' : stats.isDirectory() ? 'folder' : 'other',
    size: Number(size),
    version: [dev, ino, size, mtimeNs].join(),
    attributesVersion: [dev, ino, size, mtimeNs, ctimeNs].join(),
  }
}

export const nodeFiles: Storage = {
  stat: async (path) => {
    try {
      return infoOf(await stat(path, { bigint: true }))
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
