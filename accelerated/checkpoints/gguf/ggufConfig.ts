/** config.json of a decoder in GGUF, from the keys of its header and the names of its tensors. */
import { inputError, quoted } from '../../errors/inputError.js'
import { nearest } from '../../errors/nearest.js'
import type { GgufHeader, GgufValue } from './ggufHeader.js'
import { usualAttentionFactor } from '../../models/layers/rotary.js'
import { gemmaQueryScalar, gemmaWindowPatterns } from './gemmaGguf.js'
import { llama3Scaling } from './rotaryFactors.js'

/** The numbers of its `factorTensors`, by name. */
type Factors = ReadonlyMap<string, Float32Array>

/** A file, and the numbers of its architecture. */
type Reader = Pick<GgufHeader, 'keys'> & {
  readonly architecture: string
  readonly file: string
  /** of a key after the architecture's name */
  readonly number: (key: string) => number | undefined
  /** @throws InputError if the key is missing */
  readonly required: (key: string) => number
  readonly has: (tensor: string) => boolean
  readonly factors: Factors
}

type Family = { readonly causal: string; readonly sizes: (reader: Reader) => object }

/** @throws InputError for another architecture, and for what is missing */
export const ggufConfig = ({ keys, tensors }: GgufHeader, factors: Factors, file: string): object => {
  const { architecture, causal, sizes } = familyOf(keys, file)
  const number = (key: string): number | undefined => numberOf(keys, `${architecture}.${key}`, file)
  const required = (key: string): number => {
    const value = number(key)
    if (value === undefined) throw inputError(file, `the key ${architecture}.${key}`, 'none')
    return value
  }
  return {
    architectures: [causal],
    model_type: architecture,
    vocab_size: tensors.get('token_embd.weight')?.shape[0] ?? 0,
    ...sizes({ keys, architecture, file, number, required, has: (name) => tensors.has(name), factors }),
    tie_word_embeddings: !tensors.has('output.weight'),
    ...specialIds(keys, file),
    torch_dtype: 'float32',
  }
}

/** What LLaMA's keys and Phi-3's have in common. */
const sharedSizes = ({ number, required }: Pick<Reader, 'number' | 'required'>, headSize: number) => ({
  hidden_size: required('embedding_length'),
  num_hidden_layers: required('block_count'),
  num_attention_heads: required('attention.head_count'),
  num_key_value_heads: number('attention.head_count_kv') ?? required('attention.head_count'),
  head_dim: headSize,
  intermediate_size: required('feed_forward_length'),
  max_position_embeddings: required('context_length'),
  rms_norm_eps: required('attention.layer_norm_rms_epsilon'),
})

const llamaSizes = ({ keys, architecture, file, number, required, has, factors }: Reader): object => {
  const [hidden, heads] = [required('embedding_length'), required('attention.head_count')]
  const headSize = number('attention.key_length') ?? number('rope.dimension_count') ?? hidden / heads
  for (const key of ['attention.value_length', 'rope.dimension_count'])
    if ((number(key) ?? headSize) !== headSize)
      throw inputError(file, `${architecture}.${key} of ${headSize}, the size of a head`, String(number(key)))
  const base = number('rope.freq_base') ?? 10_000
  const llama3 = factors.get('rope_freqs.weight')
  return {
    ...sharedSizes({ number, required }, headSize),
    rope_theta: base,
    rope_scaling: llama3 === undefined ? scalingOf(keys, architecture, file) : llama3Scaling(llama3, { base, headSize }, file),
    hidden_act: 'silu',
    ...(architecture !== 'qwen2' ? { attention_bias: has('blk.0.attn_q.bias'), mlp_bias: has('blk.0.ffn_gate.bias') } : {}),
  }
}

/** Files of llama.cpp's script give the size of a head by the number of heads alone. */
const phi3Sizes = ({ number, required, factors }: Reader): object => {
  const [hidden, heads, positions] = [required('embedding_length'), required('attention.head_count'), required('context_length')]
  const headSize = number('attention.key_length') ?? hidden / heads
  const [short, long] = ['short', 'long'].map((kind) => factors.get(`rope_factors_${kind}.weight`))
  const [window, attentionFactor] = [number('attention.sliding_window') ?? 0, number('rope.scaling.attn_factor')]
  return {
    ...sharedSizes({ number, required }, headSize),
    original_max_position_embeddings: number('rope.scaling.original_context_length') ?? positions,
    partial_rotary_factor: (number('rope.dimension_count') ?? headSize) / headSize,
    rope_theta: number('rope.freq_base') ?? 10_000,
    rope_scaling:
      short === undefined || long === undefined
        ? null
        : {
            ...{ type: 'longrope', short_factor: [...short], long_factor: [...long] },
            ...(attentionFactor === undefined ? {} : { attention_factor: attentionFactor }),
          },
    sliding_window: window > 0 ? window : null,
  }
}

