/**
 * Merges the updates that several adapters make to one matrix, in float64. Names and formulas are those of PEFT's `add_weighted_adapter`. Methods in
 * `-svd` combine ΔW itself; without it they combine the A's and the B's separately, whose product also has terms B₁A₂ that no adapter has.
 */
import { EigenvalueDecomposition, Matrix as Dense, QrDecomposition } from 'ml-matrix'
import type { Matrix } from '../models/architecture.js'
import { uniforms } from '../parameters/random.js'

/** How numbers are dropped before they are added, and whether a number of the minority's sign counts (TIES). */
type Rule = { readonly drop?: 'smallest' | 'random'; readonly elects?: true }

/** What the rule combines: whole updates, or factors. `cat` stacks factors, which adds their products exactly. */
type Merging = Rule & { readonly combines: 'stack' | 'factors' | 'updates' }

const methods = {
  cat: { combines: 'stack' },
  svd: { combines: 'updates' },
  linear: { combines: 'factors' },
  ties: { combines: 'factors', drop: 'smallest', elects: true },
  'ties-svd': { combines: 'updates', drop: 'smallest', elects: true },
  'dare-linear': { combines: 'factors', drop: 'random' },
  'dare-linear-svd': { combines: 'updates', drop: 'random' },
  'dare-ties': { combines: 'factors', drop: 'random', elects: true },
  'dare-ties-svd': { combines: 'updates', drop: 'random', elects: true },
  'magnitude-prune': { combines: 'factors', drop: 'smallest' },
  'magnitude-prune-svd': { combines: 'updates', drop: 'smallest' },
} as const satisfies Readonly<Record<string, Merging>>

export type MergeMethod = keyof typeof methods
export const mergeMethods = Object.keys(methods) as readonly MergeMethod[]
const table: Readonly<Record<MergeMethod, Merging>> = methods

/** Whether a method combines factors of equal rank, writes an update at a chosen rank, or drops numbers. */
export const combinesFactors = (method: MergeMethod): boolean => table[method].combines === 'factors'
export const choosesRank = (method: MergeMethod): boolean => table[method].combines === 'updates'
export const dropsNumbers = (method: MergeMethod): boolean => table[method].drop !== undefined

/** ΔW = B A. A: [r, k], B: [d, r], row-major. */
export type Factors = { readonly A: ArrayLike<number>; readonly B: ArrayLike<number>; readonly r: number }

/** What one adapter adds to a matrix, before its weight. */
export type AdapterUpdate = {
  /** the adapter's place among all that are merged: its random numbers depend on it */
  readonly place: number
  readonly weight: number
  /** null: no product of small factors (DoRA) */
  readonly factors: (Factors & { readonly scale: number }) | null
  /** scale · B A, or DoRA's change of the matrix: [d, k] */
  readonly whole: () => Float64Array
}

export type Merge = {
  readonly method: MergeMethod
  /** the share of numbers that are not dropped, in (0, 1] */
  readonly density: number
  readonly seed: number
  /** the matrix's place in the model: its random numbers depend on it */
  readonly place: number
}

/** Factors of the merged update, and which share of its squared norm they hold: 1 unless an SVD cut it. */
export type MergedFactors = Factors & { readonly kept: number; readonly norm: number }

/** The merged update as factors. @param rank the largest rank, of methods that choose it */
export const mergeToFactors = (updates: readonly AdapterUpdate[], size: Matrix, merge: Merge, rank: number): MergedFactors => {
  if (table[merge.method].combines === 'updates') {
    const stacked = merge.method === 'svd' ? stack(updates, size) : null
    return stacked === null || stacked.r >= Math.min(size.d, size.k)
      ? cutUpdate(mergeToUpdate(updates, size, merge), size, rank)
      : cutFactors(stacked, size, rank)
  }
  const merged = merge.method === 'cat' ? stack(updates, size) : combineFactors(updates, merge)
  if (merged === null) throw new Error(`mergeToFactors: expected updates with factors for ${merge.method}, got DoRA's`)
  return { ...merged, kept: 1, norm: 1 }
}

/** The whole merged update, which nothing cuts: [d, k]. */
export const mergeToUpdate = (updates: readonly AdapterUpdate[], size: Matrix, merge: Merge): Float64Array => {
  const rule = table[merge.method]
  if (rule.combines === 'factors') return multiply(combineFactors(updates, merge), size)
  return combine(
    updates.map(({ whole }) => whole()),
    updates.map(({ weight }) => weight),
    updates.map(({ place }) => place),
    { rule, merge, part: 0 },
  )
}

/** B A: [d, k] */
const multiply = ({ A, B, r }: Factors, { d, k }: Matrix): Float64Array => {
  const product = new Float64Array(d * k)
  for (let row = 0; row < d; row++)
    for (let i = 0; i < r; i++) {
      const b = B[row * r + i] ?? NaN
      for (let column = 0; column < k; column++) product[row * k + column]! += b * (A[i * k + column] ?? NaN)
    }
  return product
}

/** The A's below each other, and the weighted B's beside each other: B A is exactly the sum. null with DoRA. */
const stack = (updates: readonly AdapterUpdate[], { d, k }: Matrix): Factors | null => {
  const stacked = updates.filter(({ weight }) => weight !== 0)
  if (stacked.some(({ factors }) => factors === null)) return null
  const r = stacked.reduce((sum, { factors }) => sum + (factors?.r ?? 0), 0)
  const [A, B] = [new Float64Array(r * k), new Float64Array(d * r)]
  let above = 0
  for (const { factors, weight } of stacked) {
    if (factors === null) continue
    A.set(factors.A, above * k)
    for (let row = 0; row < d; row++)
      for (let i = 0; i < factors.r; i++) B[row * r + above + i] = weight * factors.scale * (factors.B[row * factors.r + i] ?? NaN)
    above += factors.r
  }
  return { A, B, r }
}

