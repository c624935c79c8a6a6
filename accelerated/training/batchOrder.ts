/** The order of the data: shuffled each epoch, examples of similar length together, the batches in random order. */
import { permutation } from '../parameters/random.js'

const batchesSortedTogether = 50

/**
 * Rows of each batch of an epoch. Stretches of 50 batches are sorted by length and cut, then all batches are shuffled, so lengths vary
 * little inside a batch and the order stays random. A function of (seed, epoch).
 */
export const batchesOfEpoch = (
  seed: number,
  epoch: number,
  lengths: ArrayLike<number>,
  batchSize: number,
): ReadonlyArray<ReadonlyArray<number>> => {
  const order = [...permutation(seed, 'order', 2 * epoch, lengths.length)]
  const stretch = batchesSortedTogether * batchSize
  const sorted = Array.from({ length: Math.ceil(order.length / stretch) }, (_, i) =>
    order.slice(i * stretch, (i + 1) * stretch).sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0)),
  ).flat()
  const batches = inBatches(sorted, batchSize)
  return [...permutation(seed, 'order', 2 * epoch + 1, batches.length)].map((i) => batches[i] ?? [])
}

/** Consecutive rows, `batchSize` at a time. */
export const inBatches = <T>(rows: ReadonlyArray<T>, batchSize: number): ReadonlyArray<ReadonlyArray<T>> =>
  Array.from({ length: Math.ceil(rows.length / batchSize) }, (_, i) => rows.slice(i * batchSize, (i + 1) * batchSize))
