/** Retention at T_end: which triplets (column of B, gate, row of A) are kept, and their gates. Section 3.5 of the paper. */
import type { AdaptedMatrix } from '../lowRank.js'
import { numberBackend, deterministicGateOn, rootMeanSquareGate, shutLogTheta, type HardConcrete } from './hardConcrete.js'
import { gateCosts } from './lagrangian.js'

/**
 * Which triplets are kept. `paper` keeps those with ĝ > 0. The other rules fill the budget b · Σ(#Bᵢ + #Aᵢ) in an order:
 *  - budget: the most probable first. Ties go to the earlier matrix, then to the earlier triplet: of 12 equal matrices whose log θ are all equal,
 *    b = 0.5 keeps all of the first six. Sampled gates leave no ties.
 *  - random: a random order, as a baseline
 *  - magnitude: the largest ‖Bⱼ‖ ‖Aⱼ‖ first, without sampled gates, as a baseline
 */
export type RetentionRule = 'budget' | 'paper' | 'random' | 'magnitude'
/**
 * Gates of the kept triplets.
 *  - soft: ĝ is folded into B's column, so the function does not jump
 *  - kept: ĝ is a constant gate until the end
 *  - binary: the gate becomes 1
 */
export type GateAfter = 'soft' | 'kept' | 'binary'

/** The triplets at T_end, in the order of the matrices. */
type Triplets = {
  readonly logTheta: ArrayLike<number>
  /** ‖Bⱼ‖ ‖Aⱼ‖ */
  readonly magnitudes: readonly number[]
  /** the order of `random` */
  readonly permutation: ArrayLike<number>
}

export type Retention = {
  /** by matrix, the kept triplets in ascending order */
  readonly kept: readonly (readonly number[])[]
  /** by matrix, the gate of each kept triplet; 1 if gates were never sampled */
  readonly gates: readonly (readonly number[])[]
  /** by matrix, √E[g²] of each kept triplet's sampled gates, not below that of a gate whose ĝ is 0 */
  readonly sizes: readonly (readonly number[])[]
  /** Σ kept (dᵢ + kᵢ) / Σ rᵢ (dᵢ + kᵢ) */
  readonly retainedDensity: number
}

const computeGates = (settings: HardConcrete, logTheta: ArrayLike<number>): readonly number[] =>
  deterministicGateOn(numberBackend)(settings)(Array.from(logTheta))

/** The slice of each matrix. */
const byMatrix = <T>(matrices: readonly AdaptedMatrix[], all: readonly T[]): readonly (readonly T[])[] => {
  let first = 0
  return matrices.map(({ r }) => {
    first += r
    return all.slice(first - r, first)
  })
}

export const retain = (
  settings: HardConcrete,
  matrices: readonly AdaptedMatrix[],
  { logTheta, magnitudes, permutation }: Triplets,
  budget: number,
  rule: RetentionRule,
): Retention => {
  const costs = gateCosts(matrices)
  const gates = rule === 'magnitude' ? costs.map(() => 1) : computeGates(settings, logTheta)
  const all = costs.map((_, j) => j)
  const descending = (size: ArrayLike<number>): readonly number[] => [...all].sort((a, b) => (size[b] ?? 0) - (size[a] ?? 0) || a - b)
  const chosen = {
    paper: () => all.filter((j) => (gates[j] ?? 0) > 0),
    budget: () => withinBudget(descending(logTheta), costs, budget), // log θ orders P(g > 0)
    random: () => withinBudget(Array.from(permutation), costs, budget),
    magnitude: () => withinBudget(descending(magnitudes), costs, budget),
  }[rule]()
  const isKept = new Set(chosen)
  const selectByMatrix = <T>(values: readonly T[]): readonly (readonly T[])[] =>
    byMatrix(
      matrices,
      values.map((value, j) => ({ value, stay: isKept.has(j) })),
    ).map((ofMatrix) => ofMatrix.flatMap(({ value, stay }) => (stay ? [value] : [])))
  const indices = byMatrix(matrices, all).flatMap((ofMatrix) => ofMatrix.map((j) => j - (ofMatrix[0] ?? 0)))
  const size = (j: number): number =>
    rule === 'magnitude' ? 1 : rootMeanSquareGate(settings)(Math.max(logTheta[j] ?? NaN, shutLogTheta(settings)))
  return {
    kept: selectByMatrix(indices),
    gates: selectByMatrix(gates),
    sizes: selectByMatrix(all).map((ofMatrix) => ofMatrix.map(size)),
    retainedDensity: total(costs.filter((_, j) => isKept.has(j))) / total(costs),
  }
}

/** Every triplet with its ĝ: the model without noise. */
export const retainAll = (
  settings: HardConcrete,
  matrices: readonly AdaptedMatrix[],
  logTheta: ArrayLike<number>,
): Pick<Retention, 'kept' | 'gates'> => ({
  kept: matrices.map(({ r }) => Array.from({ length: r }, (_, j) => j)),
  gates: byMatrix(matrices, computeGates(settings, logTheta)),
})

/** In this order, each triplet that still fits into the budget. @param budget the share of all costs */
const withinBudget = (order: readonly number[], costs: readonly number[], budget: number): readonly number[] => {
  let left = budget * total(costs) * (1 + 1e-12) // b · Σ is exact up to rounding
  return order.filter((j) => {
    const fits = (costs[j] ?? 0) <= left
    if (fits) left -= costs[j] ?? 0
    return fits
  })
}

/** The smallest b that keeps a triplet: the share of the cheapest one in Σ rᵢ (dᵢ + kᵢ). */
export const smallestBudget = (matrices: readonly AdaptedMatrix[]): number => {
  const costs = gateCosts(matrices)
  return costs.reduce((least, cost) => Math.min(least, cost), Infinity) / total(costs)
}

const total = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)
