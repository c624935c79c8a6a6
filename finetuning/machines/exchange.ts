/** Trained numbers and gradients as bytes: as they are, or rounded to float16 with a power of two for every thousand numbers. */
import { fromFloat16, toFloat16 } from '../../accelerated/storage/float16.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import { zeros, type Vector } from '../../accelerated/parameters/vectors.js'

/** How gradients travel. `float32`: in the precision of the run */
export type Exchange = 'float32' | 'float16'
export const exchanges = ['float32', 'float16'] as const satisfies readonly Exchange[]

/** Numbers that share a power of two. */
const chunk = 1_024

/** The largest magnitude in a chunk, after scaling: below float16's 65,504. */
const largestExponent = 15

const countChunks = (size: number): number => Math.ceil(size / chunk)

/** @returns bytes whose number follows from the vector's size */
export const encodeVector = (numbers: Vector, exchange: Exchange): Uint8Array => {
  if (exchange === 'float32') return new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength)
  const exponents = new Int16Array(countChunks(numbers.length))
  const scaled = numbers.slice()
  for (let c = 0; c < exponents.length; c++) {
    const [start, end] = [c * chunk, Math.min(scaled.length, (c + 1) * chunk)]
    let most = 0
    for (let i = start; i < end; i++) {
      const size = Math.abs(scaled[i] as number)
      if (size > most) most = size
    }
    const exponent = most > 0 && Number.isFinite(most) ? Math.ceil(Math.log2(most)) - largestExponent : 0
    exponents[c] = exponent
    const scale = 2 ** -exponent
    for (let i = start; i < end; i++) scaled[i] = (scaled[i] as number) * scale
  }
  const halves = toFloat16(scaled)
  const bytes = new Uint8Array(exponents.byteLength + halves.byteLength)
  bytes.set(new Uint8Array(exponents.buffer))
  bytes.set(new Uint8Array(halves.buffer), exponents.byteLength)
  return bytes
}

/** The number of bytes of `size` numbers. */
export const encodedLength = (size: number, dtype: FloatType, exchange: Exchange): number =>
  exchange === 'float16' ? 2 * (countChunks(size) + size) : size * (dtype === 'float64' ? 8 : 4)

/** The numbers of `bytesOf`; null for another number of bytes. */
export const decodeVector = (bytes: Uint8Array, size: number, dtype: FloatType, exchange: Exchange): Vector | null => {
  if (bytes.byteLength !== encodedLength(size, dtype, exchange)) return null
  const aligned = new Uint8Array(bytes).buffer // a copy: Buffer's own slice() is a view
  if (exchange === 'float32') return dtype === 'float64' ? new Float64Array(aligned) : new Float32Array(aligned)
  const exponents = new Int16Array(aligned, 0, countChunks(size))
  const numbers = zeros(size, dtype)
  numbers.set(fromFloat16(new Uint16Array(aligned, exponents.byteLength)))
  for (const [c, exponent] of exponents.entries()) {
    const scale = 2 ** exponent
    const end = Math.min(size, (c + 1) * chunk)
    for (let i = c * chunk; i < end; i++) numbers[i] = (numbers[i] ?? 0) * scale
  }
  return numbers
}

/** What a gradient is after it has traveled. */
export const traveled = (numbers: Vector, dtype: FloatType, exchange: Exchange): Vector =>
  exchange === 'float32' ? numbers : (decodeVector(encodeVector(numbers, exchange), numbers.length, dtype, exchange) as Vector)
