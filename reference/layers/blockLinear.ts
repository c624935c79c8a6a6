/** Linear layers on a matrix in blocks: each few values of a row share a scale, as in llama.cpp's Q8_0. x is rounded in the same blocks. */
import { matMul } from '../tensor/matMul.js'
import { generate, matrixShape, type Tensor } from '../tensor/tensor.js'
import { largestLevel, roundHalfEven } from './quantizedLinear.js'

/** The scale of the block of each value: max |block| / 127. The last block of a row may be shorter. x: [n, m] → [n, m] */
export const blockScales = (x: Tensor, size: number): Tensor => {
  const [, m] = matrixShape('blockScales', x)
  return generate(x.shape, (index) => {
    const [row, column] = [Math.floor(index / m), index % m]
    const start = column - (column % size)
    const block = x.data.subarray(row * m + start, row * m + Math.min(start + size, m))
    return block.reduce((most, value) => Math.max(most, Math.abs(value)), 0) / largestLevel
  })
}

/** x rounded to the levels of its blocks; a block of zeros stays one. [n, m] → [n, m] */
export const roundBlocks = (x: Tensor, size: number): Tensor => {
  const scales = blockScales(x, size)
  return generate(x.shape, (i) => {
    const scale = scales.data[i] ?? NaN
    return scale === 0 ? 0 : roundHalfEven((x.data[i] ?? NaN) / scale) * scale
  })
}

/** round(x) round(W)ᵀ. x: [n, in], W: [out, in] → [n, out] */
export const blockLinear = (x: Tensor, W: Tensor, size: number): Tensor =>
  matMul(roundBlocks(x, size), roundBlocks(W, size), { transposeY: true })
