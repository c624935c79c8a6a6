/** A browser's Storage: the private file system of a page, and given files as one more folder, which is only read. */
import { inputError, reason } from '../errors/inputError.js'
import { SystemError } from '../errors/systemError.js'
import { parentFolder, joinPath, baseName, trimmed } from './paths.js'
import { contentChunks, type Content, type FileInfo, type OpenFile, type Storage } from './storage.js'

/** The part of FileSystemDirectoryHandle that is needed. */
export type FolderHandle = {
  readonly getFileHandle: (name: string, options?: { readonly create?: boolean }) => Promise<FileHandle>
  readonly getDirectoryHandle: (name: string, options?: { readonly create?: boolean }) => Promise<FolderHandle>
  readonly removeEntry: (name: string) => Promise<void>
  readonly keys: () => AsyncIterable<string>
}
type FileHandle = {
  readonly getFile: () => Promise<Blob & { readonly lastModified: number }>
  readonly createWritable: () => Promise<{
    readonly write: (bytes: Uint8Array<ArrayBuffer>) => Promise<void>
    readonly close: () => Promise<void>
    readonly abort: () => Promise<void>
  }>
  /** not in every browser */
  readonly move?: (folder: FolderHandle, name: string) => Promise<void>
}

const errorName = (thrown: unknown): string => (thrown instanceof Error ? thrown.name : '')

const absent = (path: string): SystemError => new SystemError(path, 'a readable file', 'no such file or folder (ENOENT)', 'ENOENT')

/** An InputError for a failed write: a full storage is no fault of the content. */
const writeError = (path: string, thrown: unknown): Error => {
  if (errorName(thrown) === 'QuotaExceededError')
    return new SystemError(path, 'to write the file', "no space left in the browser's storage for this page (QuotaExceededError)", 'ENOSPC')
  if (errorName(thrown) === 'NotFoundError') return new SystemError(path, 'to write the file', 'a missing folder (ENOENT)', 'ENOENT')
  if (errorName(thrown) === 'TypeMismatchError')
    return new SystemError(path, 'to write the file', 'a folder of that name (EISDIR)', 'EISDIR')
  return inputError(path, 'to write the file', reason(thrown))
}

/** Null if nothing is there, or if a folder of the path is a file. */
const orNull = async <T>(look: () => Promise<T>): Promise<T | null> => {
  try {
    return await look()
  } catch (thrown) {
    if (['NotFoundError', 'TypeMismatchError'].includes(errorName(thrown))) return null
    throw thrown
  }
}

type Handles = {
  readonly folderAt: (path: string, create?: boolean) => Promise<FolderHandle>
  readonly fileAt: (path: string) => Promise<FileHandle>
  readonly stat: (path: string) => Promise<FileInfo | null>
}

const handlesBelow = (root: FolderHandle): Handles => {
  const folderAt: Handles['folderAt'] = async (path, create = false) => {
    let folder = root
    for (const name of path.split('/').filter((part) => part !== '')) folder = await folder.getDirectoryHandle(name, { create })
    return folder
  }
  const fileAt: Handles['fileAt'] = async (path) => (await folderAt(parentFolder(path))).getFileHandle(baseName(path))
  return {
    folderAt,
    fileAt,
    stat: async (given) => {
      const path = trimmed(given)
      const file = path === '' ? null : await orNull(async () => (await fileAt(path)).getFile())
      if (file !== null) return fileInfo(file)
      return (await orNull(() => folderAt(path))) === null ? null : folderInfo
    },
  }
}

/** Writes a file. The browser puts it in place when its last byte is written; after an error nothing has changed. */
const writeFile = async ({ folderAt, stat }: Handles, path: string, content: Content): Promise<void> => {
  const guarded = <T>(action: () => Promise<T>): Promise<T> =>
    action().catch((thrown: unknown) => {
      throw writeError(path, thrown)
    })
  const [folder, before] = [await guarded(() => folderAt(parentFolder(path))), await stat(path)]
  const writing = await guarded(async () => (await folder.getFileHandle(baseName(path), { create: true })).createWritable())
  try {
    for await (const chunk of contentChunks(content)) await guarded(() => writing.write(owned(chunk)))
    await guarded(() => writing.close())
  } catch (thrown) {
    await writing.abort().catch(() => undefined)
    if (before === null) await folder.removeEntry(baseName(path)).catch(() => undefined) // the empty file that it began with
    throw thrown
  }
}

const renameFile = async (handles: Handles, from: string, to: string): Promise<void> => {
  const { folderAt, fileAt } = handles
  const file = await orNull(() => fileAt(from))
  if (file === null) throw absent(from)
  if (file.move !== undefined) return file.move(await folderAt(parentFolder(to)), baseName(to))
  await writeFile(handles, to, new Uint8Array(await (await file.getFile()).arrayBuffer()))
  await (await folderAt(parentFolder(from))).removeEntry(baseName(from))
}

