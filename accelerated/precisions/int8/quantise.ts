/** A matrix in int8: W ≈ diag(s) Q, one scale a row (an output channel), so that one Q serves both directions of a layer. */

/** Either side of 0: −W has the levels of W with their signs changed. */
const largestLevel = 127

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

/** The whole numbers nearest to W / scale, half-way to the even one; a row of zeros has zeros. W: [rows, columns] → [rows, columns] and [columns, rows] */
export const rowLevels = (
  W: Float32Array,
  [rows = 0, columns = 0]: ReadonlyArray<number>,
): { readonly levels: Int8Array; readonly transposed: Int8Array } => {
  const scales = rowScales(W, [rows, columns])
  const [levels, transposed] = [new Int8Array(W.length), new Int8Array(W.length)]
  for (let row = 0; row < rows; row++) {
    const scale = scales[row] ?? NaN
    if (scale === 0) continue
    for (let column = 0; column < columns; column++) {
      const exact = (W[row * columns + column] ?? NaN) / scale
      const above = Math.round(exact) // half-way goes up
      const level = Math.max(-largestLevel, Math.min(largestLevel, above - exact === 0.5 && above % 2 !== 0 ? above - 1 : above))
      levels[row * columns + column] = level
      transposed[column * rows + row] = level
    }
  }
  return { levels, transposed }
}
