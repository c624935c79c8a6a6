/** The `gguf-merged` export: a whole decoder in GGUF with tokenizer and chat template, for llama.cpp and what is built on it. */
import { ggufArchitecture, ggufName, interleaveHeads, permutedHeads } from '../../checkpoints/gguf/decoderNames.js'
import { gemmaWindowPatterns, ggufOffset } from '../../checkpoints/gguf/gemmaGguf.js'
import { tensorTypes, type TensorType } from '../../checkpoints/gguf/ggufTypes.js'
import { quantizeQ80 } from '../../checkpoints/gguf/quantize.js'
import { ggufChunks, type WrittenKeys, type WrittenTensor } from '../../checkpoints/gguf/writeGguf.js'
import { configLimit } from '../../checkpoints/configFile.js'
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { encode } from '../../checkpoints/safetensors/writeSafetensors.js'
import { decoderConfig, type DecoderConfig } from '../../models/llama/config.js'
import { rotaryFrequencies, usualAttentionFactor, type RotaryScaling } from '../../models/layers/rotary.js'
import type { Model } from '../../models/architecture.js'
import { inputError } from '../../errors/inputError.js'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { joinPath, nameOf } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'
import { checkFloat16 } from '../float16Range.js'
import { mergedTensors, type MergedTensor, type TrainedModel } from '../mergedWeights.js'
import type { OnnxPrecision } from '../onnxWeights.js'
import { ggufModelFiles } from './ggufFiles.js'
import { gemmaKeys } from './gemmaKeys.js'
import { gpt2Keys } from './gpt2Keys.js'
import { phi3Layout } from './phi3Layout.js'
import { tokenizerKeys } from './ggufTokenizer.js'

/** The type of matrices by precision, and its number in the key general.file_type. */
const written = { float32: ['F32', 0], float16: ['F16', 1], int8: ['Q8_0', 7] } as const

export type GgufOptions = { readonly precision?: OnnxPrecision; readonly storage?: Storage }

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
  const { sizes, factors } = await layoutOf(base)
  const [type, fileType] = written[precision]
  const keys: WrittenKeys = [
    ['general.architecture', { type: 'string', value: ggufArchitecture(base.model) ?? '' }],
    ['general.type', { type: 'string', value: 'model' }],
    ['general.name', { type: 'string', value: writtenName(base) }],
    ['general.file_type', { type: 'uint32', value: fileType }],
    ...(type === 'Q8_0' ? [['general.quantization_version', { type: 'uint32', value: 2 }] as const] : []),
    ...sizes.map(([key, value]) => [`${ggufArchitecture(base.model)}.${key}`, value] as const),
    ...(await tokenizerKeys(base)),
  ]
  const tensors = [...mergedTensors(trained)].map(([name, tensor]) => writtenTensor(base.model, name, tensor, type, file))
  await storage.write(file, ggufChunks(keys, [...factors, ...tensors]))
  await storage.write(joinPath(folder, ggufModelFiles.ollama), modelfile)
}

/** In a model named phi-3 or phi3, llama.cpp removes the blanks after special tokens, and expects Phi-3's own ones. */
export const writtenName = ({ baseModelName }: Pick<ModelFolder, 'baseModelName'>): string =>
  nameOf(baseModelName.replaceAll('\\', '/')).replace(/(phi)-?(?=3)/gi, '$1 ')

/** What a family's files have beside weights and tokenizer. Keys are without the architecture's name. */
type GgufLayout = { readonly sizes: WrittenKeys; readonly factors: ReadonlyArray<WrittenTensor> }

/** Families whose keys differ from LLaMA's. */
const layouts: Readonly<Record<string, (json: object, where: string) => GgufLayout>> = {
  gpt2: (json, where) => ({ sizes: gpt2Keys(json, where), factors: [] }),
  phi3: phi3Layout,
}

