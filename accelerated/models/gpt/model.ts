/** A decoder with a table of positions, as GPT-2 is one: sizes and names, in which alone its families differ, its graph and its heads. */
import { blockLayer, type Model, type Matrix, type ModelSpec, type TensorShape } from '../architecture.js'
import type { BatchInputs, PaddedInputs } from '../batchInputs.js'
import type { Expression } from '../../graph/expression.js'
import { add, gather, gelu, relu, slice } from '../../graph/operators.js'
import type { Host } from '../host.js'
import { attention, causalBias } from '../layers/attention.js'
import { geluTanh } from '../layers/gelu.js'
import { layerNorm, normTensors } from '../layers/layerNorm.js'
import { decoderParts, linearTensors } from '../layers/classifierHead.js'

/** The settings of the decoder's graph. Sizes are counts; dropouts are probabilities in [0, 1). */
export type GptConfig = {
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly intermediateSize: number
  /** the most tokens of a text: rows of the table of positions that a token can have */
  readonly maxPositions: number
  readonly layerNormEpsilon: number
  /** 'gelu' is exact (erf); 'gelu_tanh' is the tanh approximation. */
  readonly activation: 'gelu' | 'gelu_tanh' | 'relu'
  /** whether the output matrix is the embedding table */
  readonly tied: boolean
  readonly paddingIndex: number
  readonly dropouts: { readonly embeddings: number; readonly attention: number; readonly residual: number }
}

/** The names of a family's modules, without prefix. */
export type GptNames = {
  readonly words: string
  readonly positions: string
  /** rows of the table of positions before that of the first token */
  readonly positionOffset: number
  readonly layer: (i: number) => string
  readonly within: {
    readonly attentionNorm: string
    /** one matrix whose rows are those of queries, keys and values, or three matrices */
    readonly queryKeyValue: readonly [fused: string] | readonly [query: string, key: string, value: string]
    readonly attentionOutput: string
    readonly feedForwardNorm: string
    readonly up: string
    readonly down: string
  }
  /** of the last layer's output */
  readonly norm: string
}

/** What differs between families beside sizes. */
export type GptFamily = Pick<Model, 'type' | 'transposed' | 'ignored'> &
  Pick<ModelSpec, 'ia3Targets'> & {
    readonly names: GptNames
    /** whether words and positions have dropout before the first layer */
    readonly embeddingDropout: boolean
    /** of its tensors in files */
    readonly prefix: string
    /** in transformers */
    readonly classes: { readonly sequenceClassifier: string; readonly causal: string }
  }

export const gptModel = (family: GptFamily, config: GptConfig): Model => ({
  ...decoderParts(config, { prefix: family.prefix, ...family.classes }, `${family.names.words}.weight`),
  type: family.type,
  spec: { ...buildSpec(config, family.names), ...(family.ia3Targets === undefined ? {} : { ia3Targets: family.ia3Targets }) },
  transposed: family.transposed,
  ignored: family.ignored,
  hidden: (host, batch) => decoder(config, family.names, host, batch),
  withDropout: (p) => gptModel(family, { ...config, dropouts: { embeddings: family.embeddingDropout ? p : 0, attention: p, residual: p } }),
})

const layerNames = ({ layers }: GptConfig, { layer }: GptNames): readonly string[] => Array.from({ length: layers }, (_, i) => layer(i))

/** The decoder as an expression: embeddings of words and positions, then pre-norm layers of causal attention and a feed-forward block, with biases. */
const activations = { gelu, gelu_tanh: geluTanh, relu } as const

/** Hidden states of a batch: → [tokens, hidden], example after example, with padding if the batch keeps it */
const decoder = (config: GptConfig, names: GptNames, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
  const words = host.embedded(host.wordRows(`${names.words}.weight`, batch.inputIds), batch)
  const rows = names.positionOffset === 0 ? batch.positions : add(batch.positions, names.positionOffset)
  const embedded = host.dropout(
    'embeddings',
    add(words, gather(host.tensor(`${names.positions}.weight`), rows)),
    config.dropouts.embeddings,
  )
  const bias = causalBias(batch, null)
  const hidden = layerNames(config, names).reduce(
    (x, name) => host.layer(name, decoderLayer(config, names, host, batch, bias, name))(x),
    embedded,
  )
  return layerNorm(host, names.norm, config.layerNormEpsilon)(hidden)
}

