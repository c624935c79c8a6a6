/** The order of the data in one epoch: random, with examples of similar length side by side. What is random is an argument. */
import { mismatch } from '../tensor/shape.js'

/** Examples of so many batches are sorted together: enough that a batch holds like lengths, few enough that its examples remain a draw. */
const stretchBatches = 50

/** The two permutations of an epoch; whoever draws them draws new ones for each. */
export interface EpochOrder {
  readonly examples: ReadonlyArray<number>
  /** Which batch comes n-th. */
  readonly batches: ReadonlyArray<number>
}

const cut = (rows: ReadonlyArray<number>, size: number): ReadonlyArray<ReadonlyArray<number>> =>
  Array.from({ length: Math.ceil(rows.length / size) }, (_, i) => rows.slice(i * size, (i + 1) * size))

const reorder = <A>(role: string, permutation: ReadonlyArray<number>, items: ReadonlyArray<A>): ReadonlyArray<A> => {
  const once = new Set(permutation.filter((place) => items[place] !== undefined))
  return once.size === items.length && permutation.length === items.length
    ? permutation.map((place) => items[place]!)
    : mismatch('batchesOfEpoch', `a permutation of ${items.length} ${role}`, `[${permutation.join(', ').slice(0, 100)}]`)
}

/**
 * The rows of each batch: the permuted examples fall into stretches of 50 batches, each stretch is sorted by falling length (of two alike the
 * earlier first) and cut into batches, and the batches come in the order of the second permutation. Throws on a permutation that is none.
 */
export const batchesOfEpoch = (
  lengths: ReadonlyArray<number>,
  batchSize: number,
  { examples, batches }: EpochOrder,
): ReadonlyArray<ReadonlyArray<number>> => {
  const rows = reorder('examples', examples, [...lengths.keys()])
  const sorted = cut(rows, stretchBatches * batchSize).map((stretch) => [...stretch].sort((a, b) => lengths[b]! - lengths[a]!))
  return reorder('batches', batches, cut(sorted.flat(), batchSize))
}
