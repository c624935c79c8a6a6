/**
 * Quantization of a matrix to four bits: W ≈ diag(s) L. A level of L is kq, with q from −8 to 7 in four bits. Each block of 32 values of a row
 * has its scale k, from −15 to 15: its sign chooses the side that reaches 8. So scales are quantized too, as in QLoRA (Dettmers et al., 2023), but to whole
 * numbers. Then every kq is a level of int8, and products are those of int8.
 */
import { blockSize, zeroScale } from '../../graph/quantizedOperators.js'
import { rowScales } from '../int8/quantize.js'

/** Of q. */
const [leastLevel, largestLevel] = [-8, 7]
/** Of |k|: 8 · 15 = 120 fits int8. */
const largestScale = 15
/** The level of 0 as stored. */
const fourBitZero = 8

/** A smaller scale than this share of the one whose −8 reaches the block's largest magnitude cuts off too much to be the best. */
const smallestShare = 0.7

/** 1.5 · 2⁵²: adding it rounds half to even. */
const roundingShift = 1.5 * 2 ** 52

type FourBits = {
  /** q + 8, two a byte, the first in the lower bits: [rows, blocks, 16] */
  readonly levels: Uint8Array
  /** k + 16: [rows, blocks] */
  readonly blockScales: Uint8Array
  /** s: [rows] */
  readonly scales: Float32Array
}

/**
 * s is max |row| / 120. k and q give each block the least squared error; of equal errors, the smaller |k|. The last block of a row is filled with zeros.
 * W: row-major
 */
export const fourBits = (W: Float32Array, [rows = 0, columns = 0]: readonly number[]): FourBits => {
  const blocks = Math.ceil(columns / blockSize)
  const scales = rowScales(W, [rows, columns], -leastLevel * largestScale)
  const blockScales = new Uint8Array(rows * blocks)
  const levels = new Uint8Array((rows * blocks * blockSize) / 2).fill(fourBitZero | (fourBitZero << 4))
  const values = new Float64Array(blockSize)
  for (let row = 0; row < rows; row++)
    for (let block = 0; block < blocks; block++) {
      const start = row * columns + block * blockSize
      const size = Math.min(blockSize, (row + 1) * columns - start)
      values.fill(0) // which has no error
      for (let i = 0; i < size; i++) values[i] = W[start + i] ?? NaN
      const scale = scales[row] ?? NaN
      const k = scale === 0 ? 0 : bestScale(values, scale)
      const at = row * blocks + block
      blockScales[at] = zeroScale + k
      if (k !== 0)
        for (let i = 0; i < blockSize; i += 2)
          levels[(at * blockSize + i) >> 1] = stored(values, i, k * scale) | (stored(values, i + 1, k * scale) << 4)
    }
  return { levels, blockScales, scales }
}

const stored = (values: Float64Array, i: number, scale: number): number => fourBitZero + roundToLevel((values[i] ?? NaN) / scale)

/** Half to even. */
const roundToLevel = (x: number): number => Math.max(leastLevel, Math.min(largestLevel, x + roundingShift - roundingShift))

/** The k of least squared error of a block. */
const bestScale = (values: Float64Array, scale: number): number => {
  let largest = 0
  for (let i = 0; i < blockSize; i++) largest = Math.max(largest, Math.abs(values[i] ?? NaN))
  if (largest === 0) return 0
  const last = Math.min(largestScale, Math.ceil(largest / (largestLevel * scale)))
  let [best, least] = [last, Infinity]
  for (let size = Math.ceil((smallestShare * largest) / (-leastLevel * scale)); size <= last; size++)
    for (const k of [size, -size]) {
      const error = squaredError(values, k * scale, least)
      if (error < least) [best, least] = [k, error]
    }
  return best
}

/** Of a block at one scale; Infinity as soon as it is not below `limit`. */
const squaredError = (values: Float64Array, scale: number, limit: number): number => {
  let error = 0
  for (let i = 0; i < blockSize; i++) {
    const value = values[i] ?? NaN
    const difference = roundToLevel(value / scale) * scale - value
    error += difference * difference
    if (error >= limit) return Infinity
  }
  return error
}

/** The scale of each block in float32, s k: [rows, blocks] */
export const computeBlockScales = ({ blockScales, scales }: FourBits): Float32Array => {
  const blocks = blockScales.length / scales.length
  return Float32Array.from(blockScales, (k, i) => (k - zeroScale) * (scales[Math.floor(i / blocks)] ?? NaN))
}