/** x ← x + dropout(W_O attention(norm(x))); x ← x + dropout(W_D act(W_U norm(x))) */
const decoderLayer =
  (config: GptConfig, { within }: GptNames, host: Host, batch: BatchInputs | PaddedInputs, bias: Expression, layer: string) =>
  (x: Expression): Expression => {
    const { heads, hiddenSize, dropouts } = config
    const shape = { heads, headSize: hiddenSize / heads, layer, dropout: dropouts.attention, bias }
    const operands = queryKeyValue(host, layer, within, layerNorm(host, `${layer}.${within.attentionNorm}`, config.layerNormEpsilon)(x))
    const attended = sublayer(config, host, `${layer}.${within.attentionOutput}`, x, attention(shape, host, batch, ...operands))
    const wide = host.linear(
      `${layer}.${within.up}`,
      layerNorm(host, `${layer}.${within.feedForwardNorm}`, config.layerNormEpsilon)(attended),
    )
    return sublayer(config, host, `${layer}.${within.down}`, attended, activations[config.activation](wide))
  }

type Three = readonly [query: Expression, key: Expression, value: Expression]

/** x: [tokens, hidden] → [tokens, hidden] each */
const queryKeyValue = (host: Host, layer: string, { queryKeyValue: names }: GptNames['within'], x: Expression): Three => {
  const made = names.map((name) => host.linear(`${layer}.${name}`, x))
  const width = x.shape[1]
  const [fused] = made
  if (fused === undefined || typeof width !== 'number')
    throw new Error(`decoder: expected matrices of queries, keys and values in ${layer}`)
  return (made.length === 3 ? made : [0, 1, 2].map((part) => slice(fused, 1, part * width, width))) as unknown as Three
}

/** residual + dropout(W x + b) */
const sublayer = ({ dropouts }: GptConfig, host: Host, name: string, residual: Expression, x: Expression): Expression => {
  const output = host.dropout(name, host.linear(name, x), dropouts.residual)
  return add(residual, host.sublayer(name, output, { residual, norm: (y) => y })) // the next norm belongs to the next sublayer
}

/** Names and shapes of a decoder with a table of positions: its tensors, the adaptable matrices of each layer, its sublayers. */
const buildSpec = (config: GptConfig, names: GptNames): ModelSpec => {
  const { hiddenSize: h, heads, vocabularySize, maxPositions } = config
  const { attentionNorm, feedForwardNorm } = names.within
  const layers = layerNames(config, names)
  const matrices = layers.flatMap((at) => listMatrices(config, names, at))
  const norms = [...layers.flatMap((at) => [`${at}.${attentionNorm}`, `${at}.${feedForwardNorm}`]), names.norm]
  return {
    hiddenSize: h,
    embeddingSize: h,
    words: `${names.words}.weight`,
    tensors: new Map<string, TensorShape>([
      [`${names.words}.weight`, [vocabularySize, h]],
      [`${names.positions}.weight`, [maxPositions + names.positionOffset, h]],
      ...matrices.flatMap(({ name, d, k }) => linearTensors(name, d, k)),
      ...norms.flatMap((name) => normTensors(name, h)),
    ]),
    matrices,
    layers: layers.map((at) => blockLayer(at, heads, h / heads, `${at}.${names.within.attentionOutput}`, `${at}.${names.within.down}`)),
    maxPositions,
    kind: 'decoder',
    supportedHooks: ['keyValue', 'embedded'],
  }
}

/** W_Q, W_K and W_V, in one matrix or in three; W_O, W_U and W_D. */
const listMatrices = ({ hiddenSize: h, intermediateSize: i }: GptConfig, { within }: GptNames, at: string): readonly Matrix[] => {
  const { queryKeyValue, attentionOutput, up, down } = within
  return [
    ...queryKeyValue.map((name) => ({ name: `${at}.${name}`, d: (3 * h) / queryKeyValue.length, k: h })),
    { name: `${at}.${attentionOutput}`, d: h, k: h },
    { name: `${at}.${up}`, d: i, k: h },
    { name: `${at}.${down}`, d: h, k: i },
  ]
}
