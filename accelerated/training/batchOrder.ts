/** The order of the data: shuffled each epoch, examples of similar length together, the batches in random order. */
import { pickExamples, measureLengths, type Examples } from '../models/packing.js'
import type { TrainingExample } from '../objectives/objective.js'
import { permutation } from '../parameters/random.js'
import type { CommonSettings } from '../settings/commonSettings.js'

const batchesSortedTogether = 50

/**
 * Rows of each batch of an epoch. Chunks of 50 shuffled batches are sorted by length and cut, then all batches are shuffled. So lengths vary little
 * inside a batch, and the order stays random. A function of (seed, epoch).
 */
export const planEpoch = (seed: number, epoch: number, lengths: ArrayLike<number>, batchSize: number): readonly (readonly number[])[] => {
  const order = [...permutation(seed, 'order', 2 * epoch, lengths.length)]
  const chunk = batchesSortedTogether * batchSize
  const sorted = Array.from({ length: Math.ceil(order.length / chunk) }, (_, i) =>
    order.slice(i * chunk, (i + 1) * chunk).sort((a, b) => (lengths[b] ?? 0) - (lengths[a] ?? 0)),
  ).flat()
  const batches = inBatches(sorted, batchSize)
  return [...permutation(seed, 'order', 2 * epoch + 1, batches.length)].map((i) => batches[i] ?? [])
}

/** Consecutive rows, `batchSize` at a time. */
export const inBatches = <T>(rows: readonly T[], batchSize: number): readonly (readonly T[])[] =>
  Array.from({ length: Math.ceil(rows.length / batchSize) }, (_, i) => rows.slice(i * batchSize, (i + 1) * batchSize))

/** The examples of each step, batch by accumulated batch. */
export const stepBatches = <E extends TrainingExample>(
  training: Examples<E>,
  { seed, batchSize, gradientAccumulationSteps }: CommonSettings,
  stepsPerEpoch: number,
): ((step: number) => readonly (readonly E[])[]) => {
  const lengths = measureLengths(training)
  let order: { readonly epoch: number; readonly batches: readonly (readonly number[])[] } | null = null
  return (step) => {
    const epoch = Math.floor(step / stepsPerEpoch)
    if (order?.epoch !== epoch) order = { epoch, batches: planEpoch(seed, epoch, lengths, batchSize) }
    const parts = inBatches(order.batches, gradientAccumulationSteps)[step % stepsPerEpoch] ?? []
    return parts.map((rows) => pickExamples(training, rows))
  }
}
