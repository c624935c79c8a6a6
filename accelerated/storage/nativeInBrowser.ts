/** SHA-256, the check of UTF-8 and gzip in a browser, in place of native.ts. */
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { Sha256 } from './native.js'

/** Bytes that are decoded at once: a text of all bytes may not fit into one string. */
const pieceBytes = 2 ** 22

/** Whether bytes are UTF-8. */
export const isUtf8 = (bytes: Uint8Array): boolean => {
  const decoder = new TextDecoder('utf-8', { fatal: true })
  try {
    for (let at = 0; at < bytes.length; at += pieceBytes) decoder.decode(bytes.subarray(at, at + pieceBytes), { stream: true })
    decoder.decode()
    return true
  } catch {
    return false
  }
}

const encode = (content: string | Uint8Array): Uint8Array => (typeof content === 'string' ? utf8ToBytes(content) : content)

/** The browser's own digests need all bytes at once and a promise. */
export const sha256 = (): Sha256 => {
  const digest = nobleSha256.create()
  return { update: (content) => void digest.update(encode(content)), hex: () => bytesToHex(digest.digest()) }
}

/** The 32 bytes of a text's SHA-256 digest. */
export const textSha256 = (text: string): Uint8Array => nobleSha256(encode(text))

/** What gzip packed. @throws TypeError for bytes that are no gzip file, and the error of `chunks` */
export async function* inflate(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const source = chunks[Symbol.asyncIterator]()
  const packed = new ReadableStream<Uint8Array<ArrayBuffer>>({
    pull: async (stream) => {
      const { done, value } = await source.next()
      if (done === true) stream.close()
      else stream.enqueue(new Uint8Array(value)) // never of shared memory, which streams refuse
    },
    cancel: async () => {
      await source.return?.()
    },
  })
  const reader = packed.pipeThrough(new DecompressionStream('gzip')).getReader()
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read()) yield next.value
  } finally {
    await reader.cancel().catch(() => undefined) // it has failed
  }
}