const makeFolder = async ({ folderAt, stat }: Handles, path: string, recursive: boolean): Promise<void> => {
  const folder = trimmed(path)
  if (!recursive && (await stat(folder)) !== null)
    throw new SystemError(path, 'to write the file', 'a file or folder of that name (EEXIST)', 'EEXIST')
  try {
    const parent = await folderAt(parentFolder(folder), recursive)
    if (folder !== '') await parent.getDirectoryHandle(baseName(folder), { create: true })
  } catch (thrown) {
    throw writeError(path, thrown)
  }
}

/** The files below a folder of the private file system, or of the disk where the visitor allowed it. */
export const browserFiles = (root: FolderHandle): Storage => {
  const handles = handlesBelow(root)
  const { folderAt, fileAt, stat } = handles
  return {
    stat,
    list: async (folder) => {
      const names: string[] = []
      const handle = await orNull(() => folderAt(trimmed(folder)))
      if (handle !== null) for await (const name of handle.keys()) names.push(name)
      return names
    },
    open: async (path) => {
      const file = await orNull(async () => (await fileAt(path)).getFile())
      if (file !== null) return opened(path, file)
      throw (await stat(path)) === null ? absent(path) : inputError(path, 'a regular file', 'a folder')
    },
    write: (path, content) => writeFile(handles, path, content),
    makeFolder: (path, { recursive = false } = {}) => makeFolder(handles, path, recursive),
    rename: (from, to) => renameFile(handles, from, to),
    remove: async (path) => {
      const info = await stat(path)
      if (info?.kind === 'folder') throw inputError(path, 'a file that can be removed', 'a folder')
      if (info !== null) await (await folderAt(parentFolder(path))).removeEntry(baseName(path))
    },
    realPath: async (path) => {
      if ((await stat(path)) === null) throw absent(path)
      return trimmed(path)
    },
  }
}

const folderInfo: FileInfo = { kind: 'folder', size: 0, version: '', attributesVersion: '' }

const fileInfo = (file: Blob & { readonly lastModified?: number }): FileInfo => {
  const version = `${file.size} ${file.lastModified ?? ''}`
  return { kind: 'file', size: file.size, version, attributesVersion: version }
}

const opened = (path: string, file: Blob): OpenFile => ({
  size: file.size,
  read: async (position, length) => {
    if (position + length > file.size) throw inputError(path, `${position + length} bytes`, `${file.size} (the file is truncated)`)
    return new Uint8Array(await file.slice(position, position + length).arrayBuffer())
  },
  close: async () => undefined,
})

/** The browser may read a chunk later, and the writer may use its buffer again. */
const owned = (chunk: Uint8Array): Uint8Array<ArrayBuffer> => Uint8Array.from(chunk)

/** The storage with these files as one more folder, which is only read: a model that the page downloaded, or that the visitor chose. */
export const mounted = (storage: Storage, folder: string, files: ReadonlyMap<string, Blob>): Storage => {
  /** The name in the mounted folder: '' for the folder itself, null for every other path. */
  const nameIn = (path: string): string | null =>
    trimmed(path) === folder ? '' : path.startsWith(`${folder}/`) ? path.slice(folder.length + 1) : null
  const refuse = async (...paths: readonly string[]): Promise<void> => {
    for (const path of paths) if (nameIn(path) !== null) throw inputError(path, 'a folder that can be written', 'one that is only read')
  }
  return {
    stat: async (path) => {
      const name = nameIn(path)
      if (name === null) return storage.stat(path)
      const file = files.get(name)
      return name === '' ? folderInfo : file === undefined ? null : fileInfo(file)
    },
    list: async (path) => (nameIn(path) === '' ? [...files.keys()] : storage.list(path)),
    open: async (path) => {
      const name = nameIn(path)
      if (name === null) return storage.open(path)
      const file = files.get(name)
      if (file === undefined) throw absent(path)
      return opened(path, file)
    },
    write: (path, content) => refuse(path).then(() => storage.write(path, content)),
    makeFolder: (path, options) => refuse(path).then(() => storage.makeFolder(path, options)),
    rename: (from, to) => refuse(from, to).then(() => storage.rename(from, to)),
    remove: (path) => refuse(path).then(() => storage.remove(path)),
    realPath: async (path) => {
      const name = nameIn(path)
      if (name === null) return storage.realPath(path)
      if (name !== '' && !files.has(name)) throw absent(path)
      return name === '' ? folder : joinPath(folder, name)
    },
  }
}
