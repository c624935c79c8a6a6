/** The `transformers.js` export: an ONNX model of the merged classifier, with the files by which @huggingface/transformers opens the folder. */
import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomically } from '../files/atomicFile.js'
import { elementCount } from '../files/safetensors/safetensorsHeader.js'
import { encode } from '../files/safetensors/writeSafetensors.js'
import { embedWeights, largestModel, type Piece } from '../graph/embedWeights.js'
import type { ExternalData } from '../graph/expression.js'
import { toOnnx } from '../graph/onnx.js'
import { weight } from '../graph/operators.js'
import { mergedTensors, type MergedTensor, type TrainedModel } from './mergedWeights.js'
import { writeModelConfig, writeTokenizer } from './modelFiles.js'
import { paddedInference } from './paddedInference.js'

/** Where @huggingface/transformers looks for a model in float32, and beside it for weights that do not fit the model's own file. */
export const onnxFiles = { folder: 'onnx', model: 'model.onnx', data: 'model.onnx_data' } as const

/**
 * Writes onnx/model.onnx, tokenizer and (last) config.json into an existing folder. Plain ONNX operators only: the file may be opened by any
 * provider, in a browser too. Weights stand in the model's file, or from `largest` bytes on in onnx/model.onnx_data. Throws Mistake.
 */
export const writeOnnxFolder = async (
  folder: string,
  trained: TrainedModel,
  labelNames: ReadonlyArray<string> | undefined,
  maxLength: number | null = null,
  largest: number = largestModel,
): Promise<void> => {
  const { adapter, base } = trained
  const tensors = tensorsOf(trained)
  const places = placesOf(tensors)
  const model = toOnnx(
    paddedInference(adapter, (name) => weight(name, tensors.get(name)?.shape ?? [], 'float32', places.get(name)!)),
    { fusedMatMul: false },
  )
  const whole = embedWeights(model)
  const embedded = whole.length <= largest
  const [modelFile, dataFile] = [onnxFiles.model, onnxFiles.data].map((name) => join(folder, onnxFiles.folder, name)) as [string, string]
  await mkdir(join(folder, onnxFiles.folder), { recursive: true })
  if (!embedded)
    await writeFileAtomically(
      dataFile,
      bytesOf(
        [...tensors.keys()].map((name) => ({ weight: name })),
        tensors,
      ),
    )
  await writeFileAtomically(modelFile, embedded ? bytesOf(whole.pieces, tensors) : model)
  await writeTokenizer(folder, base.folder, adapter, maxLength)
  await writeModelConfig(
    folder,
    base.folder,
    adapter,
    labelNames,
    'float32',
    embedded ? {} : { 'transformers.js_config': { use_external_data_format: true } },
  )
}

/** Merged where the method can be; else the model's own tensors and, beside them, the method's, which are a part of the graph. */
const tensorsOf = (trained: TrainedModel): ReadonlyMap<string, MergedTensor> =>
  new Map<string, MergedTensor>([
    ...mergedTensors(trained),
    ...(trained.adapter.method.merge === undefined
      ? [...trained.adapter.tensors].map(([name, { shape, data }]): readonly [string, MergedTensor] => [
          name,
          { shape, read: async () => data },
        ])
      : []),
  ])

/** One after another in the data file. */
const placesOf = (tensors: ReadonlyMap<string, MergedTensor>): ReadonlyMap<string, ExternalData> => {
  let offset = 0
  return new Map(
    [...tensors].map(([name, { shape }]) => {
      const length = 4 * elementCount(shape)
      offset += length
      return [name, { location: onnxFiles.data, offset: offset - length, length }]
    }),
  )
}

async function* bytesOf(pieces: ReadonlyArray<Piece>, tensors: ReadonlyMap<string, MergedTensor>): AsyncGenerator<Uint8Array> {
  for (const piece of pieces) {
    if (piece instanceof Uint8Array) {
      yield piece
      continue
    }
    const { shape, read } = tensors.get(piece.weight)!
    yield encode({ shape, data: await read(), dtype: 'F32' })
  }
}
