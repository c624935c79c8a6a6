/** What happens at T_end: some triplets stay, the others go, and gates are no longer sampled. Section 3.5. */
import * as R from 'fp-ts/lib/ReadonlyRecord.js'
import { pipe } from 'fp-ts/lib/function.js'
import {
  columnSums,
  map,
  multiply,
  multiplyRow,
  reshape,
  selectColumns,
  selectRows,
  type Tensor,
  type Tensors,
} from '../../tensor/tensor.js'
import { foldGates, openGates, type Adapter, type Adapters } from '../../layers/lowRank.js'
import { rootMeanSquareGate } from './gateMoments.js'
import { deterministicGate, logRatio, type HardConcrete } from './hardConcrete.js'
import { parameterCount } from './lagrangian.js'
import { retained, type Permutation, type Retained, type RetentionSettings } from './retention.js'
import type { Parameters, TrainingState } from './trainingState.js'

/**
 * Gates of the triplets that stay.
 * soft: ĝⱼ goes into B's column j, so that the function is that of ĝ with the lost gates shut ·
 * kept: ĝ is a constant gate until the export, so that the function is the same and the columns keep their norms ·
 * binary: the gate is 1, and the function jumps
 */
export type GateAfter = 'soft' | 'binary' | 'kept'

export interface PruneSettings extends RetentionSettings {
  readonly gateAfter: GateAfter
}

export interface Pruned {
  readonly retained: Retained
  /** Triplets that stay, by module; 0 for a module that loses its adapter. */
  readonly ranks: Readonly<Record<string, number>>
  /** Share of the parameters of A and B that stay. */
  readonly retainedDensity: number
  /** What stays; modules of rank 0 are absent. */
  readonly adapters: Adapters
  /** Constant gates of what stays, each [r], where they are kept; else empty. */
  readonly gates: Tensors
}

const selectEntries = (x: Tensor, indices: ReadonlyArray<number>): Tensor =>
  reshape(selectRows(reshape(x, [x.data.length, 1]), indices), [indices.length])

const selectTriplets = (indices: Retained, adapters: Adapters): Adapters =>
  pipe(
    adapters,
    R.filterWithIndex((module: string) => (indices[module]?.length ?? 0) > 0),
    R.mapWithIndex((module: string, { A, B, logTheta }: Adapter) => ({
      A: selectRows(A, indices[module]!),
      B: selectColumns(B, indices[module]!),
      logTheta: selectEntries(logTheta, indices[module]!),
    })),
  )

/** The rule `magnitude` is for runs whose gates were never sampled: they were 1 and stay so. */
const wereSampled = ({ retain }: PruneSettings): boolean => retain !== 'magnitude'

/** The gates that T_end finds, without their noise. → [r] */
const gatesAtEnd =
  (settings: PruneSettings) =>
  (adapter: Adapter): Tensor =>
    wereSampled(settings) ? deterministicGate(settings)(adapter.logTheta) : openGates(adapter)

/** Chooses the triplets that stay, by the rule `retain`, and settles their gates, by way of `gateAfter`. */
export const prune =
  (settings: PruneSettings) =>
  (adapters: Adapters, permutation?: Permutation): Pruned => {
    const indices = retained(settings)(adapters, permutation)
    const selected = selectTriplets(indices, adapters)
    const gates = R.map(gatesAtEnd(settings))(selected)
    const folded = R.mapWithIndex((module: string, adapter: Adapter) => ({ ...adapter, ...foldGates(adapter, gates[module]!) }))(selected)
    return {
      retained: indices,
      ranks: R.map((kept: ReadonlyArray<number>) => kept.length)(indices),
      retainedDensity: parameterCount(selected) / parameterCount(adapters),
      adapters: settings.gateAfter === 'soft' ? folded : selected,
      gates: settings.gateAfter === 'kept' ? gates : {},
    }
  }

/**
 * ḡ = √E[g²], the size of the gate that B's gradients came through, bounded from below by its value where ĝ comes to 0: 0.254 at the
 * defaults. Below that border (a budget may reach there) a column starts again from ĝ B = 0, its gate was shut in most steps, and its
 * moments hold what the regularizer and a few open steps left: divided by ever smaller ḡ they would grow without a limit. → [r]
 */
const sizeOfGate = (settings: HardConcrete): ((logTheta: Tensor) => Tensor) => {
  const border = logRatio(settings)
  return (logTheta) => rootMeanSquareGate(settings)(map((location) => Math.max(border, location))(logTheta))
}

/**
 * With B′ = ĝ B and no gate, the task's gradient in B′ is what it was in B divided by the gate. AdamW's moments of a folded column follow:
 * m ← m / ḡ and v ← v / ḡ². Left as they were, v would be too small by ḡ² and the column's first steps too large by 1 / ḡ.
 * `power` is that of ḡ.
 */
const foldMoments = (settings: HardConcrete, power: 1 | 2, adapters: Adapters): ((module: string, moments: Adapter) => Adapter) => {
  const factors = R.map(({ logTheta }: Adapter) => map((size) => size ** -power)(sizeOfGate(settings)(logTheta)))(adapters)
  return (module, moments) => ({ ...moments, B: multiplyRow(moments.B, factors[module]!) })
}

/** The state at T_end: what stays of parameters and moments, and the constants of the rest of the run. */
export const pruneState =
  (settings: PruneSettings) =>
  (state: TrainingState, permutation?: Permutation): readonly [TrainingState, Pruned] => {
    const pruned = prune(settings)(state.adapters, permutation)
    const isFolded = settings.gateAfter === 'soft' && wereSampled(settings)
    const moments = (parameters: Parameters, power: 1 | 2): Parameters => {
      const selected = selectTriplets(pruned.retained, parameters.adapters)
      return { ...parameters, adapters: isFolded ? R.mapWithIndex(foldMoments(settings, power, pruned.adapters))(selected) : selected }
    }
    const afterEnd = { gates: pruned.gates, squaredNorms: R.map(({ B }: Adapter) => columnSums(multiply(B, B)))(pruned.adapters) }
    return [{ ...state, adapters: pruned.adapters, m: moments(state.m, 1), v: moments(state.v, 2), afterEnd }, pruned]
  }

/** What is handed over at the end: factors whose gates are all 1. Gates that were kept go into B's columns now. */
export const exportedAdapters = ({ adapters, afterEnd }: Pick<TrainingState, 'adapters' | 'afterEnd'>): Adapters =>
  R.mapWithIndex((module: string, adapter: Adapter) => ({
    ...adapter,
    ...foldGates(adapter, afterEnd?.gates[module] ?? openGates(adapter)),
  }))(adapters)
