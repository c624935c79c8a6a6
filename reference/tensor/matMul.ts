/** The product of two matrices. */
import { mismatch, showShape as show } from './shape.js'
import { filled, matrixShape, type Tensor } from './tensor.js'

interface MatMulOptions {
  readonly transposeX?: boolean
  readonly transposeY?: boolean
}

/** x [n, p] · y [p, m] → [n, m]. A transposed operand is read in place. */
export const matMul = (x: Tensor, y: Tensor, { transposeX = false, transposeY = false }: MatMulOptions = {}): Tensor => {
  const [xRows, xColumns] = matrixShape('matMul', x)
  const [yRows, yColumns] = matrixShape('matMul', y)
  const [n, p] = transposeX ? [xColumns, xRows] : [xRows, xColumns]
  const [q, m] = transposeY ? [yColumns, yRows] : [yRows, yColumns]
  if (p !== q) mismatch('matMul', `inner dimensions that agree`, `${show([n, p])} · ${show([q, m])}`)
  const [xStep, xInner] = transposeX ? [1, xColumns] : [xColumns, 1]
  const [yInner, yStep] = transposeY ? [1, yColumns] : [yColumns, 1]
  const out = filled([n, m], 0)
  for (let i = 0; i < n; i++) {
    if (transposeY) {
      for (let j = 0; j < m; j++) {
        let total = 0
        for (let l = 0; l < p; l++) total += x.data[i * xStep + l * xInner]! * y.data[l * yInner + j * yStep]!
        out.data[i * m + j] = total
      }
    } else {
      for (let l = 0; l < p; l++) {
        const factor = x.data[i * xStep + l * xInner]!
        for (let j = 0; j < m; j++) out.data[i * m + j]! += factor * y.data[l * yInner + j * yStep]!
      }
    }
  }
  return out
}
