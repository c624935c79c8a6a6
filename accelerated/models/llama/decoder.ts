/** The decoder as an expression: embeddings, then layers of causal attention and a gated feed-forward; its tensors and adaptable matrices. Every tensor comes from the host, so it knows no method. */
import type { Expression } from '../../graph/expression.js'
import { add, mul, reshape, rmsNormalization, sigmoid } from '../../graph/operators.js'
import type { BatchInputs, PaddedInputs } from '../batchInputs.js'
import type { SublayerContext, Host } from '../host.js'
import { attention, causalBias } from '../layers/attention.js'
import { geluTanh } from '../layers/gelu.js'
import { rotaryAngles, rotateHeads, type Angles } from '../layers/rotary.js'
import type { Activation, DecoderConfig, SublayerNorms } from './family.js'
import { blockLayer, type Matrix, type ModelSpec, type TensorShape } from '../architecture.js'

/** Hidden states of a batch: → [tokens, hidden], example after example, with padding if the batch keeps it */
export const decoder = (config: DecoderConfig, host: Host, batch: BatchInputs | PaddedInputs): Expression => {
  const looked = host.wordRows(wordTable, batch.inputIds)
  const words = host.embedded(config.embeddingScale === 1 ? looked : mul(looked, config.embeddingScale), batch)
  const dtype = batch.attentionBias.dtype === 'float64' ? 'float64' : 'float32'
  const computeAngles = (rotary: Pick<DecoderConfig, 'rotaryBase' | 'rotaryScaling'>): Angles =>
    rotaryAngles({ ...rotary, headSize: config.rotarySize ?? config.headSize }, batch.positions, dtype)
  const everywhere = computeAngles(config)
  const local = config.localRotary === null ? everywhere : computeAngles(config.localRotary)
  const biases = new Map([...new Set(config.windows)].map((window) => [window, causalBias(batch, window)]))
  const hidden = layerNames(config).reduce((x, name, i) => {
    const window = config.windows[i] ?? null
    const angles = config.rotated?.[i] === false ? null : window === null ? everywhere : local
    const at = { name, angles, bias: biases.get(window) ?? causalBias(batch, null) }
    return host.layer(name, decoderLayer(config, host, batch, at))(x)
  }, words)
  return norm(config, host, 'norm')(hidden)
}

type At = { readonly name: string; readonly angles: Angles | null; readonly bias: Expression }

/** x ← x + attention(norm(x)); x ← x + feedForward(norm(x)) */
const decoderLayer =
  (config: DecoderConfig, host: Host, batch: BatchInputs | PaddedInputs, at: At) =>
  (x: Expression): Expression => {
    const { name } = at
    const attended = sublayer(config, host, name, config.norms.attention, 'self_attn.o_proj', selfAttention(config, host, batch, at))(x)
    return sublayer(config, host, name, config.norms.feedForward, 'mlp.down_proj', gated(config, host, name))(attended)
  }

/** x + norm(linear(body(norm(x)))), with those norms that a family has */
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
    const inner = body(before === null ? x : norm(config, host, `${layer}.${before}`)(x))
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
      const normalize = queryKeyNorms === 'together' ? norm : headNorm
      const normalized = queryKeyNorms === false ? heads : normalize(config, host, `${name}.self_attn.${of}_norm`)(heads)
      return angles === null ? normalized : rotateHeads(normalized, count, angles)
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

const layerNames = ({ layers }: DecoderConfig): readonly string[] => Array.from({ length: layers }, (_, i) => `layers.${i}`)

/** The tensor of the word embeddings. */
export const wordTable = 'embed_tokens.weight'

export const buildSpec = (config: DecoderConfig): ModelSpec => ({
  hiddenSize: config.hiddenSize,
  embeddingSize: config.hiddenSize,
  words: wordTable,
  tensors: tensorShapes(config),
  matrices: layerNames(config).flatMap((at) => listMatrices(config, at).map(({ matrix }) => matrix)),
  // a prefix extends the heads of keys and values
  layers: layerNames(config).map((at) =>
    blockLayer(at, config.keyValueHeads, config.headSize, `${at}.self_attn.o_proj`, `${at}.mlp.down_proj`),
  ),
  maxPositions: config.maxPositions,
  kind: 'decoder',
  // under a window, versions of transformers differ in which virtual tokens are visible
  supportedHooks: config.windows.every((window) => window === null) ? ['keyValue', 'embedded'] : ['embedded'],
})

type Named = { readonly matrix: Matrix; readonly bias: boolean }

/** W_Q, W_K, W_V, W_O and, of the feed-forward block, gate, up and down. */
const listMatrices = (config: DecoderConfig, at: string): readonly Named[] => {
  const { hiddenSize: h, intermediateSize: i, heads, keyValueHeads, headSize, biases } = config
  const [queries, keys] = [heads * headSize, keyValueHeads * headSize]
  return [
    { matrix: { name: `${at}.self_attn.q_proj`, d: queries, k: h }, bias: biases.queryKeyValue },
    { matrix: { name: `${at}.self_attn.k_proj`, d: keys, k: h }, bias: biases.queryKeyValue },
    { matrix: { name: `${at}.self_attn.v_proj`, d: keys, k: h }, bias: biases.queryKeyValue },
    { matrix: { name: `${at}.self_attn.o_proj`, d: h, k: queries }, bias: biases.attentionOutput },
    { matrix: { name: `${at}.mlp.gate_proj`, d: i, k: h }, bias: biases.feedForward },
    { matrix: { name: `${at}.mlp.up_proj`, d: i, k: h }, bias: biases.feedForward },
    { matrix: { name: `${at}.mlp.down_proj`, d: h, k: i }, bias: biases.feedForward },
  ]
}

const tensorShapes = (config: DecoderConfig): ReadonlyMap<string, TensorShape> => {
  const { hiddenSize: h, vocabularySize } = config
  const names = layerNames(config)
  const { attention, feedForward } = config.norms
  const blockNorms = [attention, feedForward].flatMap(({ before, after }) => [before, after].filter((name) => name !== null))
  const normalized = { q_norm: config.heads, k_norm: config.keyValueHeads }
  const headNorms = Object.entries(config.queryKeyNorms === false ? {} : normalized).map(
    ([name, heads]) => [name, config.headSize * (config.queryKeyNorms === 'together' ? heads : 1)] as const,
  )
  return new Map<string, TensorShape>([
    [wordTable, [vocabularySize, h]],
    ...names.flatMap((at) =>
      listMatrices(config, at).flatMap(({ matrix: { name, d, k }, bias }): readonly [string, TensorShape][] => [
        [`${name}.weight`, [d, k]],
        ...(bias ? [[`${name}.bias`, [d]] satisfies [string, TensorShape]] : []),
      ]),
    ),
    ...names.flatMap((at): readonly [string, TensorShape][] => [
      ...blockNorms.map((name): [string, TensorShape] => [`${at}.${name}.weight`, [h]]),
      ...headNorms.map(([name, size]): [string, TensorShape] => [`${at}.self_attn.${name}.weight`, [size]]),
    ]),
    ['norm.weight', [h]],
  ])
}
