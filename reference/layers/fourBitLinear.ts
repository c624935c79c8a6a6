/**
 * Linear layers on a matrix in four bits: W ≈ diag(s) L. A block of 32 values of a row has levels L = kq, q from −8 to 7 and one k from
 * −15 to 15. Each kq is a whole number of at most 120, so the layer computes as on an int8 matrix.
 */
import { generate, map, matrixShape, type Tensor } from '../tensor/tensor.js'
import type { FrozenLinear } from './linear.js'
import { int8Linear, quantizeRows, roundHalfEven, type Quantized, type Rounding } from './quantizedLinear.js'

const [blockSize, leastQ, largestQ, largestK] = [32, -8, 7, 15]

/** q: the nearest whole number to w / (s k) that four bits have. */
const nearest = (w: number, unit: number): number => Math.min(largestQ, Math.max(leastQ, roundHalfEven(w / unit)))

/** kq of a block for one k. */
const roundBlock = (block: readonly number[], scale: number, k: number): readonly number[] =>
  block.map((w) => (k === 0 ? 0 : k * nearest(w, k * scale)))

/** Σ (w − s L)² of a block. */
export const squaredError = (block: readonly number[], levels: readonly number[], scale: number): number =>
  block.reduce((sum, w, i) => sum + (w - scale * (levels[i] ?? NaN)) ** 2, 0)

/** Every k that a block may have, of either sign: 7k reaches at most its largest magnitude, and 8k at least 0.7 of it. */
const candidates = (block: readonly number[], scale: number): readonly number[] => {
  const largest = Math.max(...block.map(Math.abs)) / scale
  if (largest === 0) return [0]
  return Array.from({ length: largestK }, (_, i) => i + 1)
    .filter((k) => -leastQ * k >= 0.7 * largest && k < largest / largestQ + 1)
    .flatMap((k) => [k, -k])
}

/** The levels of least squared error: s = max |row| / 120, and of each block the best k. W: [n, m] */
export const quantizeFourBits: Rounding = (W: Tensor): Quantized => {
  const [n, m] = matrixShape('quantizeFourBits', W)
  const scales = generate([n], (row) => Math.max(...map(Math.abs)(W).data.subarray(row * m, (row + 1) * m)) / (-leastQ * largestK))
  const levels = new Float64Array(n * m)
  for (let row = 0; row < n; row++)
    for (let start = row * m; start < (row + 1) * m; start += blockSize) {
      const [block, scale] = [[...W.data.slice(start, Math.min(start + blockSize, (row + 1) * m))], scales.data[row]!]
      if (scale === 0) continue
      const byError = candidates(block, scale).map((k) => roundBlock(block, scale, k))
      const errors = byError.map((of) => squaredError(block, of, scale))
      levels.set(byError[errors.indexOf(Math.min(...errors))] ?? [], start)
    }
  return { levels: generate(W.shape, (i) => levels[i]!), scales }
}

/** Whether a block of levels is kq of one k. */
export const isFourBits = (levels: readonly number[]): boolean =>
  Array.from({ length: largestK }, (_, i) => i + 1)
    .flatMap((k) => [k, -k])
    .some((k) => levels.every((level) => level % k === 0 && level / k >= leastQ && level / k <= largestQ))

/** The levels of a frozen matrix in int4: eight bits where it has fewer outputs than inputs. W: [n, m] */
export const roundFrozen: Rounding = (W: Tensor): Quantized => {
  const [n, m] = matrixShape('roundFrozen', W)
  return n < m ? quantizeRows(W) : quantizeFourBits(W)
}

/** Frozen layers in int4: as in int8, but for the matrix. */
export const int4Linear = (rounding?: (name: string) => Rounding): FrozenLinear =>
  int8Linear(rounding ?? ((name) => (name.endsWith('.weight') ? roundFrozen : quantizeRows)))
