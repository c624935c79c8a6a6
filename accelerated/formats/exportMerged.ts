/** The `merged` export: a model in Hugging Face layout without any trace of an adapter, for every tool that reads this layout. */
import { transposedMatrix } from '../checkpoints/safetensors/safetensors.js'
import { encode, layOut } from '../checkpoints/safetensors/writeSafetensors.js'
import { isBare } from '../models/modelOutputs.js'
import { nodeFiles } from '../storage/nodeFiles.js'
import { joinPath } from '../storage/paths.js'
import type { Storage } from '../storage/storage.js'
import { checkFloat16 } from './float16Range.js'
import { mergedTensors, type MergedTensor, type TrainedModel } from './mergedWeights.js'
import { writeModelConfig, type WrittenPrecision } from './modelConfig.js'
import { writeSentenceModules } from './sentenceModules.js'
import { writeTokenizer } from './tokenizerFiles.js'

export type MergedOptions = {
  /** float32 by default, whatever the base model has: float16 has eleven bits, and rounding to them can lose as much as the trained update */
  readonly precision?: WrittenPrecision
  /** tokens of a text, as in training; null: as many as the model has positions */
  readonly maxLength?: number | null
  readonly storage?: Storage
}

/** Writes model.safetensors, the tokenizer and, last, config.json into an existing folder. @throws InputError */
export const exportMerged = async (
  folder: string,
  trained: TrainedModel,
  labelNames: readonly string[] | undefined,
  { precision = 'float32', maxLength = null, storage = nodeFiles }: MergedOptions = {},
): Promise<void> => {
  const { adapter, base } = trained
  const { naming, transposed } = adapter.model
  const tensors = new Map(
    [...mergedTensors(trained)].map(([name, tensor]) => [naming.stored(name), transposed?.(name) === true ? asStored(tensor) : tensor]),
  )
  const dtype = precision === 'float16' ? 'F16' : 'F32'
  const { header, order } = layOut(
    [...tensors].map(([name, { shape }]) => ({ name, shape, dtype })),
    { format: 'pt' },
  )
  const file = joinPath(folder, 'model.safetensors')
  await storage.write(file, chunksOf(header, order, tensors, dtype, file))
  await writeTokenizer({ folder, storage }, base, adapter, maxLength)
  if (adapter.outputs.head === 'sequence' && isBare(adapter.model, adapter.outputs))
    await writeSentenceModules({ folder, storage }, adapter.model, trained.head)
  await writeModelConfig({ folder, storage }, base, adapter, labelNames, precision)
}

/** A matrix [out, in] as its family stores it: [in, out]. */
const asStored = ({ shape, read }: MergedTensor): MergedTensor => ({
  shape: shape.toReversed(),
  read: async () => transposedMatrix(await read(), shape),
})

async function* chunksOf(
  header: Uint8Array,
  order: readonly string[],
  tensors: ReadonlyMap<string, MergedTensor>,
  dtype: 'F32' | 'F16',
  file: string,
): AsyncGenerator<Uint8Array> {
  yield header
  for (const name of order) {
    const { shape, read } = tensors.get(name)!
    const data = await read()
    if (dtype === 'F16') checkFloat16(data, name, file)
    yield encode({ shape, data, dtype })
  }
}