/** Gemma's windows are in layers of a fixed pattern, and its scores have a fixed scale. */
const gemmaSizes =
  (family: 'gemma2' | 'gemma3_text') =>
  (reader: Reader): object => {
    const { hidden_act: _, attention_bias: __, mlp_bias: ___, ...sizes } = llamaSizes(reader) as LlamaSizes
    const { number } = reader
    return {
      ...sizes,
      model_type: family,
      hidden_activation: 'gelu_pytorch_tanh',
      query_pre_attn_scalar: gemmaQueryScalar({
        ...{ family, layers: sizes.num_hidden_layers, hiddenSize: sizes.hidden_size },
        ...{ heads: sizes.num_attention_heads, headSize: sizes.head_dim },
      }),
      sliding_window: number('attention.sliding_window') ?? 4096,
      sliding_window_pattern: gemmaWindowPatterns[family],
      attn_logit_softcapping: number('attn_logit_softcapping') ?? null,
      final_logit_softcapping: number('final_logit_softcapping') ?? null,
      rope_theta: number('rope.freq_base') ?? (family === 'gemma2' ? 10_000 : 1_000_000),
      ...(family === 'gemma2' ? {} : { rope_local_base_freq: number('rope.freq_base_swa') ?? 10_000 }),
    }
  }

type LlamaSizes = Readonly<Record<'num_hidden_layers' | 'hidden_size' | 'num_attention_heads' | 'head_dim', number>> & {
  readonly [key: string]: unknown
}

const gpt2Sizes = ({ required }: Reader): object => ({
  n_embd: required('embedding_length'),
  n_layer: required('block_count'),
  n_head: required('attention.head_count'),
  n_inner: required('feed_forward_length'),
  n_positions: required('context_length'),
  layer_norm_epsilon: required('attention.layer_norm_epsilon'),
  activation_function: 'gelu_new',
})

/** By llama.cpp's architecture. Mistral is written as LLaMA there. */
const families: Readonly<Record<string, Family>> = {
  llama: { causal: 'LlamaForCausalLM', sizes: llamaSizes },
  qwen2: { causal: 'Qwen2ForCausalLM', sizes: llamaSizes },
  qwen3: { causal: 'Qwen3ForCausalLM', sizes: llamaSizes },
  phi3: { causal: 'Phi3ForCausalLM', sizes: phi3Sizes },
  gemma2: { causal: 'Gemma2ForCausalLM', sizes: gemmaSizes('gemma2') },
  gemma3: { causal: 'Gemma3ForCausalLM', sizes: gemmaSizes('gemma3_text') },
  gpt2: { causal: 'GPT2LMHeadModel', sizes: gpt2Sizes },
}

const familyOf = (keys: GgufHeader['keys'], file: string): Family & { readonly architecture: string } => {
  if (keys.get('general.type') === 'adapter')
    throw inputError(file, 'a model in GGUF', 'an adapter (it goes into --adapter, as the folder of adapter.gguf)')
  const architecture = String(keys.get('general.architecture'))
  const family = Object.hasOwn(families, architecture) ? families[architecture] : undefined
  if (family === undefined) {
    const near = nearest(architecture, Object.keys(families))
    const remark = near === null ? '' : ` (${quoted(near)} is the nearest)`
    throw inputError(file, `a model of architecture ${Object.keys(families).join(', ')}${remark}`, quoted(architecture))
  }
  const parts = numberOf(keys, 'split.count', file) ?? 1
  if (parts > 1) throw inputError(file, 'a whole model in one file (llama-gguf-split --merge makes one)', `one of ${parts} parts`)
  return { architecture, ...family }
}

/** @throws InputError for a value of another type, such as a list with a number for each layer */
const numberOf = (keys: GgufHeader['keys'], key: string, file: string): number | undefined => {
  const value: GgufValue | undefined = keys.get(key)
  if (value !== undefined && (typeof value !== 'number' || !Number.isFinite(value)))
    throw inputError(file, `a number in the key ${key}`, 'something else')
  return value
}

const scalingOf = (keys: GgufHeader['keys'], architecture: string, file: string): object | null => {
  const kind = keys.get(`${architecture}.rope.scaling.type`) ?? 'none'
  const factor = numberOf(keys, `${architecture}.rope.scaling.factor`, file) ?? numberOf(keys, `${architecture}.rope.scale_linear`, file)
  if (kind === 'linear' || (kind === 'none' && factor !== undefined && factor !== 1)) return { rope_type: 'linear', factor: factor ?? 1 }
  if (kind === 'yarn') return yarnOf(keys, `${architecture}.rope.scaling`, factor, file)
  if (kind !== 'none') throw inputError(file, 'a rope.scaling.type of none, linear or yarn', quoted(String(kind)))
  return null
}

/** llama.cpp's factor of the attention multiplies YaRN's usual one. */
const yarnOf = (keys: GgufHeader['keys'], at: string, factor: number | undefined, file: string): object => {
  const number = (key: string): number | undefined => numberOf(keys, `${at}.${key}`, file)
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

/** The tokens that end a text, the usual one first. */
const specialIds = (keys: GgufHeader['keys'], file: string): object => {
  const id = (name: string): number | undefined => numberOf(keys, `tokenizer.ggml.${name}_token_id`, file)
  const ends = [id('eos'), id('eot'), id('eom')].filter((end) => end !== undefined)
  const [bos, pad] = [id('bos'), id('padding')]
  return {
    ...(ends.length === 0 ? {} : { eos_token_id: ends.length === 1 ? ends[0] : [...new Set(ends)] }),
    ...(bos === undefined ? {} : { bos_token_id: bos }),
    ...(pad === undefined ? {} : { pad_token_id: pad }),
  }
}
