/** A Storage in memory: files are byte arrays in a Map. For tests, browsers, and runs that must not touch a disk. */
import { concatenate, type Content, type FileInfo, type OpenFile, type Storage } from './storage.js'
import { inputError, type InputError } from '../errors/inputError.js'
import { SystemError } from '../errors/systemError.js'
import { parentFolder, baseName, trimmed } from './paths.js'

/** An empty storage. As on a disk, a folder must exist before files are written into it; the root is ''. */
export const memoryStorage = (): Storage => {
  const tree: Tree = { files: new Map(), folders: new Set(['']), writes: 0 }
  return {
    stat: async (path) => findInfo(tree, trimmed(path)),
    list: async (folder) =>
      [...tree.files.keys(), ...tree.folders].filter((path) => path !== '' && parentFolder(path) === trimmed(folder)).map(baseName),
    open: async (path) => opened(path, findFile(tree, path).bytes),
    write: async (path, content) => placeFile(tree, path, await readBytes(content)),
    makeFolder: async (path, { recursive = false } = {}) => placeFolder(tree, trimmed(path), recursive),
    rename: async (from, to) => {
      placeFile(tree, to, findFile(tree, from).bytes)
      if (from !== to) tree.files.delete(from)
    },
    remove: async (path) => {
      if (tree.folders.has(path)) throw inputError(path, 'a file that can be removed', 'a folder')
      tree.files.delete(path)
    },
    realPath: async (path) => {
      if (findInfo(tree, trimmed(path)) === null) throw absent(path)
      return trimmed(path)
    },
  }
}

type MemoryFile = { readonly bytes: Uint8Array; readonly version: number }
type Tree = { readonly files: Map<string, MemoryFile>; readonly folders: Set<string>; writes: number }

const absent = (path: string): InputError => new SystemError(path, 'a readable file', 'no such file or folder (ENOENT)', 'ENOENT')

const findInfo = ({ files, folders }: Tree, path: string): FileInfo | null => {
  const file = files.get(path)
  if (file === undefined) return folders.has(path) ? { kind: 'folder', size: 0, version: '', attributesVersion: '' } : null
  const version = String(file.version)
  return { kind: 'file', size: file.bytes.length, version, attributesVersion: version }
}

const findFile = ({ files, folders }: Tree, path: string): MemoryFile => {
  const file = files.get(path)
  if (file !== undefined) return file
  throw folders.has(path) ? inputError(path, 'a regular file', 'a folder') : absent(path)
}

const placeFile = (tree: Tree, path: string, bytes: Uint8Array): void => {
  if (!tree.folders.has(parentFolder(path))) throw new SystemError(path, 'to write the file', 'a missing folder (ENOENT)', 'ENOENT')
  if (tree.folders.has(path)) throw new SystemError(path, 'to write the file', 'a folder of that name (EISDIR)', 'EISDIR')
  tree.files.set(path, { bytes, version: ++tree.writes })
}

const placeFolder = (tree: Tree, path: string, recursive: boolean): void => {
  if (tree.folders.has(path) && recursive) return
  if (findInfo(tree, path) !== null) throw new SystemError(path, 'to write the file', 'a file or folder of that name (EEXIST)', 'EEXIST')
  const parent = parentFolder(path)
  if (recursive) placeFolder(tree, parent, true)
  if (!tree.folders.has(parent)) throw new SystemError(path, 'to write the file', 'a missing folder (ENOENT)', 'ENOENT')
  tree.folders.add(path)
}

const opened = (path: string, bytes: Uint8Array): OpenFile => ({
  size: bytes.length,
  read: async (position, length) => {
    if (position + length > bytes.length) throw inputError(path, `${position + length} bytes`, `${bytes.length} (the file is truncated)`)
    return bytes.slice(position, position + length)
  },
  close: async () => undefined,
})

const readBytes = async (content: Content): Promise<Uint8Array> => {
  if (typeof content === 'string') return new TextEncoder().encode(content)
  if (content instanceof Uint8Array) return new Uint8Array(content) // a Buffer's slice would be a view
  const chunks: Uint8Array[] = []
  for await (const chunk of content) chunks.push(new Uint8Array(chunk)) // the writer may reuse its buffer
  return concatenate(chunks)
}
