/** A low-rank adapter: the pairs A, B of the adapted matrices, and the classification head trained with them. */
import type { Matrix, Model } from '../../models/architecture.js'
import type { ModelOutputs } from '../../models/modelOutputs.js'
import type { Weights } from '../adapter.js'

/** ΔW = scale · B A with A [r_i, k] and B [d, r_i]; r_i = 0 leaves W as it is. magnitude [d]: DoRA's, of all pairs of an adapter or of none. */
export type LowRankPair = { readonly A: Weights; readonly B: Weights; readonly magnitude?: Weights }

/** An adapter as training leaves it: every pair at one scale, whatever rank is left of it. */
export type LowRankAdapter = {
  readonly model: Model
  readonly outputs: ModelOutputs
  /** The hub id or the folder of the frozen model. */
  readonly baseModelName: string
  /** The rank before pruning, which fixes the scale. */
  readonly rank: number
  readonly alpha: number
  /** the scale is alpha / √rank instead of alpha / rank */
  readonly rslora?: boolean
  /** what training dropped of each pair's input: to be told, it is no part of the function */
  readonly dropout?: number
  /** Pairs, or none, by module path without the family's prefix, such as `encoder.layer.0.attention.self.query`. */
  readonly modules: ReadonlyMap<string, LowRankPair>
  /** Trained tensors by canonical name: none, or those of the model's sequence head; BERT's pooler may be missing. */
  readonly head: ReadonlyMap<string, Weights>
  /** Names of the classes in the order of the outputs. */
  readonly labelNames?: ReadonlyArray<string>
}

/** The rank left of a pair: the rows of A. */
export const rankOf = ({ A }: LowRankPair): number => A.shape[0] ?? 0

/** A pair of rank 0: it changes nothing. */
export const emptyPair = ({ d, k }: Pick<Matrix, 'd' | 'k'>): LowRankPair => ({
  A: { shape: [0, k], data: new Float32Array(0) },
  B: { shape: [d, 0], data: new Float32Array(0) },
})

/** The same function with every pair at `rank`, zero rows in A and zero columns in B: for servers that know only one rank. */
export const padToRank = (adapter: LowRankAdapter): LowRankAdapter => ({
  ...adapter,
  modules: new Map([...adapter.modules].map(([name, pair]) => [name, padPair(pair, adapter.rank)])),
})

/** Adds zero rows to A and zero columns to B up to `rank`; B A stays what it is. */
export const padPair = ({ A, B, ...rest }: LowRankPair, rank: number): LowRankPair => {
  const [r = 0, k = 0] = A.shape
  const [d = 0] = B.shape
  if (r > rank) throw new Error(`padPair: expected a rank of at most ${rank}, got ${r}`)
  const a = new Float32Array(rank * k)
  a.set(A.data)
  const b = new Float32Array(d * rank)
  for (let row = 0; row < d; row++) b.set(B.data.subarray(row * r, (row + 1) * r), row * rank)
  return { A: { shape: [rank, k], data: a }, B: { shape: [d, rank], data: b }, ...rest }
}
