/** The decoder as an expression: embeddings, then layers of causal attention and a gated feed-forward. Every tensor comes from the host, so it knows no method. */
import type { Expression } from '../../graph/expression.js'
import { add, mul, reshape, rmsNormalization, sigmoid } from '../../graph/operators.js'
import type { BatchInputs, PaddedInputs } from '../batchInputs.js'
import type { SublayerContext, Host } from '../host.js'
import { attention, causalBias } from '../layers/attention.js'
import { geluTanh } from '../layers/gelu.js'
import { rotaryAngles, rotateHeads, type Angles } from '../layers/rotary.js'
import type { Activation, DecoderConfig, SublayerNorms } from './family.js'
import { layerNames, wordTable } from './spec.js'

/** Hidden states of a batch: → [tokens, hidden], example after example, with padding if the batch keeps it */
export const decoder = (config: DecoderConfig, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
  const looked = host.wordRows(wordTable, batch.inputIds)
  const words = host.embedded(config.embeddingScale === 1 ? looked : mul(looked, config.embeddingScale), batch)
  const dtype = batch.attentionBias.dtype === 'float64' ? 'float64' : 'float32'
  const anglesOf = (rotary: Pick<DecoderConfig, 'rotaryBase' | 'rotaryScaling'>): Angles =>
    rotaryAngles({ ...rotary, headSize: config.rotarySize ?? config.headSize }, batch.positions, dtype)
  const everywhere = anglesOf(config)
  const local = config.localRotary === null ? everywhere : anglesOf(config.localRotary)
  const biases = new Map([...new Set(config.windows)].map((window) => [window, causalBias(batch, window)]))
  const hidden = layerNames(config).reduce((x, name, i) => {
    const window = config.windows[i] ?? null
    const at = { name, angles: window === null ? everywhere : local, bias: biases.get(window) ?? causalBias(batch, null) }
    return host.layer(name, decoderLayer(config, host, batch, at))(x)
  }, words)
  return norm(config, host, 'norm')(hidden)
}

type At = { readonly name: string; readonly angles: Angles; readonly bias: Expression }

/** x ← x + attention(norm(x)); x ← x + feedForward(norm(x)) */
const decoderLayer =
  (config: DecoderConfig, host: Host, batch: BatchInputs | PaddedInputs, at: At) =>
  (x: Expression): Expression => {
    const { name } = at
    const attended = sublayer(config, host, name, config.norms.attention, 'self_attn.o_proj', selfAttention(config, host, batch, at))(x)
    return sublayer(config, host, name, config.norms.feedForward, 'mlp.down_proj', gated(config, host, name))(attended)
  }

/** x + norm(linear(body(norm(x)))), where a family has the second norm */
const sublayer =
  (
    config: DecoderConfig,
    host: Host,
    layer: string,
    { before, after }: SublayerNorms,
    matrix: string,
    body: (x: Expression) => Expression,
  ) =>
  (x: Expression): Expression => {
    const around: SublayerContext = { residual: x, norm: (y) => y } // the next norm belongs to the next sublayer
    const inner = body(norm(config, host, `${layer}.${before}`)(x))
    const added = host.sublayer(`${layer}.${matrix}`, host.linear(`${layer}.${matrix}`, inner), around)
    return add(x, after === null ? added : norm(config, host, `${layer}.${after}`)(added))
  }

const activations: Readonly<Record<Activation, (x: Expression) => Expression>> = {
  silu: (x) => mul(x, sigmoid(x)),
  gelu_pytorch_tanh: geluTanh,
}

/** activation(W_G x) ⊙ W_U x */
const gated =
  ({ activation }: DecoderConfig, host: Host, layer: string) =>
  (x: Expression): Expression => {
    const gate = host.linear(`${layer}.mlp.gate_proj`, x)
    const up = host.linear(`${layer}.mlp.up_proj`, x)
    return mul(activations[activation](gate), up)
  }

/** attention(rotate(norm(W_Q x)), rotate(norm(W_K x)), W_V x), where a family has these norms */
const selfAttention =
  (config: DecoderConfig, host: Host, batch: BatchInputs | PaddedInputs, { name, angles, bias }: At) =>
  (x: Expression): Expression => {
    const { heads, keyValueHeads, headSize, attentionDropout, queryKeyNorms, scoreScale, scoreCap } = config
    const rotated = (of: 'q' | 'k', count: number): Expression => {
      const heads = host.linear(`${name}.self_attn.${of}_proj`, x)
      const normalized = queryKeyNorms ? headNorm(config, host, `${name}.self_attn.${of}_norm`)(heads) : heads
      return rotateHeads(normalized, count, angles)
    }
    const [query, key] = [rotated('q', heads), rotated('k', keyValueHeads)]
    const value = host.linear(`${name}.self_attn.v_proj`, x)
    const scores = { cap: scoreCap, ...(scoreScale === null ? {} : { scale: scoreScale }) }
    const settings = { heads, keyValueHeads, headSize, layer: name, dropout: attentionDropout, bias, ...scores }
    return attention(settings, host, batch, query, key, value)
  }

const norm =
  ({ rmsNormEpsilon, normOffset }: DecoderConfig, host: Host, name: string) =>
  (x: Expression): Expression => {
    const weight = host.tensor(`${name}.weight`)
    return rmsNormalization(x, normOffset === 0 ? weight : add(weight, normOffset), rmsNormEpsilon)
  }

/** Each head by itself. x: [tokens, heads · headSize] → the same */
const headNorm =
  (config: DecoderConfig, host: Host, name: string) =>
  (x: Expression): Expression => {
    const [tokens = 1, width = 1] = x.shape
    const heads = reshape(x, [tokens, Number(width) / config.headSize, config.headSize])
    return reshape(norm(config, host, name)(heads), [tokens, width])
  }