/** PEFT's way: A and B each get the root of weight · scale, and A its sign. All ranks are equal. */
const combineFactors = (updates: readonly AdapterUpdate[], merge: Merge): Factors => {
  const factors = updates.map((update) => {
    if (update.factors === null) throw new Error(`combineFactors: expected factors, got DoRA's update`)
    return { ...update, ...update.factors, total: update.weight * update.factors.scale }
  })
  const places = factors.map(({ place }) => place)
  const roots = factors.map(({ total }) => Math.sqrt(Math.abs(total)))
  const signed = factors.map(({ total }) => (total < 0 ? -1 : 1) * Math.sqrt(Math.abs(total)))
  const rule = table[merge.method]
  return {
    A: combine(
      factors.map(({ A }) => A),
      signed,
      places,
      { rule, merge, part: 1 },
    ),
    B: combine(
      factors.map(({ B }) => B),
      roots,
      places,
      { rule, merge, part: 2 },
    ),
    r: factors[0]?.r ?? 0,
  }
}

type Combination = { readonly rule: Rule; readonly merge: Merge; readonly part: number }

/** The weighted sum of arrays of one size, after the rule dropped some of their numbers. TIES takes the mean of those with the sum's sign instead. */
const combine = (
  arrays: readonly ArrayLike<number>[],
  weights: readonly number[],
  places: readonly number[],
  { rule: { drop, elects }, merge, part }: Combination,
): Float64Array => {
  const sparse = arrays.map((numbers, i) => {
    if (drop === undefined || merge.density === 1) return numbers
    return drop === 'smallest' ? keepLargest(numbers, merge.density) : keepRandom(numbers, merge, places[i] ?? 0, part)
  })
  return Float64Array.from({ length: sparse[0]?.length ?? 0 }, (_, at) => {
    let [sign, sum, voices] = [0, 0, 0]
    if (elects) for (const numbers of sparse) sign += numbers[at] ?? NaN
    sparse.forEach((numbers, i) => {
      const x = numbers[at] ?? NaN
      if (elects && Math.sign(x) !== (sign >= 0 ? 1 : -1)) return
      sum += (weights[i] ?? NaN) * x
      voices++
    })
    return elects ? sum / Math.max(voices, 1) : sum
  })
}

/** The ⌊density · n⌋ numbers of largest magnitude, the first of equal ones; 0 for the others. */
const keepLargest = (numbers: ArrayLike<number>, density: number): Float64Array => {
  const count = Math.floor(density * numbers.length)
  const sizes = Float64Array.from(numbers, Math.abs)
  const least = sizes.slice().sort()[numbers.length - count] ?? Infinity
  let ties = count - sizes.reduce((larger, x) => larger + (x > least ? 1 : 0), 0)
  return Float64Array.from(numbers, (x, i) => (sizes[i]! > least || (sizes[i] === least && ties-- > 0) ? x : 0))
}

/** DARE (Yu et al., 2024): each number is kept with this probability, and divided by it. */
const keepRandom = (numbers: ArrayLike<number>, { density, seed, place }: Merge, adapter: number, part: number): Float64Array => {
  const draws = uniforms(seed, 'merging', adapter * 0x100000000 + 3 * place + part, numbers.length)
  return Float64Array.from(numbers, (x, i) => (draws[i]! < density ? x / density : 0))
}

/** The nearest update of this rank in the Frobenius norm. M: [d, k] */
const cutUpdate = (M: ArrayLike<number>, { d, k }: Matrix, rank: number): MergedFactors => {
  const matrix = Dense.from1DArray(d, k, M)
  if (d <= k) return project(matrix, rank)
  const { A, B, ...rest } = project(matrix.transpose(), rank) // of Mᵀ = B A: M = Aᵀ Bᵀ
  return { ...rest, A: transpose(B, k, rest.r), B: transpose(A, rest.r, d) }
}

/** The same of B A whose rank is small: B = Q R leaves R A, with as many rows as the rank. */
const cutFactors = ({ A, B, r }: Factors, { d, k }: Matrix, rank: number): MergedFactors => {
  if (r === 0) return { A, B, r, kept: 1, norm: 0 }
  const { orthogonalMatrix: Q, upperTriangularMatrix: R } = new QrDecomposition(Dense.from1DArray(d, r, B))
  const cut = project(R.mmul(Dense.from1DArray(r, k, A)), rank)
  return { ...cut, B: flat(Q.mmul(Dense.from1DArray(r, cut.r, cut.B))) }
}

/** M ≈ U (Uᵀ M), where U has the eigenvectors of M Mᵀ of the largest eigenvalues: M's left singular vectors. M: [n, m], n ≤ m */
const project = (M: Dense, rank: number): MergedFactors => {
  const { eigenvectorMatrix, realEigenvalues } = new EigenvalueDecomposition(M.mmul(M.transpose()), { assumeSymmetric: true })
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => (realEigenvalues[b] ?? 0) - (realEigenvalues[a] ?? 0))
  const r = Math.min(rank, M.rows)
  const U = eigenvectorMatrix.subMatrixColumn(order.slice(0, r))
  const A = U.transpose().mmul(M)
  const norm = M.norm() ** 2
  return { A: flat(A), B: flat(U), r, kept: norm === 0 ? 1 : Math.min(1, A.norm() ** 2 / norm), norm }
}

const flat = (matrix: Dense): Float64Array => Float64Array.from(matrix.to1DArray())

/** data: [rows, columns] → [columns, rows] */
const transpose = (data: ArrayLike<number>, rows: number, columns: number): Float64Array =>
  Float64Array.from({ length: rows * columns }, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)] ?? NaN)
