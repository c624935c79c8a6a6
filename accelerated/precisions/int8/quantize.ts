/** A matrix in int8: W ≈ diag(s) Q, one scale a row (an output channel), so that one Q serves both directions of a layer. */

/** Either side of 0: −W has the levels of W with their signs changed. */
const largestLevel = 127

/**
 * Bytes of levels from which on a matrix is there one way round only, and turned for each product that wants it the other way: a tenth of a
 * step's time for half of the memory.
 */
export const largeLevels = 2 ** 29

/** 1.5 · 2⁵²: numbers of this size are whole, so that adding it rounds, half-way to the even one, in a quarter of the time of a rule of our own. */
const wholeNumbers = 1.5 * 2 ** 52

/** max |row| / 127. W: [rows, columns] → [rows] */
export const rowScales = (W: Float32Array, [rows = 0, columns = 0]: ReadonlyArray<number>): Float32Array => {
  const scales = new Float32Array(rows)
  for (let row = 0; row < rows; row++) {
    let most = 0
    for (let i = row * columns; i < (row + 1) * columns; i++) most = Math.max(most, Math.abs(W[i] ?? NaN))
    scales[row] = most / largestLevel
  }
  return scales
}

/** The whole numbers nearest to W / scale, half-way to the even one; a row of zeros has zeros. W: [rows, columns], scales: [rows] → [rows, columns] */
export const rowLevels = (W: Float32Array, scales: Float32Array): Int8Array => {
  const levels = new Int8Array(W.length)
  const columns = W.length / scales.length
  for (let row = 0; row < scales.length; row++) {
    const scale = scales[row] ?? NaN
    if (scale === 0) continue
    for (let i = row * columns; i < (row + 1) * columns; i++) {
      const nearest = (W[i] ?? NaN) / scale + wholeNumbers - wholeNumbers
      levels[i] = Math.max(-largestLevel, Math.min(largestLevel, nearest)) // beyond it lies what a scale below float32's range leaves
    }
  }
  return levels
}

/** [rows, columns] → [columns, rows] */
export const transposedOf = (levels: Int8Array, [rows = 0, columns = 0]: ReadonlyArray<number>): Int8Array => {
  const transposed = new Int8Array(levels.length)
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) transposed[column * rows + row] = levels[row * columns + column] ?? 0
  return transposed
}
