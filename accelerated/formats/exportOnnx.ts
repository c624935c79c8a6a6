/** The `transformers.js` export: an ONNX model of the merged classifier or decoder, with the files by which @huggingface/transformers opens the folder. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../storage/atomicFile.js'
import { loadTokenizer } from '../checkpoints/tokenizer/tokenizer.js'
import { embedWeights, largestModel, type Piece } from '../graph/embedWeights.js'
import { toOnnx } from '../graph/onnx.js'
import { cachedInference } from './cachedInference.js'
import { mergedTensors, type MergedTensor, type TrainedModel } from './mergedWeights.js'
import { writeModelConfig, writeTokenizer } from './modelFiles.js'
import { onnxPrecisions, placed, storedWeight, type OnnxPrecision, type StoredTensor } from './onnxWeights.js'
import { paddedInference } from './paddedInference.js'

/** Where @huggingface/transformers looks for a model, and beside it for weights that do not fit the model's own file. */
export const onnxFiles = (precision: OnnxPrecision) => {
  const model = `model${onnxPrecisions[precision].suffix}.onnx`
  return { folder: 'onnx', model, data: `${model}_data` } as const
}

export type OnnxOptions = {
  readonly precision?: OnnxPrecision
  /** tokens of a text, as the adapter was trained with; null: as many as the model has positions */
  readonly maxLength?: number | null
  /** bytes from which on weights are a file of their own */
  readonly largest?: number
}

/**
 * Writes onnx/model.onnx (or model_fp16.onnx, model_quantized.onnx), tokenizer and (last) config.json into an existing folder. Plain ONNX
 * operators only: the file may be opened by any provider, in a browser too. Weights stand in the model's file, or from `largest` bytes on
 * beside it. Throws Mistake.
 */
export const exportOnnx = async (
  folder: string,
  trained: TrainedModel,
  labelNames: ReadonlyArray<string> | undefined,
  { precision = 'float32', maxLength = null, largest = largestModel }: OnnxOptions = {},
): Promise<void> => {
  const { adapter, base } = trained
  const { folder: onnx, model: modelName, data: dataName } = onnxFiles(precision)
  const [modelFile, dataFile] = [join(folder, onnx, modelName), join(folder, onnx, dataName)]
  const weights = new Map([...tensorsOf(trained)].map(([name, tensor]) => [name, storedWeight(name, tensor, precision, modelFile)]))
  const stored = new Map([...weights.values()].flatMap(({ parts }) => [...parts]))
  const read = placed(stored, dataName)
  const values = new Map([...weights].map(([name, { value }]) => [name, value(read)]))
  const inference = adapter.outputs.head === 'causal' ? cachedInference : paddedInference
  const model = toOnnx(
    inference(adapter, (name) => values.get(name)!),
    { fusedMatMul: false },
  )
  const whole = embedWeights(model)
  const embedded = whole.length <= largest
  await mkdir(join(folder, onnx)) // not the folder itself, which a signal may just have removed
  if (!embedded)
    await writeFileAtomically(
      dataFile,
      bytesOf(
        [...stored.keys()].map((name) => ({ weight: name })),
        stored,
      ),
    )
  await writeFileAtomically(modelFile, embedded ? bytesOf(whole.pieces, stored) : model)
  // without it, the library's pipeline leaves out what the tokenizer puts before a text
  const begins = adapter.outputs.head === 'causal' && (await loadTokenizer(base.folder, base.model)).start.length > 0
  await writeTokenizer(folder, base.folder, adapter, maxLength, begins ? { add_bos_token: true } : {})
  // opened without a word of it, the folder must be looked for under the name that it has
  const ofLibrary = {
    ...(precision === 'float32' ? {} : { dtype: onnxPrecisions[precision].dtype }),
    ...(embedded ? {} : { use_external_data_format: true }),
  }
  const more = Object.keys(ofLibrary).length === 0 ? {} : { 'transformers.js_config': ofLibrary }
  await writeModelConfig(folder, base.folder, adapter, labelNames, 'float32', more)
}

/** Merged where the method can be; else the model's own tensors and, beside them, the method's, which are a part of the graph. */
const tensorsOf = (trained: TrainedModel): ReadonlyMap<string, MergedTensor> =>
  new Map<string, MergedTensor>([
    ...mergedTensors(trained),
    ...(trained.adapter.method.export.merge === undefined
      ? [...trained.adapter.tensors].map(([name, { shape, data }]): readonly [string, MergedTensor] => [
          name,
          { shape, read: async () => data },
        ])
      : []),
  ])

async function* bytesOf(pieces: ReadonlyArray<Piece>, stored: ReadonlyMap<string, StoredTensor>): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) yield piece instanceof Uint8Array ? piece : await stored.get(piece.weight)!.bytes()
}
