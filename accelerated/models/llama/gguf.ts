/** Decoders of LLaMA's kind in GGUF: names, sizes in both directions, and the scaling of the rotation. */
import { inputError, quoted } from '../../errors/inputError.js'
import { countKeys, fractionKeys, type GgufConfig, type GgufFamily, type GgufFile, type GgufLayout, type WrittenKeys } from '../gguf.js'
import { rotaryFrequencies, usualAttentionFactor, type RotaryScaling } from '../layers/rotary.js'
import type { DecoderConfig, FamilyDesign } from './family.js'

type ReadConfig = (json: object, where: string) => DecoderConfig

/** @param config reads the family's config.json */
export const decoderGguf = (design: FamilyDesign, config: ReadConfig) =>
  ({
    architecture: design.gguf.architecture,
    names: decoderNames(design),
    interleaved: design.gguf.interleaved ? /\.self_attn\.[qk]_proj$/ : null,
    normOffset: design.normOffset,
    write: (json, where) => writeLayout(config(json, where), design, where),
    read: (file) => readConfig(file, design),
  }) satisfies GgufFamily

/** llama.cpp's names of modules: those of norms by what they do, since families name different norms alike. */
export const decoderNames = ({ norms: { attention, feedForward } }: Pick<FamilyDesign, 'norms'>): GgufFamily['names'] => ({
  embed_tokens: 'token_embd',
  norm: 'output_norm',
  lm_head: 'output',
  'self_attn.q_proj': 'attn_q',
  'self_attn.k_proj': 'attn_k',
  'self_attn.v_proj': 'attn_v',
  'self_attn.o_proj': 'attn_output',
  'self_attn.q_norm': 'attn_q_norm',
  'self_attn.k_norm': 'attn_k_norm',
  'mlp.gate_proj': 'ffn_gate',
  'mlp.up_proj': 'ffn_up',
  'mlp.down_proj': 'ffn_down',
  ...(attention.before === null ? {} : { [attention.before]: 'attn_norm' }),
  ...(feedForward.before === null ? {} : { [feedForward.before]: 'ffn_norm' }),
  ...(attention.after === null ? {} : { [attention.after]: 'post_attention_norm' }),
  ...(feedForward.after === null ? {} : { [feedForward.after]: 'post_ffw_norm' }),
})

const writeLayout = (config: DecoderConfig, design: FamilyDesign, where: string): GgufLayout => {
  checkScaling(config, where)
  return {
    keys: [...sizeKeys(config, design.gguf.windows, { 'rope.dimension_count': config.headSize }), ...scalingKeys(config.rotaryScaling)],
    factors: config.rotaryScaling?.kind === 'llama3' ? { 'rope_freqs.weight': llama3Factors(config) } : {},
  }
}

/** llama.cpp has YaRN's usual bounds, whatever a file's keys name. */
const checkScaling = ({ rotaryScaling: scaling }: DecoderConfig, file: string): void => {
  if (scaling?.kind !== 'yarn' || (scaling.betaFast === 32 && scaling.betaSlow === 1 && scaling.truncate)) return
  const { betaFast, betaSlow, truncate } = scaling
  throw inputError(
    file,
    'a YaRN scaling with beta_fast 32, beta_slow 1 and truncate true, for GGUF',
    `${betaFast}, ${betaSlow} and ${String(truncate)}`,
  )
}

/** Without windows in llama.cpp, the context ends where the shortest window does: within it, all answers agree. @param more of the family */
export const sizeKeys = (config: DecoderConfig, hasWindows: boolean, more: Readonly<Record<string, number>>): WrittenKeys => {
  const { maxPositions, windows, headSize } = config
  return [
    ...countKeys({
      block_count: config.layers,
      context_length: hasWindows ? maxPositions : windows.reduce<number>((least, window) => Math.min(least, window ?? least), maxPositions),
      embedding_length: config.hiddenSize,
      feed_forward_length: config.intermediateSize,
      vocab_size: config.vocabularySize,
      'attention.head_count': config.heads,
      'attention.head_count_kv': config.keyValueHeads,
      'attention.key_length': headSize,
      'attention.value_length': headSize,
      ...more,
    }),
    ...fractionKeys({ 'attention.layer_norm_rms_epsilon': config.rmsNormEpsilon, 'rope.freq_base': config.rotaryBase }),
  ]
}

