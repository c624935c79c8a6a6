/** What both sides of a benchmark train on: batches of token ids with their labels, the same for either. */
import { loadTokenizer } from '../../accelerated/files/tokenizer.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { batchesOfEpoch } from '../../accelerated/training/batchOrder.js'
import { uniforms } from '../../accelerated/training/random.js'
import { loadTask } from '../taskData.js'

export type BatchedExample = { readonly inputIds: ReadonlyArray<number>; readonly label: number }

export type BenchmarkCase = {
  readonly name: string
  readonly dropout: number
  /** one after another, and again from the first */
  readonly batches: ReadonlyArray<ReadonlyArray<BatchedExample>>
}

/** Special tokens are not drawn. */
const firstWord = 5

/** Texts of one length: no padding anywhere. */
export const evenCase = (batchSize: number, length: number, vocabulary: number): BenchmarkCase => {
  const u = uniforms(1, 'order', 0, batchSize * length)
  const id = (i: number): number => firstWord + Math.floor((vocabulary - firstWord) * (u[i] ?? 0))
  const batch = Array.from({ length: batchSize }, (_, row) => ({
    inputIds: Array.from({ length }, (__, column) => id(row * length + column)),
    label: row % 2,
  }))
  return { name: `${batchSize}x${length}`, dropout: 0, batches: [batch] }
}

/** Texts of MRPC at their own lengths, in the order of a run's first epoch, with dropout. @throws Mistake where `data` has none */
export const mrpcCase = async (
  batchSize: number,
  data: string,
  { folder, model }: { readonly folder: string; readonly model: Model },
  count: number,
): Promise<BenchmarkCase> => {
  const { train } = await loadTask({ task: 'mrpc', data })
  const tokenizer = await loadTokenizer(folder, model)
  const examples = train.examples.map(({ text, textPair, label }) => ({ inputIds: tokenizer.encode(text, textPair, 128).inputIds, label }))
  const order = batchesOfEpoch(
    0,
    0,
    examples.map(({ inputIds }) => inputIds.length),
    batchSize,
  )
  const batches = order.slice(0, count).map((rows) => rows.flatMap((row) => examples[row] ?? []))
  return { name: `mrpc-${batchSize}`, dropout: 0.1, batches }
}

export const tokensOf = (batch: ReadonlyArray<BatchedExample>): number => batch.reduce((sum, { inputIds }) => sum + inputIds.length, 0)
