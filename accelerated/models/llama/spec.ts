/** Names and shapes of a decoder: its tensors, the seven adaptable matrices of each layer, its sublayers. */
import type { Layer, Matrix, ModelSpec, TensorShape } from '../architecture.js'
import type { DecoderConfig } from './family.js'

export const layerNames = ({ layers }: DecoderConfig): readonly string[] => Array.from({ length: layers }, (_, i) => `layers.${i}`)

/** The tensor of the word embeddings. */
export const wordTable = 'embed_tokens.weight'

export const specOf = (config: DecoderConfig): ModelSpec => ({
  hiddenSize: config.hiddenSize,
  embeddingSize: config.hiddenSize,
  words: wordTable,
  tensors: tensorShapes(config),
  matrices: layerNames(config).flatMap((at) => matricesOf(config, at).map(({ matrix }) => matrix)),
  layers: layerNames(config).map((at) => layerOf(config, at)),
  maxPositions: config.maxPositions,
  kind: 'decoder',
  // under a window, versions of transformers differ in which virtual tokens are visible
  supportedHooks: config.windows.every((window) => window === null) ? ['keyValue', 'embedded'] : ['embedded'],
})

/** The heads are those of keys and values, which a prefix extends. */
const layerOf = ({ keyValueHeads, headSize }: DecoderConfig, name: string): Layer => ({
  name,
  heads: keyValueHeads,
  headSize,
  sublayers: [
    { name: `${name}.self_attn.o_proj`, of: 'attention' },
    { name: `${name}.mlp.down_proj`, of: 'feedForward' },
  ],
})

type Named = { readonly matrix: Matrix; readonly bias: boolean }

/** W_Q, W_K, W_V, W_O and, of the feed-forward block, gate, up and down. */
const matricesOf = (config: DecoderConfig, at: string): readonly Named[] => {
  const { hiddenSize: h, intermediateSize: i, heads, keyValueHeads, headSize, biases } = config
  const [queries, keys] = [heads * headSize, keyValueHeads * headSize]
  return [
    { matrix: { name: `${at}.self_attn.q_proj`, d: queries, k: h }, bias: biases.queryKeyValue },
    { matrix: { name: `${at}.self_attn.k_proj`, d: keys, k: h }, bias: biases.queryKeyValue },
    { matrix: { name: `${at}.self_attn.v_proj`, d: keys, k: h }, bias: biases.queryKeyValue },
    { matrix: { name: `${at}.self_attn.o_proj`, d: h, k: queries }, bias: biases.attentionOutput },
    { matrix: { name: `${at}.mlp.gate_proj`, d: i, k: h }, bias: biases.feedForward },
    { matrix: { name: `${at}.mlp.up_proj`, d: i, k: h }, bias: biases.feedForward },
    { matrix: { name: `${at}.mlp.down_proj`, d: h, k: i }, bias: biases.feedForward },
  ]
}

const tensorShapes = (config: DecoderConfig): ReadonlyMap<string, TensorShape> => {
  const { hiddenSize: h, vocabularySize } = config
  const names = layerNames(config)
  const { attention, feedForward } = config.norms
  const blockNorms = [attention, feedForward].flatMap(({ before, after }) => (after === null ? [before] : [before, after]))
  const headNorms = config.queryKeyNorms ? ['q_norm', 'k_norm'] : []
  return new Map<string, TensorShape>([
    [wordTable, [vocabularySize, h]],
    ...names.flatMap((at) =>
      matricesOf(config, at).flatMap(({ matrix: { name, d, k }, bias }): readonly [string, TensorShape][] => [
        [`${name}.weight`, [d, k]],
        ...(bias ? [[`${name}.bias`, [d]] satisfies [string, TensorShape]] : []),
      ]),
    ),
    ...names.flatMap((at): readonly [string, TensorShape][] => [
      ...blockNorms.map((name): [string, TensorShape] => [`${at}.${name}.weight`, [h]]),
      ...headNorms.map((name): [string, TensorShape] => [`${at}.self_attn.${name}.weight`, [config.headSize]]),
    ]),
    ['norm.weight', [h]],
  ])
}
