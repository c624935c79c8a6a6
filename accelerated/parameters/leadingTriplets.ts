/** The largest singular values of a matrix and their vectors, in float64: Lanczos bidiagonalization (Golub and Kahan, 1965) with full orthogonalization. */
import { Matrix as Dense, SingularValueDecomposition } from 'ml-matrix'
import { normals } from './random.js'

/** σ₁ ≥ σ₂ ≥ …, with left vectors [count, d] and right vectors [count, k]. A pair may have either sign. */
export type Triplets = { readonly sigma: Float64Array; readonly left: Float64Array; readonly right: Float64Array }

/** A residual ‖Wᵀu − σv‖ below this share of σ₁ changes no digit of float32. */
const tolerance = 1e-9

/** Below this share of the first norm, a vector is rounding: the space is exhausted, and the next vector is a new one. */
const exhausted = 1e-13

/** The `count` largest triplets; all of them if the matrix has no more. Deterministic. W: [d, k], row-major */
export const leadingTriplets = (W: ArrayLike<number>, [d, k]: readonly [d: number, k: number], count: number): Triplets => {
  const M = W instanceof Float64Array ? W : Float64Array.from(W)
  if (d < k) {
    const { sigma, left, right } = leadingTriplets(transpose(M, d, k), [k, d], count)
    return { sigma, left: right, right: left }
  }
  const wanted = Math.min(count, k)
  const [U, V]: [Float64Array[], Float64Array[]] = [[], [orthogonal(k, [], 0)]]
  const [alphas, betas]: [number[], number[]] = [[], []]
  let check = Math.min(k, 2 * wanted + 10)
  for (;;) {
    const j = U.length
    const u = multiply(M, V[j] as Float64Array, d, k)
    alphas.push(append(U, u, alphas[0]))
    const v = multiplyTransposed(M, U[j] as Float64Array, d, k)
    betas.push(j + 1 < k ? append(V, v, alphas[0]) : 0)
    if (j + 1 < check) continue
    const svd = bidiagonalSvd(alphas, betas)
    const [first = 0] = svd.diagonal
    const last = svd.leftSingularVectors.getRow(j)
    const isDone = last.slice(0, wanted).every((p) => Math.abs(p) * (betas[j] ?? 0) <= tolerance * first)
    if (isDone || j + 1 === k)
      return {
        sigma: Float64Array.from(svd.diagonal.slice(0, wanted)),
        left: combine(U, svd.leftSingularVectors, wanted),
        right: combine(V.slice(0, j + 1), svd.rightSingularVectors, wanted),
      }
    check = Math.min(k, Math.ceil(1.3 * check))
  }
}

/** Adds the direction of `x` that is orthogonal to the basis, or a new one if there is none. @returns its length, 0 for a new one */
const append = (basis: Float64Array[], x: Float64Array, scale = 0): number => {
  const length = orthogonalize(x, basis)
  const isNew = length <= exhausted * scale || length === 0
  basis.push(isNew ? orthogonal(x.length, basis, basis.length) : x)
  return isNew ? 0 : length
}

/** A random unit vector orthogonal to the basis. */
const orthogonal = (size: number, basis: readonly Float64Array[], draw: number): Float64Array => {
  const x = normals(0, 'initialization', draw, size)
  orthogonalize(x, basis)
  return x
}

/** Removes the basis' directions from `x`, twice, and scales the rest to length 1. @returns its length before */
const orthogonalize = (x: Float64Array, basis: readonly Float64Array[]): number => {
  for (let pass = 0; pass < 2; pass++)
    for (const b of basis) {
      let dot = 0
      for (let i = 0; i < x.length; i++) dot += b[i]! * x[i]!
      for (let i = 0; i < x.length; i++) x[i]! -= dot * b[i]!
    }
  let squares = 0
  for (let i = 0; i < x.length; i++) squares += x[i]! ** 2
  const length = Math.sqrt(squares)
  if (length > 0) for (let i = 0; i < x.length; i++) x[i]! /= length
  return length
}

/** B with αⱼ on its diagonal and βⱼ above it: M V = U B. */
const bidiagonalSvd = (alphas: readonly number[], betas: readonly number[]): SingularValueDecomposition => {
  const B = Dense.zeros(alphas.length, alphas.length)
  alphas.forEach((alpha, j) => {
    B.set(j, j, alpha)
    if (j + 1 < alphas.length) B.set(j, j + 1, betas[j] ?? 0)
  })
  return new SingularValueDecomposition(B)
}

/** Σⱼ basisⱼ P[j, i] for the first columns of P. → [count, size] */
const combine = (basis: readonly Float64Array[], P: Dense, count: number): Float64Array => {
  const size = basis[0]?.length ?? 0
  const combined = new Float64Array(count * size)
  for (let i = 0; i < count; i++)
    basis.forEach((b, j) => {
      const p = P.get(j, i)
      for (let at = 0; at < size; at++) combined[i * size + at]! += p * b[at]!
    })
  return combined
}

const multiply = (M: Float64Array, x: Float64Array, d: number, k: number): Float64Array => {
  const product = new Float64Array(d)
  for (let row = 0; row < d; row++) {
    let sum = 0
    for (let i = 0, at = row * k; i < k; i++, at++) sum += M[at]! * x[i]!
    product[row] = sum
  }
  return product
}

const multiplyTransposed = (M: Float64Array, x: Float64Array, d: number, k: number): Float64Array => {
  const product = new Float64Array(k)
  for (let row = 0; row < d; row++) {
    const factor = x[row]!
    for (let i = 0, at = row * k; i < k; i++, at++) product[i]! += factor * M[at]!
  }
  return product
}

/** [d, k] → [k, d] */
export const transpose = (M: ArrayLike<number>, d: number, k: number): Float64Array =>
  Float64Array.from({ length: d * k }, (_, i) => M[(i % d) * k + Math.floor(i / d)] ?? NaN)
