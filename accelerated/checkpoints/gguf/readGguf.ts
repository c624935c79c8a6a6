/** Opens GGUF files: only the header is read, in pieces that grow until they contain it. */
import { inputError } from '../../errors/inputError.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { withFile, type Storage } from '../../storage/storage.js'
import { parseGgufHeader, type GgufHeader } from './ggufHeader.js'

/** Bytes that are read first, and bytes of the largest header. The vocabulary of 150,000 tokens makes 6 MB of it. */
const firstBytes = 1_000_000
const headerLimit = 64_000_000

/** @throws InputError if the file is unreadable, not GGUF, cut off, or wrong anywhere in its header */
export const readGguf = (file: string, storage: Storage = nodeFiles): Promise<GgufHeader> =>
  withFile(storage, file, async ({ size, read }) => {
    for (let length = firstBytes; ; length *= 8) {
      const bytes = await read(0, Math.min(length, headerLimit, size))
      const header = parseGgufHeader(bytes, size, file)
      if (header !== null) return header
      if (bytes.length === size) throw inputError(file, 'a whole GGUF header', `${size} bytes (the file is truncated)`)
      if (bytes.length === headerLimit) throw inputError(file, `a header of at most ${headerLimit} bytes`, 'a longer one')
    }
  })