/** Llama 3's scaling is a tensor. llama.cpp has YaRN's usual factor of the attention itself. */
const scalingKeys = (scaling: RotaryScaling | null): WrittenKeys => {
  if (scaling === null || scaling.kind === 'llama3' || scaling.kind === 'longrope') return []
  return [
    ['rope.scaling.type', { type: 'string', value: scaling.kind }],
    ...fractionKeys({ 'rope.scaling.factor': scaling.factor }),
    ...(scaling.kind === 'yarn'
      ? [
          ...countKeys({ 'rope.scaling.original_context_length': scaling.originalPositions }),
          ...fractionKeys({ 'rope.scaling.attn_factor': scaling.attentionFactor / usualAttentionFactor(scaling.factor) }),
        ]
      : []),
  ]
}

/** What Llama 3's scaling divides each frequency by. */
const llama3Factors = (config: DecoderConfig): readonly number[] => {
  const scaled = rotaryFrequencies(config)
  return rotaryFrequencies({ ...config, rotaryScaling: null }).map((frequency, i) => frequency / (scaled[i] ?? NaN))
}

/** The sizes that all families of this kind have. */
export const readSizes = ({ number, required }: GgufFile, headSize: number) => ({
  hidden_size: required('embedding_length'),
  num_hidden_layers: required('block_count'),
  num_attention_heads: required('attention.head_count'),
  num_key_value_heads: number('attention.head_count_kv') ?? required('attention.head_count'),
  head_dim: headSize,
  intermediate_size: required('feed_forward_length'),
  max_position_embeddings: required('context_length'),
  rms_norm_eps: required('attention.layer_norm_rms_epsilon'),
})

const readConfig = (gguf: GgufFile, design: FamilyDesign): GgufConfig & ReturnType<typeof readSizes> => {
  const { architecture, file, number, required, has, factors } = gguf
  const [hidden, heads] = [required('embedding_length'), required('attention.head_count')]
  const headSize = number('attention.key_length') ?? number('rope.dimension_count') ?? hidden / heads
  for (const key of ['attention.value_length', 'rope.dimension_count'])
    if ((number(key) ?? headSize) !== headSize)
      throw inputError(file, `${architecture}.${key} of ${headSize}, the size of a head`, String(number(key)))
  const base = number('rope.freq_base') ?? 10_000
  const llama3 = factors('rope_freqs.weight')
  return {
    architectures: [`${design.classNames[0]}ForCausalLM`],
    model_type: design.modelType,
    ...readSizes(gguf, headSize),
    rope_theta: base,
    rope_scaling: llama3 === undefined ? readScaling(gguf) : llama3Scaling(llama3, { base, headSize }, file),
    [design.activation.key]: design.activation.value,
    ...(design.attentionBiases === 'asked' ? { attention_bias: has('blk.0.attn_q.bias'), mlp_bias: has('blk.0.ffn_gate.bias') } : {}),
  }
}

const readScaling = (gguf: GgufFile): object | null => {
  const kind = gguf.text('rope.scaling.type') ?? 'none'
  const factor = gguf.number('rope.scaling.factor') ?? gguf.number('rope.scale_linear')
  if (kind === 'linear' || (kind === 'none' && factor !== undefined && factor !== 1)) return { rope_type: 'linear', factor: factor ?? 1 }
  if (kind === 'yarn') return readYarn(gguf, factor)
  if (kind !== 'none') throw inputError(gguf.file, 'a rope.scaling.type of none, linear or yarn', quoted(kind))
  return null
}

