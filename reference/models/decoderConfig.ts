/** The configuration of a LLaMA-like decoder, and the names and shapes of its tensors. */
import type { GateActivation } from '../layers/gatedFeedForward.js'
import type { RotaryScaling } from '../layers/rotary.js'
import { mismatch, type Shape } from '../tensor/shape.js'

export interface DecoderConfig {
  readonly family: 'decoder'
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  /** heads of keys and values: a divisor of `heads` */
  readonly keyValueHeads: number
  readonly headSize: number
  readonly intermediateSize: number
  readonly rmsNormEpsilon: number
  readonly rotaryBase: number
  readonly rotaryScaling: RotaryScaling | null
  /** the rotation of layers with a window; null: as that of the others */
  readonly localRotary: { readonly rotaryBase: number; readonly rotaryScaling: RotaryScaling | null } | null
  /** numbers of a head that are turned (default: all) */
  readonly rotarySize?: number
  /** by layer, whether queries and keys are turned (default: in all) */
  readonly rotated?: readonly boolean[]
  /** by layer, the tokens that each token sees, itself included; null: all before it */
  readonly windows: readonly (number | null)[]
  /** which matrices have a bias */
  readonly biases: { readonly queryKeyValue: boolean; readonly attentionOutput: boolean; readonly feedForward: boolean }
  /** whether a sublayer's output has a norm too, as in Gemma, or alone, as in OLMo 2 */
  readonly outputNorms: boolean | 'alone'
  /** what norms add to their weights */
  readonly normOffset: 0 | 1
  readonly activation: GateActivation
  /** the factor of embeddings */
  readonly embeddingScale: number
  /** the factor of the scores; null: 1 / √headSize */
  readonly scoreScale: number | null
  /** c of the bound c tanh(x / c), of the scores and of the logits; null: none */
  readonly scoreCap: number | null
  readonly logitCap: number | null
  /** the factors of a sublayer's output and of the logits, as in Granite (default: 1) */
  readonly residualScale?: number
  readonly logitScale?: number
  /** whether queries and keys are normalized before their rotation: each head by itself, or all heads together */
  readonly queryKeyNorms: boolean | 'together'
  /** whether the output matrix is the table of embeddings */
  readonly tied: boolean
  readonly taskType: 'causal'
}

export const decoderLayerName = (layer: number): string => `layers.${layer}`

const listLayers = ({ layers }: DecoderConfig): readonly string[] => Array.from({ length: layers }, (_, n) => decoderLayerName(n))

/** The norms of a layer in the order of their use. */
export const decoderNorms = ({ outputNorms }: Pick<DecoderConfig, 'outputNorms'>): readonly string[] =>
  outputNorms === 'alone'
    ? ['post_attention_layernorm', 'post_feedforward_layernorm']
    : outputNorms
      ? ['input_layernorm', 'post_attention_layernorm', 'pre_feedforward_layernorm', 'post_feedforward_layernorm']
      : ['input_layernorm', 'post_attention_layernorm']

interface Matrix {
  readonly shape: readonly [number, number]
  readonly bias: boolean
}

/** [d, k] of the seven matrices of a layer. */
const matrices = (config: DecoderConfig): Readonly<Record<string, Matrix>> => {
  const { hiddenSize: h, intermediateSize: f, heads, keyValueHeads, headSize, biases } = config
  return {
    'self_attn.q_proj': { shape: [heads * headSize, h], bias: biases.queryKeyValue },
    'self_attn.k_proj': { shape: [keyValueHeads * headSize, h], bias: biases.queryKeyValue },
    'self_attn.v_proj': { shape: [keyValueHeads * headSize, h], bias: biases.queryKeyValue },
    'self_attn.o_proj': { shape: [h, heads * headSize], bias: biases.attentionOutput },
    'mlp.gate_proj': { shape: [f, h], bias: biases.feedForward },
    'mlp.up_proj': { shape: [f, h], bias: biases.feedForward },
    'mlp.down_proj': { shape: [h, f], bias: biases.feedForward },
  }
}

/** The modules that get an adapter, first layer first: seven in each. */
export const decoderModules = (config: DecoderConfig): readonly string[] =>
  listLayers(config).flatMap((layer) => Object.keys(matrices(config)).map((matrix) => `${layer}.${matrix}`))

const findMatrix = (config: DecoderConfig, module: string): Matrix =>
  matrices(config)[module.replace(/^layers\.\d+\./, '')] ?? mismatch('decoderModuleShape', 'an adapted module', module)

/** [d, k] of an adapted module's matrix; throws for a module that has no adapter. */
export const decoderModuleShape = (config: DecoderConfig, module: string): readonly [number, number] => findMatrix(config, module).shape

/** The decoder's tensors by name, with the output matrix if it is not the table of embeddings. */
export const decoderShapes = (config: DecoderConfig): Readonly<Record<string, Shape>> => {
  const { hiddenSize: h, vocabularySize, tied, queryKeyNorms } = config
  const linears = decoderModules(config).flatMap((module): readonly (readonly [string, Shape])[] => {
    const { shape, bias } = findMatrix(config, module)
    return [[`${module}.weight`, shape], ...(bias ? [[`${module}.bias`, [shape[0]]] as const] : [])]
  })
  const norms = listLayers(config).flatMap((layer) => decoderNorms(config).map((name) => `${layer}.${name}.weight`))
  const together = { q_norm: config.heads * config.headSize, k_norm: config.keyValueHeads * config.headSize }
  const headNorms = listLayers(config).flatMap((layer) =>
    Object.entries(queryKeyNorms === false ? {} : together).map(([name, size]): readonly [string, Shape] => [
      `${layer}.self_attn.${name}.weight`,
      [queryKeyNorms === 'together' ? size : config.headSize],
    ]),
  )
  return {
    'embed_tokens.weight': [vocabularySize, h],
    ...Object.fromEntries(linears),
    ...Object.fromEntries([...norms, 'norm.weight'].map((name) => [name, [h]])),
    ...Object.fromEntries(headNorms),
    ...(tied ? {} : { 'lm_head.weight': [vocabularySize, h] }),
  }
}
