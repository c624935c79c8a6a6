/** SHA-256 (FIPS 180-4) in place of digest.ts in a browser, whose own digests need all bytes at once and a promise. */
import type { Sha256 } from './digest.js'

/** The first 32 bits of the fractional parts of the square or cube roots of the first primes (FIPS 180-4, 4.2.2 and 5.3.3). */
const fractions = (root: (prime: number) => number, count: number): Uint32Array => {
  const primes = Array.from({ length: 312 }, (_, n) => n).filter((n) => n > 1 && isPrime(n))
  return Uint32Array.from(primes.slice(0, count), (prime) => Math.floor((root(prime) % 1) * 2 ** 32))
}

const isPrime = (n: number): boolean => {
  for (let divisor = 2; divisor * divisor <= n; divisor++) if (n % divisor === 0) return false
  return true
}

const constants = fractions(Math.cbrt, 64)
const start = fractions(Math.sqrt, 8)
const blockBytes = 64

const rotated = (x: number, by: number): number => (x >>> by) | (x << (32 - by))

/** Adds a block of 64 bytes to the state. @param words 64 numbers of working memory */
const addBlock = (state: Uint32Array, words: Uint32Array, bytes: DataView, at: number): void => {
  for (let t = 0; t < 16; t++) words[t] = bytes.getUint32(at + 4 * t)
  for (let t = 16; t < 64; t++) {
    const [before, last] = [words[t - 15] ?? 0, words[t - 2] ?? 0]
    const low = rotated(before, 7) ^ rotated(before, 18) ^ (before >>> 3)
    const high = rotated(last, 17) ^ rotated(last, 19) ^ (last >>> 10)
    words[t] = (words[t - 16] ?? 0) + low + (words[t - 7] ?? 0) + high
  }
  let [a = 0, b = 0, c = 0, d = 0, e = 0, f = 0, g = 0, h = 0] = state
  for (let t = 0; t < 64; t++) {
    const choice = (e & f) ^ (~e & g)
    const first = (h + (rotated(e, 6) ^ rotated(e, 11) ^ rotated(e, 25)) + choice + (constants[t] ?? 0) + (words[t] ?? 0)) | 0
    const second = ((rotated(a, 2) ^ rotated(a, 13) ^ rotated(a, 22)) + ((a & b) ^ (a & c) ^ (b & c))) | 0
    h = g
    g = f
    f = e
    e = (d + first) | 0
    d = c
    c = b
    b = a
    a = (first + second) | 0
  }
  const sums = [a, b, c, d, e, f, g, h]
  for (let i = 0; i < 8; i++) state[i] = (state[i] ?? 0) + (sums[i] ?? 0)
}

/** A digest whose bytes can be read once. */
const digesting = () => {
  const [state, words, rest] = [start.slice(), new Uint32Array(64), new Uint8Array(blockBytes)]
  const restView = new DataView(rest.buffer)
  let [held, total] = [0, 0]
  const update = (bytes: Uint8Array): void => {
    total += bytes.length
    let at = 0
    if (held > 0) {
      at = Math.min(blockBytes - held, bytes.length)
      rest.set(bytes.subarray(0, at), held)
      held += at
      if (held < blockBytes) return
      addBlock(state, words, restView, 0)
      held = 0
    }
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (; at + blockBytes <= bytes.length; at += blockBytes) addBlock(state, words, view, at)
    rest.set(bytes.subarray(at))
    held = bytes.length - at
  }
  const finish = (): Uint8Array => {
    const bits = 8 * total
    const padding = new Uint8Array((held < 56 ? 56 : 120) - held + 8)
    padding[0] = 0x80
    const view = new DataView(padding.buffer)
    view.setUint32(padding.length - 8, Math.floor(bits / 2 ** 32))
    view.setUint32(padding.length - 4, bits >>> 0)
    update(padding)
    const digest = new DataView(new ArrayBuffer(32))
    state.forEach((word, i) => digest.setUint32(4 * i, word))
    return new Uint8Array(digest.buffer)
  }
  return { update, finish }
}

const bytesOf = (content: string | Uint8Array): Uint8Array => (typeof content === 'string' ? new TextEncoder().encode(content) : content)

export const sha256 = (): Sha256 => {
  const { update, finish } = digesting()
  return {
    update: (content) => update(bytesOf(content)),
    hex: () => Array.from(finish(), (byte) => byte.toString(16).padStart(2, '0')).join(''),
  }
}

/** The 32 bytes of a text's digest. */
export const digestOf = (text: string): Uint8Array => {
  const { update, finish } = digesting()
  update(bytesOf(text))
  return finish()
}
