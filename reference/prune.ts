/** What happens at T_end: some triplets stay, the others go, and gates are no longer needed. Section 3.5. */
import { pipe } from 'fp-ts/lib/function.js'
import * as R from 'fp-ts/lib/ReadonlyRecord.js'
import { deterministicGate, type HardConcrete } from './hardConcrete.js'
import { parameterCount, tripletCost } from './lagrangian.js'
import { foldGates, type Adapter, type Adapters } from './lowRank.js'
import { reshape, selectColumns, selectRows, type Tensor } from './tensor.js'
import type { Parameters, TrainingState } from './trainingState.js'

export interface PruneSettings extends HardConcrete {
  readonly retain: 'budget' | 'paper'
  readonly gateAfter: 'soft' | 'binary'
  /** b; the rule 'paper' does not look at it. */
  readonly targetDensity: number
}

/** By module: which of its triplets stay, in ascending order. */
export type Retained = Readonly<Record<string, ReadonlyArray<number>>>

export interface Pruned {
  readonly retained: Retained
  /** Triplets that stay, by module; 0 for a module that loses its adapter. */
  readonly ranks: Readonly<Record<string, number>>
  /** Share of the parameters of A and B that stay. */
  readonly retainedDensity: number
  /** What stays; modules of rank 0 are absent. */
  readonly adapters: Adapters
}

interface Triplet {
  readonly module: string
  readonly index: number
  readonly cost: number
  readonly logTheta: number
}

const tripletsOf = (adapters: Adapters): ReadonlyArray<Triplet> =>
  Object.entries(adapters).flatMap(([module, adapter]) =>
    [...adapter.logTheta.data].map((logTheta, index) => ({ module, index, cost: tripletCost(adapter), logTheta })),
  )

const collect = (adapters: Adapters, triplets: ReadonlyArray<Triplet>): Retained =>
  R.mapWithIndex((name: string) =>
    triplets
      .filter(({ module }) => module === name)
      .map(({ index }) => index)
      .sort((a, b) => a - b),
  )(adapters)

interface Purchases {
  readonly kept: ReadonlyArray<Triplet>
  readonly spent: number
}

// So that 0.29 of 100 parameters is 29, although 0.29 · 100 < 29 in float64.
const rounding = 1e-12

/**
 * The most probable triplets whose cost Σ(d + k) fits b · Σ(#B + #A): from the most probable down, each that still fits.
 * P(g > 0) grows with log θ, which never saturates, so log θ ranks them; ties stay in the order of modules and indices.
 */
const withinBudget = (adapters: Adapters, targetDensity: number): Retained => {
  const budget = targetDensity * parameterCount(adapters) * (1 + rounding)
  const ranked = [...tripletsOf(adapters)].sort((a, b) => b.logTheta - a.logTheta)
  const buy = ({ kept, spent }: Purchases, triplet: Triplet): Purchases =>
    spent + triplet.cost <= budget ? { kept: [...kept, triplet], spent: spent + triplet.cost } : { kept, spent }
  return collect(adapters, ranked.reduce(buy, { kept: [], spent: 0 }).kept)
}

/** Every triplet with ĝ > 0, the paper's rule. */
const withOpenGate = (settings: HardConcrete, adapters: Adapters): Retained => {
  const gates = R.map(({ logTheta }: Adapter) => deterministicGate(settings)(logTheta))(adapters)
  return collect(
    adapters,
    tripletsOf(adapters).filter(({ module, index }) => gates[module]!.data[index]! > 0),
  )
}

const selectEntries = (x: Tensor, indices: ReadonlyArray<number>): Tensor =>
  reshape(selectRows(reshape(x, [x.data.length, 1]), indices), [indices.length])

const selectTriplets = (retained: Retained, adapters: Adapters): Adapters =>
  pipe(
    adapters,
    R.filterWithIndex((module: string) => (retained[module]?.length ?? 0) > 0),
    R.mapWithIndex((module: string, { A, B, logTheta }: Adapter) => {
      const indices = retained[module]!
      return { A: selectRows(A, indices), B: selectColumns(B, indices), logTheta: selectEntries(logTheta, indices) }
    }),
  )

/** ĝⱼ goes into B's column j, so that the function is that of ĝ with the lost gates shut. */
const foldDeterministic =
  (settings: HardConcrete) =>
  (adapter: Adapter): Adapter => ({ ...adapter, ...foldGates(adapter, deterministicGate(settings)(adapter.logTheta)) })

/** Chooses the triplets that stay, by the rule `retain`, and makes their gates 1, by way of `gateAfter`. */
export const prune =
  (settings: PruneSettings) =>
  (adapters: Adapters): Pruned => {
    const retained = settings.retain === 'budget' ? withinBudget(adapters, settings.targetDensity) : withOpenGate(settings, adapters)
    const selected = selectTriplets(retained, adapters)
    return {
      retained,
      ranks: R.map((indices: ReadonlyArray<number>) => indices.length)(retained),
      retainedDensity: parameterCount(selected) / parameterCount(adapters),
      adapters: settings.gateAfter === 'soft' ? R.map(foldDeterministic(settings))(selected) : selected,
    }
  }

/** The same triplets of the state's moments stay; as the paper says nothing of them, they are kept as they are. */
export const pruneState =
  (settings: PruneSettings) =>
  (state: TrainingState): readonly [TrainingState, Pruned] => {
    const pruned = prune(settings)(state.adapters)
    const moments = (parameters: Parameters): Parameters => ({
      ...parameters,
      adapters: selectTriplets(pruned.retained, parameters.adapters),
    })
    return [{ ...state, adapters: pruned.adapters, m: moments(state.m), v: moments(state.v) }, pruned]
  }
