/** The order of the data in one epoch: random, with examples of similar length in one batch. Randomness is an argument. */
import { mismatch } from '../tensor/shape.js'

/** Batches sorted together: enough for similar lengths in a batch, few enough to keep its examples random. */
const stretchBatches = 50

/** The two permutations of an epoch. The caller draws new ones for each epoch. */
export interface EpochOrder {
  readonly examples: readonly number[]
  /** The batch at each position. */
  readonly batches: readonly number[]
}

const cut = (rows: readonly number[], size: number): readonly (readonly number[])[] =>
  Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size))

const reorder = <A>(role: string, permutation: readonly number[], items: readonly A[]): readonly A[] => {
  const once = new Set(permutation.filter((place) => items[place] !== undefined))
  return once.size === items.length && permutation.length === items.length
    ? permutation.map((place) => items[place]!)
    : mismatch('batchesOfEpoch', `a permutation of ${items.length} ${role}`, `[${permutation.join(', ').slice(0, 100)}]`)
}

/**
 * The rows of each batch. The permuted examples are divided into chunks of 50 batches. Each chunk is sorted by descending length (stable) and cut
 * into batches. The second permutation orders the batches. @throws Error if a permutation is not one
 */
export const planEpoch = (
  lengths: readonly number[],
  batchSize: number,
  { examples, batches }: EpochOrder,
): readonly (readonly number[])[] => {
  const rows = reorder('examples', examples, [...lengths.keys()])
  const sorted = cut(rows, stretchBatches * batchSize).map((stretch) => [...stretch].sort((a, b) => lengths[b]! - lengths[a]!))
  return reorder('batches', batches, cut(sorted.flat(), batchSize))
}
