/** The `merged` export: a sequence classifier in Hugging Face layout, with no trace of an adapter, for every tool that reads such folders. */
import { join } from 'node:path'
import { writeFileAtomically } from '../storage/atomicFile.js'
import { transposedMatrix } from '../checkpoints/safetensors/safetensors.js'
import { encode, layOut } from '../checkpoints/safetensors/writeSafetensors.js'
import { checkFloat16 } from './float16Range.js'
import { mergedTensors, type MergedTensor, type TrainedModel } from './mergedWeights.js'
import { writeModelConfig, writeTokenizer, type WrittenPrecision } from './modelFiles.js'

/**
 * Writes model.safetensors, tokenizer and (last) config.json into an existing folder. float32 by default, whatever the base model's dtype:
 * float16 has eleven bits, and what they round away of W + ΔW can be as large as the update that was trained. Throws Mistake.
 */
export const exportMerged = async (
  folder: string,
  trained: TrainedModel,
  labelNames: ReadonlyArray<string> | undefined,
  precision: WrittenPrecision,
  maxLength: number | null = null,
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
  const file = join(folder, 'model.safetensors')
  await writeFileAtomically(file, piecesOf(header, order, tensors, dtype, file))
  await writeTokenizer(folder, base.folder, adapter, maxLength)
  await writeModelConfig(folder, base.folder, adapter, labelNames, precision)
}

/** A matrix [out, in] as a checkpoint of its family has it: [in, out]. */
const asStored = ({ shape, read }: MergedTensor): MergedTensor => ({
  shape: shape.toReversed(),
  read: async () => transposedMatrix(await read(), shape),
})

async function* piecesOf(
  header: Uint8Array,
  order: ReadonlyArray<string>,
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
