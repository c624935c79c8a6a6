/** Names and shapes of a decoder with a table of positions: its tensors, the adaptable matrices of each layer, its sublayers. */
import type { Layer, Matrix, ModelSpec, TensorShape } from '../architecture.js'
import { linearTensors } from '../bert/heads.js'
import { layerNames, type GptConfig, type GptNames } from './config.js'

export const specOf = (config: GptConfig, names: GptNames): ModelSpec => {
  const { hiddenSize: h, heads, vocabularySize, maxPositions } = config
  const { attentionNorm, feedForwardNorm } = names.within
  const layers = layerNames(config, names)
  const matrices = layers.flatMap((at) => matricesOf(config, names, at))
  const norms = [...layers.flatMap((at) => [`${at}.${attentionNorm}`, `${at}.${feedForwardNorm}`]), names.norm]
  return {
    hiddenSize: h,
    embeddingSize: h,
    words: `${names.words}.weight`,
    tensors: new Map<string, TensorShape>([
      [`${names.words}.weight`, [vocabularySize, h]],
      [`${names.positions}.weight`, [maxPositions + names.positionOffset, h]],
      ...matrices.flatMap(({ name, d, k }) => linearTensors(name, d, k)),
      ...norms.flatMap(
        (name): ReadonlyArray<[string, TensorShape]> => [
          [`${name}.weight`, [h]],
          [`${name}.bias`, [h]],
        ],
      ),
    ]),
    matrices,
    layers: layers.map((name) => layerOf(names, name, { heads, headSize: h / heads })),
    maxPositions,
    kind: 'decoder',
    supportedHooks: ['keyValue', 'embedded'],
  }
}

const layerOf = ({ within }: GptNames, name: string, size: Pick<Layer, 'heads' | 'headSize'>): Layer => ({
  name,
  ...size,
  sublayers: [
    { name: `${name}.${within.attentionOutput}`, of: 'attention' },
    { name: `${name}.${within.down}`, of: 'feedForward' },
  ],
})

/** W_Q, W_K and W_V, in one matrix or in three; W_O, W_U and W_D. */
const matricesOf = ({ hiddenSize: h, intermediateSize: i }: GptConfig, { within }: GptNames, at: string): ReadonlyArray<Matrix> => {
  const { queryKeyValue, attentionOutput, up, down } = within
  return [
    ...queryKeyValue.map((name) => ({ name: `${at}.${name}`, d: (3 * h) / queryKeyValue.length, k: h })),
    { name: `${at}.${attentionOutput}`, d: h, k: h },
    { name: `${at}.${up}`, d: i, k: h },
    { name: `${at}.${down}`, d: h, k: i },
  ]
}
