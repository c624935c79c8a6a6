/** A low-rank adapter: the pairs A, B of the adapted matrices, and the head that was trained with them. */
import type { Matrix, Model } from '../../models/architecture.js'
import type { ModelOutputs } from '../../models/modelOutputs.js'
import type { Weights } from '../adapter.js'

/** ΔW = scale · B A with A [r_i, k] and B [d, r_i]; r_i = 0 leaves W unchanged. All pairs of an adapter have DoRA's magnitude [d], or none. */
export type LowRankPair = { readonly A: Weights; readonly B: Weights; readonly magnitude?: Weights }

/** An adapter after training: every pair has the same scale, whatever its remaining rank. */
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
  /** the dropout in training, which is not part of the function and only goes into the configuration */
  readonly dropout?: number
  /** Pairs, or none, by module path without the family's prefix, such as `encoder.layer.0.attention.self.query`. */
  readonly modules: ReadonlyMap<string, LowRankPair>
  /** Trained tensors by canonical name: none, or those of the model's sequence head; BERT's pooler may be missing. */
  readonly head: ReadonlyMap<string, Weights>
  /** rows of tokens, under the names of their tables */
  readonly tokens?: { readonly keys: object; readonly tensors: readonly (readonly [key: string, Weights])[] }
  /** Names of the classes in the order of the outputs. */
  readonly labelNames?: readonly string[]
}

/** The remaining rank of a pair: the rows of A. */
export const rankOf = ({ A }: LowRankPair): number => A.shape[0] ?? 0

/** A pair of rank 0, which changes nothing. */
export const emptyPair = ({ d, k }: Pick<Matrix, 'd' | 'k'>): LowRankPair => ({
  A: { shape: [0, k], data: new Float32Array(0) },
  B: { shape: [d, 0], data: new Float32Array(0) },
})

/** The same function with every pair padded to the adapter's rank, for servers that support only one rank. */
export const padToRank = (adapter: LowRankAdapter): LowRankAdapter => ({
  ...adapter,
  modules: new Map([...adapter.modules].map(([name, pair]) => [name, padPair(pair, adapter.rank)])),
})

/** Adds rows of zeros to A and columns of zeros to B up to `rank`; B A stays the same. */
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
