/**
 * SHA-256 digests of files of any size, in 4 MiB of memory. Those of large files are kept for later processes: 13 GB take 10 seconds. Each is one
 * small file, whose name follows from the path, inode, size and time stamps of its file. A program can set back a modification time, but not the
 * time of the last change of attributes.
 */
import { isExpected } from '../errors/expectedErrors.js'
import { sha256 } from './native.js'
import { nodeFiles } from './nodeFiles.js'
import { joinPath } from './paths.js'
import { withFile, type Storage } from './storage.js'

const chunkBytes = 4 << 20
/** Smaller files are read in a tenth of a second. */
const largeFile = 2 ** 26
/** A file that changed so recently may change again within one tick of its file system's clock. */
const settled = 2_000

/** The digest of a file in hexadecimal. @throws InputError, a SystemError if the file cannot be read */
export const fileSha256 = (path: string, storage: Storage = nodeFiles): Promise<string> =>
  withFile(storage, path, async ({ size, read }) => {
    const hash = sha256()
    for (let at = 0; at < size; at += chunkBytes) hash.update(await read(at, Math.min(chunkBytes, size - at)))
    return hash.hex()
  })

/**
 * The SHA-256 digest of a file in hexadecimal: from `folder` if it is there, else computed and kept there. A folder that cannot be read or
 * written costs time only.
 * @param smallest bytes of a file whose digest is kept @throws InputError, a SystemError if the file cannot be read
 */
export const storedSha256 = async (path: string, folder: string, smallest: number = largeFile): Promise<string> => {
  const version = await readVersion(path)
  if (version === null || version.size < smallest) return fileSha256(path)
  const stored = joinPath(folder, version.name)
  const known = await readDigest(stored)
  if (known !== null) return known
  const digest = await fileSha256(path)
  if (Date.now() - version.changedAt > settled && (await readVersion(path))?.name === version.name) await keep(folder, stored, digest)
  return digest
}

/** The digest that `storedSha256` kept of this version of the file; null where it kept none, or the file cannot be read. */
export const findStoredSha256 = async (path: string, folder: string): Promise<string | null> => {
  const version = await readVersion(path)
  return version === null ? null : readDigest(joinPath(folder, version.name))
}

type Version = { readonly name: string; readonly size: number; readonly changedAt: number }

/** Null for a file that cannot be read, which the reader then reports. */
const readVersion = async (path: string): Promise<Version | null> => {
  try {
    const info = await nodeFiles.stat(path)
    if (info === null) return null
    const name = sha256()
    name.update(`${await nodeFiles.realPath(path)}\n${info.attributesVersion}`)
    return { name: name.hex(), size: info.size, changedAt: info.changedAt ?? Infinity }
  } catch (thrown) {
    if (isExpected(thrown)) return null
    throw thrown
  }
}

const digestLength = 64

/** Null if there is none, or something else in its place. */
const readDigest = async (file: string): Promise<string | null> => {
  try {
    return await withFile(nodeFiles, file, async ({ size, read }) => {
      const text = size === digestLength ? new TextDecoder('latin1').decode(await read(0, size)) : ''
      return /^[0-9a-f]{64}$/.test(text) ? text : null
    })
  } catch (thrown) {
    if (isExpected(thrown)) return null
    throw thrown
  }
}

const keep = async (folder: string, file: string, digest: string): Promise<void> => {
  try {
    await nodeFiles.makeFolder(folder, { recursive: true })
    await nodeFiles.write(file, digest)
  } catch (thrown) {
    if (!isExpected(thrown)) throw thrown
  }
}
