/** The decoder as an expression: embeddings of words and positions, then pre-norm layers of causal attention and a feed-forward block, with biases. */
import type { Expression } from '../../graph/expression.js'
import { add, gather, gelu, layerNormalization, relu, slice } from '../../graph/operators.js'
import type { BatchInputs, PaddedInputs } from '../batchInputs.js'
import type { Host } from '../host.js'
import { attention, causalBias } from '../layers/attention.js'
import { geluTanh } from '../layers/gelu.js'
import { layerNames, type GptConfig, type GptNames } from './config.js'

const activations = { gelu, gelu_tanh: geluTanh, relu } as const

/** Hidden states of a batch: → [tokens, hidden], example after example, with padding if the batch keeps it */
export const decoder = (config: GptConfig, names: GptNames, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
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
  return norm(config, host, names.norm)(hidden)
}

/** x ← x + dropout(W_O attention(norm(x))); x ← x + dropout(W_D act(W_U norm(x))) */
const decoderLayer =
  (config: GptConfig, { within }: GptNames, host: Host, batch: BatchInputs | PaddedInputs, bias: Expression, layer: string) =>
  (x: Expression): Expression => {
    const { heads, hiddenSize, dropouts } = config
    const shape = { heads, headSize: hiddenSize / heads, layer, dropout: dropouts.attention, bias }
    const operands = queryKeyValue(host, layer, within, norm(config, host, `${layer}.${within.attentionNorm}`)(x))
    const attended = sublayer(config, host, `${layer}.${within.attentionOutput}`, x, attention(shape, host, batch, ...operands))
    const wide = host.linear(`${layer}.${within.up}`, norm(config, host, `${layer}.${within.feedForwardNorm}`)(attended))
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

const norm =
  ({ layerNormEpsilon }: GptConfig, host: Host, name: string) =>
  (x: Expression): Expression =>
    layerNormalization(x, host.tensor(`${name}.weight`), host.tensor(`${name}.bias`), layerNormEpsilon)
