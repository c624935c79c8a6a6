/** SHA-256 in place of digest.ts in a browser, whose own digests need all bytes at once and a promise. */
import { sha256 as digesting } from '@noble/hashes/sha2.js'
import { bytesToHex, utf8ToBytes } from '@noble/hashes/utils.js'
import type { Sha256 } from './digest.js'

const bytesOf = (content: string | Uint8Array): Uint8Array => (typeof content === 'string' ? utf8ToBytes(content) : content)

export const sha256 = (): Sha256 => {
  const made = digesting.create()
  return { update: (content) => void made.update(bytesOf(content)), hex: () => bytesToHex(made.digest()) }
}

/** The 32 bytes of a text's digest. */
export const digestOf = (text: string): Uint8Array => digesting(bytesOf(text))
