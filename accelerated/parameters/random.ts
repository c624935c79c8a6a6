/**
 * Counter-based random numbers: Philox 4×32 with 10 rounds (Salmon, Moraes, Dror & Shaw, 2011). A draw is a function of (seed, stream,
 * step, index) only, so a resumed run, another provider and another thread draw the same numbers.
 */

/** The purposes of random numbers. Every run depends on these codes: a code is never reused for another purpose. */
export const streams = {
  initialization: 1,
  order: 2,
  gates: 3,
  dropoutPool: 4,
  dropoutOffsets: 5,
  masking: 6,
  split: 7,
  retention: 8,
  generation: 9,
  mixture: 10,
  merging: 11,
  embeddings: 12,
} as const
export type Stream = keyof typeof streams

/** The high word of a · b, by halves of 16 bits. No array is made here, nor in the rounds: a run draws a million numbers at its start. */
const high = (a: number, b: number): number => {
  const aLow = a & 0xffff
  const aHigh = a >>> 16
  const bLow = b & 0xffff
  const bHigh = b >>> 16
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16)
  const other = aLow * bHigh + (middle & 0xffff)
  return (aHigh * bHigh + Math.floor(middle / 0x10000) + Math.floor(other / 0x10000)) >>> 0
}

/** Four 32-bit words of (counter, key), written to `out`. */
export const philox = (c0: number, c1: number, c2: number, c3: number, k0: number, k1: number, out: Uint32Array): void => {
  for (let round = 0; round < 10; round++) {
    const high0 = high(0xd2511f53, c0)
    const high1 = high(0xcd9e8d57, c2)
    const low0 = Math.imul(0xd2511f53, c0)
    c0 = high1 ^ c1 ^ k0
    c1 = Math.imul(0xcd9e8d57, c2)
    c2 = high0 ^ c3 ^ k1
    c3 = low0
    k0 = (k0 + 0x9e3779b9) | 0
    k1 = (k1 + 0xbb67ae85) | 0
  }
  out[0] = c0
  out[1] = c1
  out[2] = c2
  out[3] = c3
}

/** `count` numbers, uniform on (0, 1): never 0, never 1. @param seed an integer below 2⁵³ @param step which draw of this stream */
export const uniforms = (seed: number, stream: Stream, step: number, count: number): Float64Array => {
  const result = new Float64Array(count)
  const words = new Uint32Array(4)
  const [seedLow, seedHigh] = [seed >>> 0, Math.floor(seed / 0x100000000) >>> 0]
  for (let i = 0; i < count; i += 4) {
    philox(i >>> 2, step >>> 0, Math.floor(step / 0x100000000), seedHigh, seedLow, streams[stream], words)
    for (let j = 0; j < 4 && i + j < count; j++) result[i + j] = ((words[j] ?? 0) + 0.5) / 0x100000000
  }
  return result
}

/** `count` standard normal numbers, by Box and Muller. */
export const normals = (seed: number, stream: Stream, step: number, count: number): Float64Array => {
  const u = uniforms(seed, stream, step, count + (count & 1))
  return Float64Array.from({ length: count }, (_, i) => {
    const [radius, angle] = [Math.sqrt(-2 * Math.log(u[i & ~1] ?? 0.5)), 2 * Math.PI * (u[i | 1] ?? 0.5)]
    return radius * (i % 2 === 0 ? Math.cos(angle) : Math.sin(angle))
  })
}

/** 0 … count − 1 in a random order (Fisher and Yates). */
export const permutation = (seed: number, stream: Stream, step: number, count: number): Int32Array => {
  const order = Int32Array.from({ length: count }, (_, i) => i)
  const u = uniforms(seed, stream, step, count)
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor((u[i] ?? 0) * (i + 1))
    const swapped = order[i] ?? 0
    order[i] = order[j] ?? 0
    order[j] = swapped
  }
  return order
}
