/** Text files: UTF-8 of a bounded size, and gzip files, which are unpacked as they are read, with a bound on what they become. */
import { inputError, reason } from '../errors/inputError.js'
import { systemCode, systemInputError } from '../errors/systemError.js'
import { inflate } from './native.js'
import { nodeFiles } from './nodeFiles.js'
import { withFile, type Storage } from './storage.js'

/** The largest text that is read at once, in bytes, unless its reader has another bound. The largest tokenizers of the hub have 40 MB. */
const textLimit = 64_000_000

/** The text of a file. @throws InputError if it is unreadable, not a regular file, larger than `limit` bytes, or not UTF-8 */
export const readText = (file: string, limit = textLimit, storage: Storage = nodeFiles): Promise<string> =>
  withFile(storage, file, async ({ size, read }) => {
    if (size > limit) throw inputError(file, `at most ${limit} bytes`, `${size}`)
    return decodeUtf8(await read(0, size), file, 'text')
  })

/** @throws InputError if the bytes are not UTF-8 */
export const decodeUtf8 = (bytes: Uint8Array, file: string, what: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw inputError(file, `${what === 'text' ? 'text' : `a ${what}`} in UTF-8`, 'bytes that are not')
  }
}

/** A higher ratio is refused as a bomb: models shrink to a fourth, texts to a third. */
const largestRatio = 200
/** Shorter texts are exempt from the ratio: they may be very regular. */
const freeBytes = 2 ** 26

/** Whether a file begins as gzip files do. No text begins so. */
export const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b

/**
 * The unpacked bytes of a gzip file.
 * @param name of the file, in errors
 * @throws InputError if the file is truncated, damaged or a bomb
 */
export async function* gunzipped(name: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  let [read, made] = [0, 0]
  const counted = async function* (): AsyncGenerator<Uint8Array> {
    for await (const chunk of chunks) {
      read += chunk.length
      yield chunk
    }
  }
  try {
    for await (const bytes of inflate(counted())) {
      made += bytes.length
      if (made > freeBytes && made > largestRatio * read)
        throw inputError(name, `text that gzip made at most ${largestRatio} times smaller`, `${made} bytes of ${read}`)
      yield bytes
    }
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : ''
    if (code === 'Z_BUF_ERROR') throw inputError(name, 'a whole gzip file', 'one that is cut short')
    if (code.startsWith('Z_') || thrown instanceof TypeError)
      throw inputError(name, 'a gzip file', `one that is damaged (${reason(thrown)})`)
    throw systemCode(thrown) === null ? thrown : systemInputError(name, 'a readable file', thrown)
  }
}
