/** Names and shapes of a BERT or RoBERTa encoder: its tensors, the six matrices of each layer that can be adapted, its sublayers. */
import type { Layer, Matrix, Outline, TensorShape } from '../architecture.js'
import type { EncoderConfig } from './config.js'

/** Tokens that fit one example: RoBERTa numbers positions from paddingIndex + 1, BERT from 0. */
export const firstPosition = ({ family, paddingIndex }: EncoderConfig): number => (family === 'roberta' ? paddingIndex + 1 : 0)

export const outlineOf = (config: EncoderConfig): Outline => ({
  hiddenSize: config.hiddenSize,
  tensors: tensorShapes(config),
  matrices: layerNames(config).flatMap((at) => matricesOf(config, at)),
  layers: layerNames(config).map((at) => layerOf(config, at)),
  longestInput: config.maxPositions - firstPosition(config),
  kind: 'encoder',
})

const layerNames = ({ layers }: EncoderConfig): ReadonlyArray<string> => Array.from({ length: layers }, (_, i) => `encoder.layer.${i}`)

const layerOf = ({ heads, hiddenSize }: EncoderConfig, name: string): Layer => ({
  name,
  heads,
  headSize: hiddenSize / heads,
  sublayers: [
    { name: `${name}.attention.output`, of: 'attention' },
    { name: `${name}.output`, of: 'feedForward' },
  ],
})

/** W_Q, W_K, W_V, W_O, W_U and W_D in the paper's names. */
const matricesOf = ({ hiddenSize: h, intermediateSize: i }: EncoderConfig, at: string): ReadonlyArray<Matrix> => [
  { name: `${at}.attention.self.query`, d: h, k: h },
  { name: `${at}.attention.self.key`, d: h, k: h },
  { name: `${at}.attention.self.value`, d: h, k: h },
  { name: `${at}.attention.output.dense`, d: h, k: h },
  { name: `${at}.intermediate.dense`, d: i, k: h },
  { name: `${at}.output.dense`, d: h, k: i },
]

const tensorShapes = (config: EncoderConfig): ReadonlyMap<string, TensorShape> => {
  const { hiddenSize: h } = config
  const layerNorm = (at: string): ReadonlyArray<[string, number[]]> => [
    [`${at}.weight`, [h]],
    [`${at}.bias`, [h]],
  ]
  return new Map<string, TensorShape>([
    ['embeddings.word_embeddings.weight', [config.vocabularySize, h]],
    ['embeddings.position_embeddings.weight', [config.maxPositions, h]],
    ['embeddings.token_type_embeddings.weight', [config.tokenTypes, h]],
    ...layerNorm('embeddings.LayerNorm'),
    ...layerNames(config).flatMap((at) =>
      matricesOf(config, at).flatMap(
        ({ name, d, k }): ReadonlyArray<[string, number[]]> => [
          [`${name}.weight`, [d, k]],
          [`${name}.bias`, [d]],
        ],
      ),
    ),
    ...layerNames(config).flatMap((at) => [...layerNorm(`${at}.attention.output.LayerNorm`), ...layerNorm(`${at}.output.LayerNorm`)]),
  ])
}
