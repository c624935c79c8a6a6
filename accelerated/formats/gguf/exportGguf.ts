/** The `gguf-merged` export: a whole decoder in GGUF with tokenizer and chat template, for llama.cpp and what is built on it. */
import { ggufName, ggufOffset, interleaveHeads, permutedHeads, requireGguf } from '../../checkpoints/gguf/decoderNames.js'
import { tensorTypes, type TensorType } from '../../checkpoints/gguf/ggufTypes.js'
import { ggufChunks, type WrittenTensor } from '../../checkpoints/gguf/writeGguf.js'
import { namesLimit } from '../../checkpoints/configFile.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { encode } from '../../checkpoints/safetensors/writeSafetensors.js'
import type { Model } from '../../models/architecture.js'
import type { GgufLayout, WrittenKeys } from '../../models/gguf.js'
import { parseJson } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { joinPath, baseName } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import { checkFloat16, mergedTensors, type MergedTensor, type TrainedModel } from '../mergedWeights.js'
import type { OnnxPrecision } from '../onnxWeights.js'
import { ggufModelFiles } from '../../checkpoints/gguf/ggufHeader.js'
import { tokenizerKeys } from './ggufTokenizer.js'
import { toFloat16 } from '../../storage/float16.js'

/** The type of matrices by precision, and its number in the key general.file_type. */
const written = { float32: ['F32', 0], float16: ['F16', 1], int8: ['Q8_0', 7] } as const

type GgufOptions = { readonly precision?: OnnxPrecision; readonly storage?: Storage }

/**
 * Writes model.gguf and a Modelfile for Ollama into an existing folder. int8 is Q8_0. Vectors are float32, as in llama.cpp's own files.
 * @throws InputError for a tokenizer or a YaRN scaling that llama.cpp cannot be, and for numbers beyond the precision's range
 */
export const exportGguf = async (
  folder: string,
  trained: TrainedModel,
  { precision = 'float32', storage = nodeFiles }: GgufOptions = {},
): Promise<void> => {
  const { base } = trained
  const file = joinPath(folder, ggufModelFiles.model)
  const layout = await familyLayout(base)
  const { architecture } = requireGguf(base.model)
  const [type, fileType] = written[precision]
  const keys: WrittenKeys = [
    ['general.architecture', { type: 'string', value: architecture }],
    ['general.type', { type: 'string', value: 'model' }],
    ['general.name', { type: 'string', value: writtenName(base) }],
    ['general.file_type', { type: 'uint32', value: fileType }],
    ...(type === 'Q8_0' ? [['general.quantization_version', { type: 'uint32', value: 2 }] as const] : []),
    ...layout.keys.map(([key, value]) => [`${architecture}.${key}`, value] as const),
    ...(await tokenizerKeys(base)),
  ]
  const tensors = [...mergedTensors(trained)].map(([name, tensor]) => writtenTensor(base.model, name, tensor, type, file))
  await storage.write(file, ggufChunks(keys, [...Object.entries(layout.factors).map(factorTensor), ...tensors]))
  await storage.write(joinPath(folder, ggufModelFiles.ollama), modelfile)
}

/** In a model named phi-3 or phi3, llama.cpp removes the blanks after special tokens, and expects Phi-3's own ones. */
export const writtenName = ({ baseModelName }: Pick<ModelFolder, 'baseModelName'>): string =>
  baseName(baseModelName.replaceAll('\\', '/')).replace(/(phi)-?(?=3)/gi, '$1 ')

const familyLayout = async ({ folder, storage, model }: ModelFolder): Promise<GgufLayout> => {
  const file = joinPath(folder, 'config.json')
  return requireGguf(model).write(parseJson(await readText(file, namesLimit, storage), file) as object, file)
}

const factorTensor = ([name, numbers]: readonly [string, readonly number[]]): WrittenTensor => {
  const [shape, data] = [[numbers.length], Float32Array.from(numbers)]
  return { name, shape, type: 'F32', bytes: async () => encode({ shape, data }) }
}

/** A row that is no whole number of blocks is F16, as llama.cpp's own conversion has it. */
const writtenTensor = (model: Model, name: string, { shape, read }: MergedTensor, matrixType: TensorType, file: string): WrittenTensor => {
  const width = shape.length === 1 ? 1 : (shape[1] ?? 1)
  const isVector = shape.length === 1 || ggufName(name, model) === 'position_embd.weight' // llama.cpp's script keeps positions as vectors
  const type = isVector ? 'F32' : width % tensorTypes[matrixType].block === 0 ? matrixType : 'F16'
  const headSize = permutedHeads(model, name.replace(/\.(weight|bias)$/, ''))
  const offset = ggufOffset(model, name)
  return {
    name: ggufName(name, model),
    shape,
    type,
    bytes: async () => {
      const numbers = await read()
      const data = (headSize === null ? numbers : interleaveHeads(numbers, width, headSize)).map((x) => x + offset)
      if (type !== 'F32') checkFloat16(data, name, file, type === 'Q8_0' ? 127 : 1)
      if (type === 'Q8_0') return quantizeQ80(Float32Array.from(data))
      return encode({ shape, data, dtype: type === 'F16' ? 'F16' : 'F32' })
    },
  }
}

/** Ollama takes the chat template from the model. */
const modelfile = `# ollama create NAME -f Modelfile
# A model that is merged, as this one, runs in every version. ADAPTER with an adapter in GGUF works up to version 0.34.0; 0.34.1 refuses it.
FROM ./${ggufModelFiles.model}
`

/** Q8_0 of llama.cpp: blocks of 32 numbers, each a float16 scale and 32 int8 levels. */
const [block, blockBytes] = [32, 34]

/** The scale is the largest magnitude / 127; levels are rounded half away from zero, in float32 as ggml computes them. numbers: whole blocks */
export const quantizeQ80 = (numbers: Float32Array): Uint8Array => {
  const blocks = numbers.length / block
  const bytes = new Uint8Array(blocks * blockBytes)
  const levels = new Int8Array(bytes.buffer)
  const scales = new Float32Array(blocks)
  for (let i = 0; i < blocks; i++) {
    let largest = 0
    for (let j = i * block; j < (i + 1) * block; j++) largest = Math.max(largest, Math.abs(numbers[j] ?? NaN))
    const scale = Math.fround(largest / 127)
    scales[i] = scale
    const inverse = scale === 0 ? 0 : Math.fround(1 / scale)
    for (let j = 0; j < block; j++) {
      const level = Math.fround((numbers[i * block + j] ?? NaN) * inverse)
      const size = Math.abs(level)
      const floor = Math.floor(size)
      levels[i * blockBytes + 2 + j] = Math.sign(level) * (floor + Math.floor(2 * (size - floor)))
    }
  }
  const halves = new Uint8Array(toFloat16(scales).buffer)
  for (let i = 0; i < blocks; i++) bytes.set(halves.subarray(2 * i, 2 * i + 2), i * blockBytes)
  return bytes
}
