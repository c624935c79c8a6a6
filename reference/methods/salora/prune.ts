/** Pruning at T_end (section 3.5): some triplets are retained, the others dropped, and gates are no longer sampled. */
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
 * Gates of the retained triplets.
 *  - soft: ĝⱼ is folded into column j of B. The function is that of ĝ with the dropped gates closed.
 *  - kept: ĝ is a constant gate until export. The function is the same, and columns keep their norms.
 *  - binary: the gate is 1, and the function jumps
 */
export type GateAfter = 'soft' | 'binary' | 'kept'

export interface PruneSettings extends RetentionSettings {
  readonly gateAfter: GateAfter
}

export interface Pruned {
  readonly retained: Retained
  /** Retained triplets by module; 0 for a module that loses its adapter. */
  readonly ranks: Readonly<Record<string, number>>
  /** Fraction of the parameters of A and B that is retained. */
  readonly retainedDensity: number
  /** The retained adapters; modules of rank 0 are absent. */
  readonly adapters: Adapters
  /** Constant gates of the retained triplets, each [r] (gateAfter `kept`); else empty. */
  readonly gates: Tensors
}

const selectEntries = (x: Tensor, indices: readonly number[]): Tensor =>
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

/** The rule `magnitude` is for runs without sampled gates: gates are 1 throughout. */
const wereSampled = ({ retain }: PruneSettings): boolean => retain !== 'magnitude'

/** The gates at T_end, without noise. → [r] */
const finalGates =
  (settings: PruneSettings) =>
  (adapter: Adapter): Tensor =>
    wereSampled(settings) ? deterministicGate(settings)(adapter.logTheta) : openGates(adapter)

/** Selects triplets by the rule `retain`, and sets their gates by `gateAfter`. */
export const prune =
  (settings: PruneSettings) =>
  (adapters: Adapters, permutation?: Permutation): Pruned => {
    const indices = retained(settings)(adapters, permutation)
    const selected = selectTriplets(indices, adapters)
    const gates = R.map(finalGates(settings))(selected)
    const folded = R.mapWithIndex((module: string, adapter: Adapter) => ({ ...adapter, ...foldGates(adapter, gates[module]!) }))(selected)
    return {
      retained: indices,
      ranks: R.map((kept: readonly number[]) => kept.length)(indices),
      retainedDensity: parameterCount(selected) / parameterCount(adapters),
      adapters: settings.gateAfter === 'soft' ? folded : selected,
      gates: settings.gateAfter === 'kept' ? gates : {},
    }
  }

/**
 * ḡ = √E[g²], the size of the gate behind B's gradients, bounded from below by its value where ĝ becomes 0 (0.254 at the defaults). A budget may
 * reach below that. The column then restarts from ĝ B = 0, and its gate was closed in most steps. Its moments come from the regularizer and a few
 * open steps; divided by an ever smaller ḡ they would grow without limit. → [r]
 */
const boundedGateSize = (settings: HardConcrete): ((logTheta: Tensor) => Tensor) => {
  const border = logRatio(settings)
  return (logTheta) => rootMeanSquareGate(settings)(map((location) => Math.max(border, location))(logTheta))
}

/**
 * With B′ = ĝ B and no gate, the task's gradient in B′ is what it was in B divided by the gate. AdamW's moments of a folded column follow:
 * m ← m / ḡ and v ← v / ḡ². Without this, v would be too small by ḡ², and the column's first steps too large by 1 / ḡ.
 * `power` is the exponent of ḡ.
 */
const foldMoments = (settings: HardConcrete, power: 1 | 2, adapters: Adapters): ((module: string, moments: Adapter) => Adapter) => {
  const factors = R.map(({ logTheta }: Adapter) => map((size) => size ** -power)(boundedGateSize(settings)(logTheta)))(adapters)
  return (module, moments) => ({ ...moments, B: multiplyRow(moments.B, factors[module]!) })
}

/** The state after T_end: retained parameters and moments, and the constants of the rest of the run. */
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

/** The adapters to export: every gate is 1, and kept gates are folded into B's columns. */
export const exportedAdapters = ({ adapters, afterEnd }: Pick<TrainingState, 'adapters' | 'afterEnd'>): Adapters =>
  R.mapWithIndex((module: string, adapter: Adapter) => ({
    ...adapter,
    ...foldGates(adapter, afterEnd?.gates[module] ?? openGates(adapter)),
  }))(adapters)
