/** SHA-256 digests of files of any size, in 4 MiB of memory. */
import { sha256 } from './digest.js'
import { nodeFiles } from './nodeFiles.js'
import { withFile, type Storage } from './storage.js'

const chunkBytes = 4 << 20

/** The digest of a file in hexadecimal. @throws InputError, a SystemError if the file cannot be read */
export const fileSha256 = (path: string, storage: Storage = nodeFiles): Promise<string> =>
  withFile(storage, path, async ({ size, read }) => {
    const hash = sha256()
    for (let at = 0; at < size; at += chunkBytes) hash.update(await read(at, Math.min(chunkBytes, size - at)))
    return hash.hex()
  })

export { sha256, type Sha256 } from './digest.js'
