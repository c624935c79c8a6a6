/** Quantization of a matrix to int8: W ≈ diag(s) Q with one scale per row (an output channel). One Q serves both directions of a layer. */

import { unsignedZero } from '../../graph/quantizedOperators.js'

/** Levels are symmetric: the levels of −W are those of W with the other sign. */
export const largestLevel = 127

/** The largest level of int8 whose products with uint8 do not saturate on any processor: two of them fit 16 bits, 2 · 255 · 63 < 2¹⁵. */
export const portableLevel = 63

/**
 * A matrix with at least this many bytes of levels is stored in one orientation only, and transposed for each product that needs the other.
 * This takes half of the memory, and a tenth of a step's time.
 */
export const largeLevels = 2 ** 29

/** 1.5 · 2⁵²: numbers of this size are integers, so adding it rounds half to even, in a quarter of the time of explicit rounding. */
const roundingShift = 1.5 * 2 ** 52

/** max |row| / the largest level. W: [rows, columns] → [rows] */
export const rowScales = (W: Float32Array, [rows = 0, columns = 0]: readonly number[], maxLevel = largestLevel): Float32Array => {
  const scales = new Float32Array(rows)
  for (let row = 0; row < rows; row++) {
    let largest = 0
    for (let i = row * columns; i < (row + 1) * columns; i++) largest = Math.max(largest, Math.abs(W[i] ?? NaN))
    scales[row] = largest / maxLevel
  }
  return scales
}

/** W / scale rounded half to even; a row of zeros keeps zeros. W: [rows, columns], scales: [rows] → [rows, columns] */
export const rowLevels = (W: Float32Array, scales: Float32Array, maxLevel = largestLevel): Int8Array => {
  const levels = new Int8Array(W.length)
  const columns = W.length / scales.length
  for (let row = 0; row < scales.length; row++) {
    const scale = scales[row] ?? NaN
    if (scale === 0) continue
    for (let i = row * columns; i < (row + 1) * columns; i++) {
      const rounded = (W[i] ?? NaN) / scale + roundingShift - roundingShift
      levels[i] = Math.max(-maxLevel, Math.min(maxLevel, rounded)) // a scale below float32's range can exceed it
    }
  }
  return levels
}

/** diag(s) Q. W: [rows, columns] */
export const roundRows = (W: Float32Array, shape: readonly number[]): Float32Array => {
  const scales = rowScales(W, shape)
  const columns = W.length / scales.length
  return Float32Array.from(rowLevels(W, scales), (level, i) => level * (scales[Math.floor(i / columns)] ?? NaN))
}

/** The levels around 128. */
export const unsignedLevels = (levels: Int8Array): Uint8Array => Uint8Array.from(levels, (level) => level + unsignedZero)

/**
 * Blocks of `size` values of a row, each rounded half to even by its own scale max |block| / 127. The last block of a row is filled with zeros.
 * W: [rows, columns] → levels [rows, blocks, size] around 128, scales [rows, blocks]
 */
export const quantizedBlocks = (
  W: Float32Array,
  [rows = 0, columns = 0]: readonly number[],
  size: number,
): { readonly levels: Uint8Array; readonly scales: Float32Array } => {
  const blocks = Math.ceil(columns / size)
  const [levels, scales] = [new Uint8Array(rows * blocks * size).fill(unsignedZero), new Float32Array(rows * blocks)]
  for (let row = 0; row < rows; row++)
    for (let block = 0; block < blocks; block++) {
      const [start, at] = [row * columns + block * size, (row * blocks + block) * size]
      const values = W.subarray(start, Math.min(start + size, (row + 1) * columns))
      const [scale = 0] = rowScales(values, [1, values.length])
      scales[row * blocks + block] = scale
      rowLevels(values, Float32Array.of(scale)).forEach((level, i) => {
        levels[at + i] = unsignedZero + level
      })
    }
  return { levels, scales }
}

/** [rows, columns] → [columns, rows] */
export const transposeLevels = (levels: Int8Array, [rows = 0, columns = 0]: readonly number[]): Int8Array => {
  const transposed = new Int8Array(levels.length)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) transposed[column * rows + row] = levels[row * columns + column] ?? 0
  return transposed
}
