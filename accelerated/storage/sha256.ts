/** SHA-256 of a file's bytes, read piece by piece: a file of any size in 4 MiB of memory. */
import { createHash } from 'node:crypto'
import { readBytes, withRegularFile } from './regularFile.js'

const chunkBytes = 4 << 20

/** In hexadecimal. Throws Mistake; a SystemError where the file could not be read. */
export const fileSha256 = (path: string): Promise<string> =>
  withRegularFile(path, async (handle, size) => {
    const hash = createHash('sha256')
    for (let at = 0; at < size; at += chunkBytes) hash.update(await readBytes(handle, path, at, Math.min(chunkBytes, size - at)))
    return hash.digest('hex')
  })
