/** A BERT encoder as an expression: embeddings, then post-LayerNorm layers. Every tensor comes from the host, so it knows no method. */
import type { Expression } from '../../graph/expression.js'
import { add, gather, gelu, layerNormalization } from '../../graph/operators.js'
import type { BatchInputs, PaddedInputs } from '../batchInputs.js'
import type { Host } from '../host.js'
import { attention, paddingBias } from '../layers/attention.js'
import { geluTanh } from '../layers/gelu.js'
import type { EncoderConfig } from './config.js'
import type { EncoderNames } from './names.js'
import { projection, wordTable } from './spec.js'

/** [batch, heads, sequence, sequence] */
export type DistanceBias = (host: Pick<Host, 'tensor'>, batch: BatchInputs | PaddedInputs) => Expression

/** Hidden states of a batch: → [tokens, hidden], example after example, with padding if the batch keeps it */
export const encoder = (
  config: EncoderConfig,
  names: EncoderNames,
  host: Host,
  batch: BatchInputs | PaddedInputs,
  distances?: DistanceBias,
): Expression => {
  const padding = paddingBias(batch)
  const bias = distances === undefined ? padding : add(distances(host, batch), padding)
  const layers = Array.from({ length: config.layers }, (_, i) =>
    host.layer(names.layer(i), encoderLayer(config, names, host, batch, bias, names.layer(i))),
  )
  return layers.reduce((x, layer) => layer(x), embeddings(config, host, batch))
}

const embeddings = (config: EncoderConfig, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
  const words = host.embedded(host.wordRows(wordTable, batch.inputIds), batch)
  const typed =
    config.tokenTypes === 0 ? words : add(words, gather(host.tensor('embeddings.token_type_embeddings.weight'), batch.tokenTypes))
  const positions = gather(host.tensor('embeddings.position_embeddings.weight'), batch.positions)
  const normed = host.dropout('embeddings', norm(config, host, 'embeddings.LayerNorm')(add(typed, positions)), config.hiddenDropout)
  return config.embeddingSize === config.hiddenSize ? normed : host.linear(projection, normed)
}

/** x ← norm(x + dropout(attention(x))); x ← norm(x + dropout(feedForward(x))) */
const encoderLayer =
  (config: EncoderConfig, names: EncoderNames, host: Host, batch: BatchInputs | PaddedInputs, bias: Expression, layer: string) =>
  (x: Expression): Expression => {
    const { query, key, value, ...at } = names.within(layer)
    const shape = { bias, heads: config.heads, headSize: config.hiddenSize / config.heads, layer, dropout: config.attentionDropout }
    const context = attention(shape, host, batch, host.linear(query, x), host.linear(key, x), host.linear(value, x))
    const attended = sublayer(config, host, { name: at.attention, matrix: at.attentionOutput, norm: at.attentionNorm }, context, x)
    const activation = config.activation === 'gelu' ? gelu : geluTanh
    const intermediate = activation(host.linear(at.up, attended)) // [tokens, intermediate]
    return sublayer(config, host, { name: at.feedForward, matrix: at.down, norm: at.feedForwardNorm }, intermediate, attended)
  }

type SublayerNames = { readonly name: string; readonly matrix: string; readonly norm: string }

/** norm(residual + dropout(W x + b)) */
const sublayer = (config: EncoderConfig, host: Host, at: SublayerNames, x: Expression, residual: Expression): Expression => {
  const after = norm(config, host, at.norm)
  const output = host.dropout(at.name, host.linear(at.matrix, x), config.hiddenDropout)
  return after(add(host.sublayer(at.name, output, { residual, norm: after }), residual))
}

const norm =
  (config: EncoderConfig, host: Host, name: string) =>
  (x: Expression): Expression =>
    layerNormalization(x, host.tensor(`${name}.weight`), host.tensor(`${name}.bias`), config.layerNormEpsilon)
