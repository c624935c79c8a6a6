/** Distances between tokens: the table row of each distance, and the products of tokens with distances, arranged by the other token. */
import { product } from '../../graph/dimension.js'
import type { Expression } from '../../graph/expression.js'
import {
  add,
  cast,
  concat,
  constant,
  cumulativeSum,
  cut,
  gather,
  matMul,
  mul,
  neg,
  reduceSum,
  reshape,
  slice,
  sub,
  transpose,
} from '../../graph/operators.js'
import type { BatchInputs } from '../batchInputs.js'

/** 'c2p': a query's content by its distance to the key; 'p2c': a key's content by the query's distance to it. */
export type DistanceKind = 'c2p' | 'p2c'

/** Half of the buckets are for single distances, the others for logarithmic ranges up to `farthest` − 1. In float32, as in the original. */
export const distanceBucket = (distance: number, buckets: number, farthest: number): number => {
  const [exact, n, f] = [Math.floor(buckets / 2), Math.abs(distance), Math.fround]
  if (n <= exact) return distance
  const share = f(f(Math.log(f(n / exact))) / f(Math.log(f((farthest - 1) / exact))))
  return Math.sign(distance) * (Math.ceil(f(share * (exact - 1))) + exact)
}

/** The row of each distance from −longest to longest, the outermost rows for all beyond. buckets: null if each distance has its own row */
export const distanceRows = (longest: number, buckets: number | null, farthest: number): readonly number[] => {
  const half = buckets ?? farthest
  return Array.from({ length: 2 * longest + 1 }, (_, i) => {
    const bucket = buckets === null ? i - longest : distanceBucket(i - longest, buckets, farthest)
    return Math.min(Math.max(bucket + half, 0), 2 * half - 1)
  })
}

/** Rows of the table for every distance within a batch of S slots, and one beyond: int32 [2S + 1] each */
export type BatchDistances = {
  /** of S, S − 1, …, −S */
  readonly falling: Expression
  /** of −S, 1 − S, …, S */
  readonly rising: Expression
}

/** @param rowByDistance of each distance from −longest to longest */
export const batchDistances = (rowByDistance: readonly number[], { attentionBias }: Pick<BatchInputs, 'attentionBias'>): BatchDistances => {
  const [, slots = 1] = attentionBias.shape
  const ones = add(mul(gather(attentionBias, constant([0], [1], 'int32')), 0), 1) // [1, slots]
  const twice = reshape(concat([ones, ones], 0), [product([2, slots])])
  const distance = sub(cumulativeSum(concat([constant([0], [1], ones.dtype), twice], 0), 0), reduceSum(ones)) // −S, …, S
  const rows = constant(rowByDistance, [rowByDistance.length], 'int32')
  const gatherDistances = (distances: Expression): Expression => gather(rows, cast(add(distances, (rowByDistance.length - 1) / 2), 'int32'))
  return { falling: gatherDistances(neg(distance)), rising: gatherDistances(distance) }
}

/**
 * Each token's products with the distances to all tokens: (i, j) gets xᵢ · places[S + j − i].
 * x: [batch, heads, S, headSize], places: [2S + 1, hidden] → [batch, heads, S, S]
 */
export const byDistance = (x: Expression, places: Expression, scale: number): Expression => {
  const [batch = 1, heads = 1, slots = 1, headSize = 1] = x.shape
  const [all = 1] = places.shape
  const rows = reshape(transpose(x, [1, 0, 2, 3]), [heads, product([batch, slots]), headSize])
  const products = matMul(rows, transpose(reshape(places, [all, heads, headSize]), [1, 0, 2]), { transposeB: true, alpha: scale })
  return transpose(sheared(reshape(products, [heads, batch, slots, all])), [1, 0, 2, 3])
}

/**
 * (i, j) ← (i, S + j − i), at flat index i (2S + 1) + S + j − i = (2i + 1) S + j: every second row of a matrix with rows of S.
 * x: [a, b, S, 2S + 1] → [a, b, S, S]
 */
const sheared = (x: Expression): Expression => {
  const [a = 1, b = 1, slots = 1, all = 1] = x.shape
  const twice = product([2, slots])
  const [, rows = x] = cut(reshape(x, [a, b, all, slots]), 2, [1, twice])
  return reshape(slice(reshape(rows, [a, b, slots, 2, slots]), 3, 0, 1), [a, b, slots, slots])
}
