/** Losses of pairs of embeddings by their cosines: multiple negatives (Henderson et al., 2017), the squared distance to scores, and to classes. */
import { matMul } from '../tensor/matMul.js'
import {
  generate,
  map,
  matrixShape,
  multiply,
  multiplyColumn,
  rowSums,
  scaleBy,
  selectColumns,
  subtract,
  transpose,
  type Tensor,
} from '../tensor/tensor.js'
import { crossEntropy, crossEntropyVjp } from './losses.js'

/** |x| of each row: [rows] */
const rowNorms = (x: Tensor): Tensor => map(Math.sqrt)(rowSums(multiply(x, x)))

/** y = x / |x|, row by row. */
export const unitRows = (x: Tensor): Tensor => multiplyColumn(x, map((length) => 1 / length)(rowNorms(x)))

/** x̄ = (ȳ − (ȳ · y) y) / |x|, row by row. */
export const unitRowsVjp = (x: Tensor, yBar: Tensor): Tensor => {
  const y = unitRows(x)
  return multiplyColumn(subtract(yBar, multiplyColumn(y, rowSums(multiply(yBar, y)))), map((length) => 1 / length)(rowNorms(x)))
}

export interface PairGradients {
  readonly first: Tensor
  readonly second: Tensor
}

const diagonal = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)

/** Cross-entropy of scale · cos(aᵢ, bⱼ) over j with the label i, as a mean over i. first: [pairs, width], second: [pairs, width], or more rows: negatives */
export const rankingLoss = (scale: number, first: Tensor, second: Tensor): number => {
  const [pairs] = matrixShape('rankingLoss', first)
  return crossEntropy(scaleBy(scale)(matMul(unitRows(first), unitRows(second), { transposeY: true })), diagonal(pairs))
}

/** S̄ of the logits S = scale · A Bᵀ gives Ā = scale · S̄ B and B̄ = scale · S̄ᵀ A for rows of length 1. */
export const rankingLossVjp = (scale: number, first: Tensor, second: Tensor, lossBar: number): PairGradients => {
  const [pairs] = matrixShape('rankingLossVjp', first)
  const [a, b] = [unitRows(first), unitRows(second)]
  const bar = scaleBy(scale)(crossEntropyVjp(scaleBy(scale)(matMul(a, b, { transposeY: true })), diagonal(pairs), lossBar))
  return { first: unitRowsVjp(first, matMul(bar, b)), second: unitRowsVjp(second, matMul(transpose(bar), a)) }
}

/** The mean of (cos(aᵢ, bᵢ) − scoreᵢ)². */
export const similarityLoss = (first: Tensor, second: Tensor, scores: readonly number[]): number => {
  const cosines = rowSums(multiply(unitRows(first), unitRows(second)))
  return scores.reduce((sum, score, i) => sum + (cosines.data[i]! - score) ** 2, 0) / scores.length
}

/** c̄ᵢ = 2 (cᵢ − scoreᵢ) / pairs · l̄ gives āᵢ = c̄ᵢ bᵢ and b̄ᵢ = c̄ᵢ aᵢ for rows of length 1. */
export const similarityLossVjp = (first: Tensor, second: Tensor, scores: readonly number[], lossBar: number): PairGradients => {
  const [a, b] = [unitRows(first), unitRows(second)]
  const cosines = rowSums(multiply(a, b))
  const bar = generate([scores.length], (i) => (2 * (cosines.data[i]! - scores[i]!) * lossBar) / scores.length)
  return { first: unitRowsVjp(first, multiplyColumn(b, bar)), second: unitRowsVjp(second, multiplyColumn(a, bar)) }
}

/** The mean over all pairs of rows of (cos(xᵢ, xⱼ) − s)², where s is 1 for rows of one class, and else 0. x: [rows, width] */
export const contrastLoss = (x: Tensor, labels: readonly number[]): number => {
  const errors = contrastErrors(unitRows(x), labels)
  return errors.data.reduce((sum, error) => sum + error ** 2, 0) / labels.length ** 2
}

/** E = U Uᵀ − S is symmetric, so Ū = 4 E U / rows² · l̄. */
export const contrastLossVjp = (x: Tensor, labels: readonly number[], lossBar: number): Tensor => {
  const u = unitRows(x)
  return unitRowsVjp(x, scaleBy((4 * lossBar) / labels.length ** 2)(matMul(contrastErrors(u, labels), u)))
}

const contrastErrors = (u: Tensor, labels: readonly number[]): Tensor => {
  const n = labels.length
  return subtract(
    matMul(u, u, { transposeY: true }),
    generate([n, n], (i) => (labels[Math.floor(i / n)] === labels[i % n] ? 1 : 0)),
  )
}

const firstColumns = (size: number): readonly number[] => Array.from({ length: size }, (_, i) => i)

/** Σ over the sizes of the loss of the first columns alone (Kusupati et al., 2022). */
export const nestedLoss = (
  sizes: readonly number[],
  loss: (first: Tensor, second: Tensor) => number,
  first: Tensor,
  second: Tensor,
): number => sizes.reduce((sum, size) => sum + loss(selectColumns(first, firstColumns(size)), selectColumns(second, firstColumns(size))), 0)

/** Each size adds its gradient to the first columns, and 0 to the others. @param vjp of the loss */
export const nestedLossVjp = (
  sizes: readonly number[],
  vjp: (first: Tensor, second: Tensor) => PairGradients,
  first: Tensor,
  second: Tensor,
): PairGradients => {
  const parts = sizes.map((size) => ({ size, ...vjp(selectColumns(first, firstColumns(size)), selectColumns(second, firstColumns(size))) }))
  const sum = (side: keyof PairGradients, x: Tensor): Tensor => {
    const [, width] = matrixShape('nestedLossVjp', x)
    return generate(x.shape, (i) => {
      const [row, column] = [Math.floor(i / width), i % width]
      return parts.reduce((total, part) => total + (column < part.size ? part[side].data[row * part.size + column]! : 0), 0)
    })
  }
  return { first: sum('first', first), second: sum('second', second) }
}
