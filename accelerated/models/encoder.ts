/** The BERT / RoBERTa encoder as an expression: embeddings, then post-LayerNorm layers with adapters on their six matrices. */
import type { BatchInputs, PaddedInputs } from './batchInputs.js'
import type { EncoderConfig } from './encoderConfig.js'
import type { Expression } from '../graph/expression.js'
import { add, gather, layerNormalization } from '../graph/operators.js'
import { attention } from './layers/attention.js'
import type { Dropout } from './layers/dropout.js'
import { gelu, geluTanh } from './layers/gelu.js'
import { linear } from './layers/linear.js'
import type { Adapter } from '../methods/lowRank.js'

/** A base tensor by its canonical name, in the graph's dtype: frozen (a weight) or trained (a part of the parameter vector). */
export type TensorSource = (name: string) => Expression
export type Adapters = ReadonlyMap<string, Adapter>

/** Hidden states of a batch: → [tokens, hidden], one example after another (padding included where the batch keeps it) */
export const encoder = (
  config: EncoderConfig,
  tensor: TensorSource,
  batch: BatchInputs | PaddedInputs,
  adapters: Adapters,
  dropout: Dropout,
): Expression => {
  const layers = Array.from({ length: config.layers }, (_, i) =>
    encoderLayer(config, tensor, batch, adapters, dropout, `encoder.layer.${i}`),
  )
  return layers.reduce((x, layer) => layer(x), embeddings(config, tensor, batch, dropout))
}

const embeddings = (config: EncoderConfig, tensor: TensorSource, batch: BatchInputs | PaddedInputs, dropout: Dropout): Expression => {
  const words = gather(tensor('embeddings.word_embeddings.weight'), batch.inputIds)
  const types = gather(tensor('embeddings.token_type_embeddings.weight'), batch.tokenTypes)
  const positions = gather(tensor('embeddings.position_embeddings.weight'), batch.positions)
  return dropout(norm(config, tensor, 'embeddings.LayerNorm')(add(add(words, types), positions)), 'embeddings')
}

const encoderLayer =
  (config: EncoderConfig, tensor: TensorSource, batch: BatchInputs | PaddedInputs, adapters: Adapters, dropout: Dropout, at: string) =>
  (x: Expression): Expression => {
    const dense = (name: string, input: Expression): Expression =>
      linear(input, { weight: tensor(`${at}.${name}.weight`), bias: tensor(`${at}.${name}.bias`) }, adapters.get(`${at}.${name}`))
    const [query, key, value] = ['query', 'key', 'value'].map((name) => dense(`attention.self.${name}`, x)) as [
      Expression,
      Expression,
      Expression,
    ]
    const shape = { heads: config.heads, headSize: config.hiddenSize / config.heads }
    const context = attention(shape, batch, query, key, value, dropout, `${at}.attention.probabilities`)
    const attended = norm(
      config,
      tensor,
      `${at}.attention.output.LayerNorm`,
    )(add(dropout(dense('attention.output.dense', context), `${at}.attention.output`), x))
    const activation = config.activation === 'gelu' ? gelu : geluTanh
    const intermediate = activation(dense('intermediate.dense', attended)) // [tokens, intermediate]
    return norm(config, tensor, `${at}.output.LayerNorm`)(add(dropout(dense('output.dense', intermediate), `${at}.output`), attended))
  }

const norm =
  (config: EncoderConfig, tensor: TensorSource, name: string) =>
  (x: Expression): Expression =>
    layerNormalization(x, tensor(`${name}.weight`), tensor(`${name}.bias`), config.layerNormEpsilon)

/** Where dropout is applied, in the order of the graph. */
export const dropoutSites = (config: EncoderConfig): ReadonlyArray<string> => [
  'embeddings',
  ...Array.from({ length: config.layers }, (_, i) =>
    ['attention.probabilities', 'attention.output', 'output'].map((site) => `encoder.layer.${i}.${site}`),
  ).flat(),
]
