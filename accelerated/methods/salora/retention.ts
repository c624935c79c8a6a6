/** Retention: which triplets (column of B, gate, row of A) outlive T_end, and what becomes of them. Section 3.5 of the paper, and METHOD's budget. */
import type { HardConcrete } from './hardConcrete.js'
import type { AdaptedModule } from './salora.js'

/** budget: the most probable triplets whose cost fits b · Σ(#Bᵢ + #Aᵢ) · paper: those with ĝ > 0 */
export type RetentionRule = 'budget' | 'paper'
/** soft: ĝ goes into B's column, so the function does not jump · binary: the column stays as it is */
export type GateAfter = 'soft' | 'binary'

export type Retention = {
  /** by matrix, the triplets that stay, in ascending order */
  readonly kept: ReadonlyArray<ReadonlyArray<number>>
  /** by matrix, the factor of each kept column of B */
  readonly factors: ReadonlyArray<ReadonlyArray<number>>
  /** Σ kept (dᵢ + kᵢ) / Σ rᵢ (dᵢ + kᵢ) */
  readonly retainedDensity: number
}

/** P(g > 0) of one gate: eq. (8)'s term as a number. */
export const openProbability =
  ({ tau, gamma, zeta }: HardConcrete) =>
  (logTheta: number): number =>
    1 / (1 + Math.exp(-(logTheta - tau * Math.log(-gamma / zeta))))

/** ĝ of one gate. */
export const expectedGate =
  ({ gamma, zeta }: HardConcrete) =>
  (logTheta: number): number =>
    Math.min(1, Math.max(0, (zeta - gamma) / (1 + Math.exp(-logTheta)) + gamma))

/** C(Θ) of gates in the order of the matrices: eq. (11) as a number. */
export const densityOf = (settings: HardConcrete, modules: ReadonlyArray<AdaptedModule>, logTheta: ArrayLike<number>): number => {
  const costs = costsOf(modules)
  return costs.reduce((sum, cost, j) => sum + cost * openProbability(settings)(logTheta[j] ?? NaN), 0) / total(costs)
}

/** @param logTheta [gates], in the order of the matrices */
export const retain = (
  settings: HardConcrete,
  modules: ReadonlyArray<AdaptedModule>,
  logTheta: ArrayLike<number>,
  budget: number,
  rule: RetentionRule,
  after: GateAfter,
): Retention => {
  const costs = costsOf(modules)
  const gateOf = (j: number): number => expectedGate(settings)(logTheta[j] ?? NaN)
  const all = costs.map((_, j) => j)
  const chosen = new Set(rule === 'paper' ? all.filter((j) => gateOf(j) > 0) : withinBudget(all, costs, logTheta, budget))
  let first = 0
  const kept = modules.map(({ r }) => {
    const own = Array.from({ length: r }, (_, j) => j).filter((j) => chosen.has(first + j))
    first += r
    return own
  })
  const starts = modules.map((_, i) => modules.slice(0, i).reduce((sum, { r }) => sum + r, 0))
  return {
    kept,
    factors: kept.map((own, i) => own.map((j) => (after === 'soft' ? gateOf((starts[i] ?? 0) + j) : 1))),
    retainedDensity: total(costs.filter((_, j) => chosen.has(j))) / total(costs),
  }
}

/** In falling order of log θ (which orders P(g > 0)), each triplet that still fits; ties go to the earlier matrix. */
const withinBudget = (
  all: ReadonlyArray<number>,
  costs: ReadonlyArray<number>,
  logTheta: ArrayLike<number>,
  budget: number,
): ReadonlyArray<number> => {
  let left = budget * total(costs) * (1 + 1e-12) // b · Σ is exact up to rounding
  return [...all]
    .sort((a, b) => (logTheta[b] ?? 0) - (logTheta[a] ?? 0) || a - b)
    .filter((j) => {
      const fits = (costs[j] ?? 0) <= left
      if (fits) left -= costs[j] ?? 0
      return fits
    })
}

const costsOf = (modules: ReadonlyArray<AdaptedModule>): ReadonlyArray<number> =>
  modules.flatMap(({ d, k, r }) => new Array<number>(r).fill(d + k))
const total = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)
