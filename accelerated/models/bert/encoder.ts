/** The BERT / RoBERTa encoder as an expression: embeddings, then post-LayerNorm layers. It asks its host for every tensor and knows no method. */
import type { Expression } from '../../graph/expression.js'
import { add, gather, gelu, layerNormalization } from '../../graph/operators.js'
import type { BatchInputs, PaddedInputs } from '../batchInputs.js'
import type { Host } from '../host.js'
import { attention, paddingBias } from '../layers/attention.js'
import { geluTanh } from '../layers/gelu.js'
import type { EncoderConfig } from './config.js'

/** Hidden states of a batch: → [tokens, hidden], one example after another (padding included where the batch keeps it) */
export const encoder = (config: EncoderConfig, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
  const layers = Array.from({ length: config.layers }, (_, i) => encoderLayer(config, host, batch, `encoder.layer.${i}`))
  return layers.reduce((x, layer) => layer(x), embeddings(config, host, batch))
}

const embeddings = (config: EncoderConfig, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
  const words = host.embedded(gather(host.tensor('embeddings.word_embeddings.weight'), batch.inputIds), batch)
  const types = gather(host.tensor('embeddings.token_type_embeddings.weight'), batch.tokenTypes)
  const positions = gather(host.tensor('embeddings.position_embeddings.weight'), batch.positions)
  return host.dropout('embeddings', norm(config, host, 'embeddings.LayerNorm')(add(add(words, types), positions)), config.hiddenDropout)
}

/** x ← norm(x + dropout(attention(x))); x ← norm(x + dropout(feedForward(x))) */
const encoderLayer =
  (config: EncoderConfig, host: Host, batch: BatchInputs | PaddedInputs, at: string) =>
  (x: Expression): Expression => {
    const projected = (name: string): Expression => host.linear(`${at}.attention.self.${name}`, x)
    const bias = paddingBias(batch)
    const shape = { bias, heads: config.heads, headSize: config.hiddenSize / config.heads, layer: at, dropout: config.attentionDropout }
    const context = attention(shape, host, batch, projected('query'), projected('key'), projected('value'))
    const attended = sublayer(config, host, `${at}.attention.output`, context, x)
    const activation = config.activation === 'gelu' ? gelu : geluTanh
    const intermediate = activation(host.linear(`${at}.intermediate.dense`, attended)) // [tokens, intermediate]
    return sublayer(config, host, `${at}.output`, intermediate, attended)
  }

/** norm(residual + dropout(dense(x))) */
const sublayer = (config: EncoderConfig, host: Host, at: string, x: Expression, residual: Expression): Expression => {
  const after = norm(config, host, `${at}.LayerNorm`)
  const own = host.dropout(at, host.linear(`${at}.dense`, x), config.hiddenDropout)
  return after(add(host.sublayer(at, own, { residual, norm: after }), residual))
}

const norm =
  (config: EncoderConfig, host: Host, name: string) =>
  (x: Expression): Expression =>
    layerNormalization(x, host.tensor(`${name}.weight`), host.tensor(`${name}.bias`), config.layerNormEpsilon)