/** llama.cpp's factor of the attention multiplies YaRN's usual one. */
const readYarn = ({ file, architecture, ...gguf }: GgufFile, factor: number | undefined): object => {
  const [at, number] = [`${architecture}.rope.scaling`, (key: string): number | undefined => gguf.number(`rope.scaling.${key}`)]
  const original = number('original_context_length')
  if (factor === undefined || original === undefined)
    throw inputError(file, `the keys ${at}.factor and ${at}.original_context_length, of YaRN`, 'none')
  if ((number('yarn_log_multiplier') ?? 0) !== 0) throw inputError(file, `no key ${at}.yarn_log_multiplier`, 'one')
  const [ofAttention, fast, slow] = [number('attn_factor'), number('yarn_beta_fast'), number('yarn_beta_slow')]
  return {
    ...{ rope_type: 'yarn', factor, original_max_position_embeddings: original },
    ...(ofAttention === undefined ? {} : { attention_factor: ofAttention * usualAttentionFactor(factor) }),
    ...(fast === undefined ? {} : { beta_fast: fast }),
    ...(slow === undefined ? {} : { beta_slow: slow }),
  }
}

// Llama 3's scaling of rotary frequencies from the factors that a GGUF file has in its place.
/** A file gives no original length. Only its ratios to the others count, so this one serves all. */
const originalPositions = 8_192

/** Factors are float32 numbers. */
const tolerance = 1e-5

/**
 * A frequency's share s of its unscaled value follows from its factor f: 1 / f = s + (1 − s) / F, where F is the largest. Between 0 and 1, s is a
 * line over turns per position: s = a c − b.
 * @returns rope_scaling of config.json; null if all factors are 1 @throws InputError for factors that are no scaling of this kind
 */
export const llama3Scaling = (
  factors: Float32Array,
  { base, headSize }: { readonly base: number; readonly headSize: number },
  file: string,
): object | null => {
  const factor = Math.max(...factors)
  if (factors.every((f) => Math.abs(f - 1) < tolerance)) return null
  const plain = rotaryFrequencies({ headSize, rotaryBase: base, rotaryScaling: null })
  const points = plain.map((frequency, i) => ({
    c: frequency / (2 * Math.PI),
    s: (1 / (factors[i] ?? NaN) - 1 / factor) / (1 - 1 / factor),
  }))
  const { a, b } = lineThrough(points)
  const width = originalPositions / a
  const [low, high] = [b * width, (b + 1) * width]
  const rotaryScaling = { kind: 'llama3', factor, lowFrequencyFactor: low, highFrequencyFactor: high, originalPositions } as const
  const scaled = rotaryFrequencies({ headSize, rotaryBase: base, rotaryScaling })
  const isSame = (frequency: number, i: number): boolean =>
    Math.abs(frequency / (scaled[i] ?? NaN) - (factors[i] ?? NaN)) <= tolerance * (factors[i] ?? NaN)
  if (factors.length !== plain.length || !(low > 0) || !plain.every(isSame))
    throw inputError(file, "rope_freqs.weight of Llama 3's scaling", 'other factors')
  return { rope_type: 'llama3', factor, low_freq_factor: low, high_freq_factor: high, original_max_position_embeddings: originalPositions }
}

type Point = { readonly c: number; readonly s: number }

/** Through the points between 0 and 1; with fewer than two of them, as far as the nearest points at 0 and 1 allow. */
const lineThrough = (points: readonly Point[]): { readonly a: number; readonly b: number } => {
  const between = points.filter(({ s }) => s > tolerance && s < 1 - tolerance)
  const whole = Math.min(...points.filter(({ s }) => s >= 1 - tolerance).map(({ c }) => c))
  const none = Math.max(...points.filter(({ s }) => s <= tolerance).map(({ c }) => c))
  const [first, last] = [between[0], between.at(-1)]
  if (first === undefined || last === undefined) return { a: 1 / (whole - none), b: none / (whole - none) }
  const a =
    first === last ? Math.max((1 - first.s) / (whole - first.c), first.s / (first.c - none)) : (first.s - last.s) / (first.c - last.c)
  return { a, b: a * first.c - first.s }
}
