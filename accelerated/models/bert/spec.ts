/** Names and shapes of a BERT encoder: its tensors, the six adaptable matrices of each layer, its sublayers. */
import { blockLayer, type Matrix, type ModelSpec, type Naming, type TensorShape } from '../architecture.js'
import { linearTensors } from '../layers/classifierHead.js'
import { normTensors } from '../layers/layerNorm.js'
import type { EncoderConfig } from './config.js'

export type LayerNames = {
  readonly query: string
  readonly key: string
  readonly value: string
  readonly attentionOutput: string
  readonly attentionNorm: string
  readonly up: string
  readonly down: string
  readonly feedForwardNorm: string
  /** the two sublayers: their dropout sites and adapters have these names */
  readonly attention: string
  readonly feedForward: string
}

export type EncoderNames = {
  /** of layer i */
  readonly layer: (i: number) => string
  readonly within: (layer: string) => LayerNames
}

/** The names of BERT, RoBERTa and ELECTRA. */
export const bertNames: EncoderNames = {
  layer: (i) => `encoder.layer.${i}`,
  within: (at) => ({
    query: `${at}.attention.self.query`,
    key: `${at}.attention.self.key`,
    value: `${at}.attention.self.value`,
    attentionOutput: `${at}.attention.output.dense`,
    attentionNorm: `${at}.attention.output.LayerNorm`,
    up: `${at}.intermediate.dense`,
    down: `${at}.output.dense`,
    feedForwardNorm: `${at}.output.LayerNorm`,
    attention: `${at}.attention.output`,
    feedForward: `${at}.output`,
  }),
}

/** The first position: RoBERTa counts from paddingIndex + 1, BERT from 0. */
export const firstPosition = ({ family, paddingIndex }: EncoderConfig): number => (family === 'roberta' ? paddingIndex + 1 : 0)

/** The tensor of the word embeddings. */
export const wordTable = 'embeddings.word_embeddings.weight'

/** The linear map from embeddings of another width to hidden states. */
export const projection = 'embeddings_project'

export const buildSpec = (config: EncoderConfig, names: EncoderNames): ModelSpec => ({
  hiddenSize: config.hiddenSize,
  embeddingSize: config.embeddingSize,
  words: wordTable,
  tensors: tensorShapes(config, names),
  matrices: listLayers(config, names).flatMap((at) => listMatrices(config, at)),
  layers: listLayers(config, names).map(({ attention, feedForward }, i) =>
    blockLayer(names.layer(i), config.heads, config.hiddenSize / config.heads, attention, feedForward),
  ),
  maxPositions: config.maxPositions - firstPosition(config),
  kind: 'encoder',
  supportedHooks: ['sublayer', 'keyValue', 'embedded'],
})

const listLayers = ({ layers }: EncoderConfig, { layer, within }: EncoderNames): readonly LayerNames[] =>
  Array.from({ length: layers }, (_, i) => within(layer(i)))

/** W_Q, W_K, W_V, W_O, W_U and W_D in the paper's names. */
const listMatrices = ({ hiddenSize: h, intermediateSize: i }: EncoderConfig, at: LayerNames): readonly Matrix[] => [
  { name: at.query, d: h, k: h },
  { name: at.key, d: h, k: h },
  { name: at.value, d: h, k: h },
  { name: at.attentionOutput, d: h, k: h },
  { name: at.up, d: i, k: h },
  { name: at.down, d: h, k: i },
]

const tensorShapes = (config: EncoderConfig, names: EncoderNames): ReadonlyMap<string, TensorShape> => {
  const { hiddenSize: h, embeddingSize: e } = config
  const layers = listLayers(config, names)
  const linear = ({ name, d, k }: Matrix) => linearTensors(name, d, k)
  return new Map<string, TensorShape>([
    [wordTable, [config.vocabularySize, e]],
    ['embeddings.position_embeddings.weight', [config.maxPositions, e]],
    ...(config.tokenTypes === 0 ? [] : ([['embeddings.token_type_embeddings.weight', [config.tokenTypes, e]]] as const)),
    ...normTensors('embeddings.LayerNorm', e),
    ...(e === h ? [] : linear({ name: projection, d: h, k: e })),
    ...layers.flatMap((at) => listMatrices(config, at).flatMap(linear)),
    ...layers.flatMap((at) => [...normTensors(at.attentionNorm, h), ...normTensors(at.feedForwardNorm, h)]),
  ])
}

/** Names in transformers. Files store the heads beside the encoder, and everything else, BERT's pooler included, within it. */
export const encoderNaming = (module: string, name: string, heads = /^classifier\./): Naming => ({
  prefix: `${module}.`,
  sequenceClassifier: `${name}ForSequenceClassification`,
  tokenClassifier: `${name}ForTokenClassification`,
  tokenizer: `${name}Tokenizer`,
  stored: (tensor) => (heads.test(tensor) ? tensor : `${module}.${tensor}`),
})

/** Buffers that old checkpoints carry: the numbers of positions and the zeros of token types. */
export const isIdBuffer = (tensor: string): boolean => /^embeddings\.(position|token_type)_ids$/.test(tensor)
