/** The decoder as an expression: embeddings, then pre-norm layers of causal attention and SwiGLU. Every tensor comes from the host, so it knows no method. */
import type { Expression } from '../../graph/expression.js'
import { add, gather, mul, reshape, rmsNormalization, sigmoid } from '../../graph/operators.js'
import type { BatchInputs, PaddedInputs } from '../batchInputs.js'
import type { SublayerContext, Host } from '../host.js'
import { attention, causalBias } from '../layers/attention.js'
import { rotaryAngles, rotateHeads, type Angles } from '../layers/rotary.js'
import type { DecoderConfig } from './config.js'
import { layerNames } from './spec.js'

/** Hidden states of a batch: → [tokens, hidden], example after example, with padding if the batch keeps it */
export const decoder = (config: DecoderConfig, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
  const words = host.embedded(gather(host.tensor('embed_tokens.weight'), batch.inputIds), batch)
  const angles = rotaryAngles(
    { ...config, headSize: config.rotarySize ?? config.headSize },
    batch.positions,
    batch.attentionBias.dtype === 'float64' ? 'float64' : 'float32',
  )
  const biases = new Map([...new Set(config.windows)].map((window) => [window, causalBias(batch, window)]))
  const hidden = layerNames(config).reduce((x, name, i) => {
    const bias = biases.get(config.windows[i] ?? null) ?? causalBias(batch, null)
    return host.layer(name, decoderLayer(config, host, batch, { name, angles, bias }))(x)
  }, words)
  return norm(config, host, 'norm')(hidden)
}

type At = { readonly name: string; readonly angles: Angles; readonly bias: Expression }

/** x ← x + attention(norm(x)); x ← x + feedForward(norm(x)) */
const decoderLayer =
  (config: DecoderConfig, host: Host, batch: BatchInputs | PaddedInputs, at: At) =>
  (x: Expression): Expression => {
    const { name } = at
    const attended = sublayer(
      host,
      `${name}.self_attn.o_proj`,
      x,
      selfAttention(config, host, batch, at)(norm(config, host, `${name}.input_layernorm`)(x)),
    )
    const inner = norm(config, host, `${name}.post_attention_layernorm`)(attended)
    const gate = host.linear(`${name}.mlp.gate_proj`, inner)
    const up = host.linear(`${name}.mlp.up_proj`, inner)
    return sublayer(host, `${name}.mlp.down_proj`, attended, mul(mul(gate, sigmoid(gate)), up)) // silu(g) = g σ(g)
  }

/** residual + linear(x) */
const sublayer = (host: Host, name: string, residual: Expression, x: Expression): Expression => {
  const around: SublayerContext = { residual, norm: (y) => y } // the next norm belongs to the next sublayer
  return add(residual, host.sublayer(name, host.linear(name, x), around))
}

/** attention(rotate(norm(W_Q x)), rotate(norm(W_K x)), W_V x), where a family has these norms */
const selfAttention =
  (config: DecoderConfig, host: Host, batch: BatchInputs | PaddedInputs, { name, angles, bias }: At) =>
  (x: Expression): Expression => {
    const { heads, keyValueHeads, headSize, attentionDropout, queryKeyNorms } = config
    const rotated = (of: 'q' | 'k', count: number): Expression => {
      const heads = host.linear(`${name}.self_attn.${of}_proj`, x)
      const normalized = queryKeyNorms ? headNorm(config, host, `${name}.self_attn.${of}_norm`)(heads) : heads
      return rotateHeads(normalized, count, angles)
    }
    const [query, key] = [rotated('q', heads), rotated('k', keyValueHeads)]
    const value = host.linear(`${name}.self_attn.v_proj`, x)
    return attention({ heads, keyValueHeads, headSize, layer: name, dropout: attentionDropout, bias }, host, batch, query, key, value)
  }

const norm =
  ({ rmsNormEpsilon }: DecoderConfig, host: Host, name: string) =>
  (x: Expression): Expression =>
    rmsNormalization(x, host.tensor(`${name}.weight`), rmsNormEpsilon)

/** Each head by itself. x: [tokens, heads · headSize] → the same */
const headNorm =
  (config: DecoderConfig, host: Host, name: string) =>
  (x: Expression): Expression => {
    const [tokens = 1, width = 1] = x.shape
    const heads = reshape(x, [tokens, Number(width) / config.headSize, config.headSize])
    return reshape(norm(config, host, name)(heads), [tokens, width])
  }
