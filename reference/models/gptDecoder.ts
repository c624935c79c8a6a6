/** A decoder with a table of positions, as GPT-2 is one (Radford et al., 2019), with gated adapters: forwards, and backwards by hand-derived rules. */
import { adaptedLinear, normalization, type ModelTensors } from '../layers/adaptedLinear.js'
import { causalAttention, causalAttentionVjp } from '../layers/causalAttention.js'
import { embedding, embeddingVjp } from '../layers/embedding.js'
import { gelu, geluVjp } from '../layers/gelu.js'
import { plainLayer, residual, sequence, type Layer, type Pulled } from '../layers/layer.js'
import { linearInputVjp, linearWeightVjp } from '../layers/linear.js'
import { matMul } from '../tensor/matMul.js'
import { add, map, multiply, named, slice, stackColumns, type Tensor, type Tensors } from '../tensor/tensor.js'
import type { Tokens } from './embeddings.js'
import { sortGradients, toModelTensors, type ModelOptions, type Operands, type TracedModel } from './model.js'

export interface GptDecoderConfig {
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly layerNormEpsilon: number
  readonly activation: 'gelu' | 'gelu_tanh' | 'relu'
  /** whether the output matrix is the table of words */
  readonly tied: boolean
  readonly names: {
    readonly words: string
    readonly positions: string
    /** the row of the first token's position */
    readonly firstPosition: number
    readonly layer: (n: number) => string
    /** one matrix of queries, keys and values, or three */
    readonly queryKeyValue: readonly string[]
    readonly attentionNorm: string
    readonly attentionOutput: string
    readonly feedForwardNorm: string
    readonly up: string
    readonly down: string
    readonly norm: string
  }
}

/** The modules that get an adapter, first layer first. */
export const gptDecoderModules = ({ layers, names }: GptDecoderConfig): readonly string[] =>
  Array.from({ length: layers }, (_, n) =>
    [...names.queryKeyValue, names.attentionOutput, names.up, names.down].map((name) => `${names.layer(n)}.${name}`),
  ).flat()

/** max(x, 0), of slope 1 above 0. */
const relu: Layer = plainLayer(
  map((x) => Math.max(x, 0)),
  (x, yBar) => multiply(yBar, map((value) => (value > 0 ? 1 : 0))(x)),
)

const makeActivation = (kind: GptDecoderConfig['activation']): Layer => (kind === 'relu' ? relu : plainLayer(gelu(kind), geluVjp(kind)))

/** attention(Q, K, V) of the columns [Q K V]. x: [tokens, 3 hidden] → [tokens, hidden] */
const attend = ({ hiddenSize: h, heads }: GptDecoderConfig, lengths: readonly number[]): Layer => {
  const settings = { heads, keyValueHeads: heads, headSize: h / heads, scale: null, cap: null, lengths, window: null }
  const parts = (x: Tensor) => {
    const [query, key, value] = [0, 1, 2].map((part) => slice(x, [0, part * h], [x.shape[0]!, (part + 1) * h])) as [Tensor, Tensor, Tensor]
    return { query, key, value }
  }
  return plainLayer(
    (x) => causalAttention(settings)(parts(x)),
    (x, yBar) => {
      const { query, key, value } = causalAttentionVjp(settings)(parts(x), yBar)
      return stackColumns([query, key, value])
    },
  )
}

/** The outputs of several layers side by side. x: [n, width] → [n, Σ widths] */
const beside =
  (layers: readonly Layer[]): Layer =>
  (x) => {
    const traced = layers.map((layer) => layer(x))
    const starts = traced.map((_, i) => traced.slice(0, i).reduce((total, { value }) => total + value.shape[1]!, 0))
    return {
      value: stackColumns(traced.map(({ value }) => value)),
      pullback: (yBar) =>
        traced
          .map(({ value, pullback }, i) => pullback(slice(yBar, [0, starts[i]!], [yBar.shape[0]!, starts[i]! + value.shape[1]!])))
          .reduce((sum, own): Pulled => ({ x: add(sum.x, own.x), gradients: { ...sum.gradients, ...own.gradients } })),
    }
  }

/** x ← x + W_O attention(norm(x)); x ← x + W_D act(W_U norm(x)). x: [tokens, hidden] → [tokens, hidden] */
const decoderLayer = (model: ModelTensors, config: GptDecoderConfig, lengths: readonly number[], layer: string): Layer => {
  const { names, layerNormEpsilon } = config
  const norm = (name: string): Layer => normalization(model, layerNormEpsilon, `${layer}.${name}`)
  const linear = (name: string): Layer => adaptedLinear(model, `${layer}.${name}`)
  return sequence(
    residual(
      sequence(norm(names.attentionNorm), beside(names.queryKeyValue.map(linear)), attend(config, lengths), linear(names.attentionOutput)),
    ),
    residual(sequence(norm(names.feedForwardNorm), linear(names.up), makeActivation(config.activation), linear(names.down))),
  )
}

/** Runs the decoder on a batch of token sequences without padding; `logits` are those of every token. @throws Error if shapes do not fit */
export const gptDecoder =
  (config: GptDecoderConfig, options: ModelOptions) =>
  (operands: Operands, { inputIds }: Tokens): TracedModel => {
    const { names, layers, layerNormEpsilon, tied } = config
    const lengths = inputIds.map((ids) => ids.length)
    const model = toModelTensors(operands, options)
    const [words, positions] = [`${names.words}.weight`, `${names.positions}.weight`]
    const output = tied ? words : 'lm_head.weight'
    const rows = lengths.flatMap((length) => Array.from({ length }, (_, position) => names.firstPosition + position))
    const body = sequence(
      ...Array.from({ length: layers }, (_, n) => decoderLayer(model, config, lengths, names.layer(n))),
      normalization(model, layerNormEpsilon, names.norm),
    )(add(embedding(named(model.weights, words), inputIds.flat()), embedding(named(model.weights, positions), rows)))
    const matrix = named(model.weights, output)
    return {
      hidden: body.value,
      logits: matMul(body.value, matrix, { transposeY: true }),
      pullback: (logitsBar) => {
        const fromBody = body.pullback(linearInputVjp(matrix, logitsBar))
        const lookups = {
          [words]: () => embeddingVjp(named(model.weights, words).shape[0]!, inputIds.flat(), fromBody.x),
          [positions]: () => embeddingVjp(named(model.weights, positions).shape[0]!, rows, fromBody.x),
        }
        const ofTables: Tensors = Object.fromEntries(
          Object.entries(lookups).flatMap(([name, gradient]) => (model.wanted(name) ? [[name, gradient()]] : [])),
        )
        const ofOutput: Tensors = model.wanted(output) ? { [output]: linearWeightVjp(body.value, logitsBar) } : {}
        const [lookedUp, read] = [ofTables[output], ofOutput[output]]
        const both: Tensors = lookedUp === undefined || read === undefined ? {} : { [output]: add(lookedUp, read) }
        return sortGradients({ ...fromBody.gradients, ...ofTables, ...ofOutput, ...both }, operands)
      },
    }
  }
