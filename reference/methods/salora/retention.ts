/** Which triplets (a column of B, its gate, a row of A) T_end retains: by ĝ > 0 as in section 3.5, or within a budget. */
import * as R from 'fp-ts/lib/ReadonlyRecord.js'
import { mismatch } from '../../tensor/shape.js'
import { columnSums, map, multiply, rowSums, type Tensor } from '../../tensor/tensor.js'
import type { Adapter, Adapters } from '../../layers/lowRank.js'
import { deterministicGate, type HardConcrete } from './hardConcrete.js'
import { parameterCount, tripletCost } from './lagrangian.js'

/**
 * paper: those with ĝ > 0, which are more than b if gradients are noisy. The other rules fill the budget b in an order.
 *  - budget: the most probable first; ties go to the earlier module, then to the earlier triplet
 *  - random: in the order of a permutation
 *  - magnitude: the largest ‖Bⱼ‖·‖Aⱼ‖ first, for a run without sampled gates, such as LoRA
 */
export type RetentionRule = 'budget' | 'paper' | 'random' | 'magnitude'

export interface RetentionSettings extends HardConcrete {
  readonly retain: RetentionRule
  /** b; the rule `paper` ignores it. */
  readonly targetDensity: number
}

/** By module, the retained triplets in ascending order. */
export type Retained = Readonly<Record<string, readonly number[]>>

/** The order of all triplets for `random`: a permutation, counted from 0, module by module. */
export type Permutation = readonly number[]

interface Triplet {
  readonly module: string
  readonly index: number
  /** d + k */
  readonly cost: number
  readonly logTheta: number
  /** ‖Bⱼ‖·‖Aⱼ‖, the norm of BⱼAⱼ. */
  readonly magnitude: number
}

const roots = map(Math.sqrt)

/** Module by module. */
const listTriplets = (adapters: Adapters): readonly Triplet[] =>
  Object.entries(adapters).flatMap(([module, adapter]) => {
    const { A, B, logTheta } = adapter
    const magnitudes = multiply(roots(columnSums(multiply(B, B))), roots(rowSums(multiply(A, A)))) // [r]
    return [...logTheta.data].map((location, index) => ({
      module,
      index,
      cost: tripletCost(adapter),
      logTheta: location,
      magnitude: magnitudes.data[index]!,
    }))
  })

const permuted = (triplets: readonly Triplet[], permutation: Permutation | undefined): readonly Triplet[] =>
  permutation !== undefined && permutation.length === triplets.length && new Set(permutation).size === triplets.length
    ? permutation.map((place) => triplets[place] ?? mismatch('retained', `places from 0 to ${triplets.length - 1}`, `${place}`))
    : mismatch(
        'retained',
        `a permutation of ${triplets.length} triplets`,
        permutation === undefined ? 'none' : `[${permutation.join(', ')}]`,
      )

/** Ties keep the order of modules and indices. */
const largestFirst = (triplets: readonly Triplet[], size: (triplet: Triplet) => number): readonly Triplet[] =>
  [...triplets].sort((a, b) => size(b) - size(a))

/** P(g > 0) grows with log θ, which never saturates: so log θ ranks the triplets by it. */
const inOrder = (
  rule: Exclude<RetentionRule, 'paper'>,
  triplets: readonly Triplet[],
  permutation: Permutation | undefined,
): readonly Triplet[] =>
  ({
    budget: () => largestFirst(triplets, ({ logTheta }) => logTheta),
    magnitude: () => largestFirst(triplets, ({ magnitude }) => magnitude),
    random: () => permuted(triplets, permutation),
  })[rule]()

interface Purchases {
  readonly kept: readonly Triplet[]
  readonly spent: number
}

// So that 0.29 of 100 parameters is 29, although 0.29 · 100 < 29 in float64.
const rounding = 1e-12

/** In this order, each triplet whose cost still fits. A budget below the cheapest keeps nothing. */
const within = (budget: number, triplets: readonly Triplet[]): readonly Triplet[] => {
  const buy = ({ kept, spent }: Purchases, triplet: Triplet): Purchases =>
    spent + triplet.cost <= budget * (1 + rounding) ? { kept: [...kept, triplet], spent: spent + triplet.cost } : { kept, spent }
  return triplets.reduce(buy, { kept: [], spent: 0 }).kept
}

/** The smallest b that keeps a triplet: the share of the cheapest one in Σ(#B + #A). */
export const smallestBudget = (adapters: Adapters): number =>
  Math.min(...Object.values(adapters).map(tripletCost)) / parameterCount(adapters)

const isOpen = (settings: HardConcrete, adapters: Adapters): ((triplet: Triplet) => boolean) => {
  const gates = R.map(({ logTheta }: Adapter): Tensor => deterministicGate(settings)(logTheta))(adapters)
  return ({ module, index }) => gates[module]!.data[index]! > 0
}

/** The retained triplets: those with ĝ > 0, or as many as fit into b · Σ(#B + #A) at d + k each. @throws Error if the permutation is not one */
export const retained =
  ({ retain, targetDensity, ...settings }: RetentionSettings) =>
  (adapters: Adapters, permutation?: Permutation): Retained => {
    const triplets = listTriplets(adapters)
    const kept =
      retain === 'paper'
        ? triplets.filter(isOpen(settings, adapters))
        : within(targetDensity * parameterCount(adapters), inOrder(retain, triplets, permutation))
    return R.mapWithIndex((name: string) =>
      kept
        .filter(({ module }) => module === name)
        .map(({ index }) => index)
        .sort((a, b) => a - b),
    )(adapters)
  }