const layoutOf = async ({ folder, storage, model }: ModelFolder): Promise<GgufLayout> => {
  const file = joinPath(folder, 'config.json')
  const json = parseJson(await readText(file, configLimit, storage), file) as object
  return (layouts[model.type] ?? llamaLayout)(json, file)
}

const llamaLayout = (json: object, where: string): GgufLayout => {
  const config = decoderConfig(json, where)
  checkScaling(config, where)
  const hasWindows = Object.hasOwn(gemmaWindowPatterns, config.family)
  return { sizes: [...sizeKeys(config, hasWindows), ...(hasWindows ? gemmaKeys(config, where) : [])], factors: rotaryFactors(config) }
}

/** llama.cpp has YaRN's usual bounds, whatever a file's keys name. */
const checkScaling = ({ rotaryScaling: scaling }: DecoderConfig, file: string): void => {
  if (scaling?.kind !== 'yarn' || (scaling.betaFast === 32 && scaling.betaSlow === 1 && scaling.truncate)) return
  const { betaFast, betaSlow, truncate } = scaling
  throw inputError(
    file,
    'a YaRN scaling with beta_fast 32, beta_slow 1 and truncate true, for GGUF',
    `${betaFast}, ${betaSlow} and ${String(truncate)}`,
  )
}

/** llama.cpp has windows of Gemma alone. Within another family's window all answers agree, so it is the longest context. */
const sizeKeys = (config: DecoderConfig, hasWindows: boolean): WrittenKeys => {
  const { layers, maxPositions, windows, hiddenSize, intermediateSize, heads, keyValueHeads, headSize, rotaryScaling: scaling } = config
  const context = hasWindows ? maxPositions : windows.reduce<number>((least, window) => Math.min(least, window ?? least), maxPositions)
  const counts = {
    block_count: layers,
    context_length: context,
    embedding_length: hiddenSize,
    feed_forward_length: intermediateSize,
    vocab_size: config.vocabularySize,
    'attention.head_count': heads,
    'attention.head_count_kv': keyValueHeads,
    'attention.key_length': headSize,
    'attention.value_length': headSize,
    'rope.dimension_count': headSize,
  }
  return [
    ...Object.entries(counts).map(([key, value]) => [key, { type: 'uint32', value }] as const),
    ['attention.layer_norm_rms_epsilon', { type: 'float32', value: config.rmsNormEpsilon }],
    ['rope.freq_base', { type: 'float32', value: config.rotaryBase }],
    ...scalingKeys(scaling),
  ]
}

/** Llama 3's scaling is a tensor (rotaryFactors). llama.cpp has YaRN's usual factor of the attention itself. */
const scalingKeys = (scaling: RotaryScaling | null): WrittenKeys => {
  if (scaling === null || scaling.kind === 'llama3' || scaling.kind === 'longrope') return []
  const number = (key: string, value: number) => [`rope.scaling.${key}`, { type: 'float32', value }] as const
  return [
    ['rope.scaling.type', { type: 'string', value: scaling.kind }],
    number('factor', scaling.factor),
    ...(scaling.kind === 'yarn'
      ? [
          ['rope.scaling.original_context_length', { type: 'uint32', value: scaling.originalPositions }] as const,
          number('attn_factor', scaling.attentionFactor / usualAttentionFactor(scaling.factor)),
        ]
      : []),
  ]
}

/** Llama 3's scaling: what each frequency is divided by. */
const rotaryFactors = (config: DecoderConfig): ReadonlyArray<WrittenTensor> => {
  if (config.rotaryScaling?.kind !== 'llama3') return []
  const scaled = rotaryFrequencies(config)
  const factors = rotaryFrequencies({ ...config, rotaryScaling: null }).map((frequency, i) => frequency / (scaled[i] ?? NaN))
  const data = Float32Array.from(factors)
  return [{ name: 'rope_freqs.weight', shape: [data.length], type: 'F32', bytes: async () => encode({ shape: [data.length], data }) }]
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
