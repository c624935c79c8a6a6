/** A and B from the frozen matrix: PiSSA, OLoRA and LoftQ. The SVD is Jacobi's by columns, and QR is Householder's. */
import type { Factors } from '../layers/lowRank.js'
import { roundFrozen } from '../layers/fourBitLinear.js'
import { dequantize } from '../layers/quantizedLinear.js'
import { matMul } from '../tensor/matMul.js'
import { generate, identity, map, matrixShape, subtract, type Tensor } from '../tensor/tensor.js'

/** σ uᵢ of the columns U Σ, and V, with W = U Σ Vᵀ and σ descending. W: [n, m] → [n, m], [m, m] */
const jacobi = (W: Tensor): { readonly scaled: readonly Tensor[]; readonly V: readonly Tensor[]; readonly sigma: readonly number[] } => {
  const [n, m] = matrixShape('jacobi', W)
  const columns = (M: Tensor, rows: number): Tensor[] => Array.from({ length: m }, (_, j) => generate([rows], (i) => M.data[i * m + j]!))
  const [scaled, V] = [columns(W, n), columns(identity(m), m)]
  const dot = (x: Tensor, y: Tensor): number => x.data.reduce((sum, value, i) => sum + value * y.data[i]!, 0)
  for (let sweep = 0, turned = true; turned && sweep < 60; sweep++) {
    turned = false
    for (let p = 0; p < m; p++)
      for (let q = p + 1; q < m; q++) {
        const [a, b, c] = [dot(scaled[p]!, scaled[p]!), dot(scaled[q]!, scaled[q]!), dot(scaled[p]!, scaled[q]!)]
        if (Math.abs(c) <= 1e-15 * Math.sqrt(a * b)) continue
        turned = true
        const zeta = (b - a) / (2 * c)
        const tangent = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.sqrt(1 + zeta * zeta))
        const cosine = 1 / Math.sqrt(1 + tangent * tangent)
        for (const basis of [scaled, V]) {
          const [x, y] = [basis[p]!, basis[q]!]
          basis[p] = generate(x.shape, (i) => cosine * (x.data[i]! - tangent * y.data[i]!))
          basis[q] = generate(x.shape, (i) => cosine * (tangent * x.data[i]! + y.data[i]!))
        }
      }
  }
  const lengths = scaled.map((column) => Math.sqrt(dot(column, column)))
  const order = lengths.map((_, i) => i).sort((i, j) => lengths[j]! - lengths[i]!)
  return { scaled: order.map((i) => scaled[i]!), V: order.map((i) => V[i]!), sigma: order.map((i) => lengths[i]!) }
}

/** scale · B A is the part of W of its r largest singular values, and A and B share each σ / scale alike. W: [d, k] → A [r, k], B [d, r] */
export const pissa = (W: Tensor, rank: number, scale: number): Factors => {
  const [d, k] = matrixShape('pissa', W)
  const { scaled, V, sigma } = jacobi(W)
  const root = (i: number): number => Math.sqrt(sigma[i]! / scale)
  return {
    A: generate([rank, k], (i) => root(Math.floor(i / k)) * V[Math.floor(i / k)]!.data[i % k]!),
    B: generate([d, rank], (i) => (root(i % rank) * scaled[i % rank]!.data[Math.floor(i / rank)]!) / sigma[i % rank]!),
  }
}

/** A is the first r rows of R and B the first r columns of Q in W = Q R. W: [d, k] */
export const olora = (W: Tensor, rank: number): Factors => {
  const [d, k] = matrixShape('olora', W)
  let [R, Q] = [W, identity(d)]
  for (let j = 0; j < Math.min(rank, d - 1); j++) {
    const column = generate([d, 1], (i) => (i < j ? 0 : R.data[i * k + j]!))
    const length = Math.sqrt(column.data.reduce((sum, x) => sum + x * x, 0))
    const v = generate([d, 1], (i) => column.data[i]! + (i === j ? (column.data[j]! < 0 ? -length : length) : 0))
    const squares = v.data.reduce((sum, x) => sum + x * x, 0)
    const reflection = subtract(identity(d), map((x) => (2 * x) / squares)(matMul(v, v, { transposeY: true })))
    R = matMul(reflection, R)
    Q = matMul(Q, reflection)
  }
  return { A: generate([rank, k], (i) => R.data[i]!), B: generate([d, rank], (i) => Q.data[Math.floor(i / rank) * d + (i % rank)]!) }
}

/** PiSSA of what int4 takes from W. */
export const loftq = (W: Tensor, rank: number, scale: number): Factors => pissa(subtract(W, dequantize(roundFrozen(W))), rank, scale)
