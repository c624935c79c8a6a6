/** The families of decoders as data: what their layers are made of, and what transformers assumes where a config.json is silent. */

/** The names of a sublayer's norms: of its input and, if there is one, of its output before that is added. */
export type SublayerNorms = { readonly before: string; readonly after: string | null }

export type FamilyDesign = {
  /** with which the names of transformers' classes begin: of the one with the head over the vocabulary, and of the classifier */
  readonly classNames: readonly [causal: string, classifier: string]
  /** the layers whose tokens see only a window: none, all, those that a file enables, or all but each sliding_window_pattern-th */
  readonly windowed: 'never' | 'everywhere' | 'enabled' | 'pattern'
  /** the matrices of attention with a bias: queries, keys and values, or, if the file asks for it, the output too */
  readonly attentionBiases: 'queryKeyValue' | 'asked'
  readonly norms: { readonly attention: SublayerNorms; readonly feedForward: SublayerNorms }
  /** 1 where a norm multiplies by 1 + its weights */
  readonly normOffset: 0 | 1
  /** whether the queries and keys of each head are normalized before they are rotated */
  readonly queryKeyNorms: boolean
  /** of the gate: the key in config.json, and its only value */
  readonly activation: { readonly key: 'hidden_act' | 'hidden_activation'; readonly value: Activation }
  /** whether the word embeddings are multiplied by the root of the hidden size */
  readonly scaledEmbeddings: boolean
  /** whether the scores are scaled by the file's query_pre_attn_scalar, not by the size of a head */
  readonly queryScalar: boolean
  /** what the file may cap by a tanh */
  readonly capped: ReadonlyArray<'scores' | 'logits'>
  /** whether layers with a window have a rotation of their own */
  readonly localRotation: boolean
  /** the values of keys that a file lacks */
  readonly defaults: Readonly<Record<string, unknown>>
}

export type Activation = 'silu' | 'gelu_pytorch_tanh'

const llama: FamilyDesign = {
  classNames: ['Llama', 'Llama'],
  windowed: 'never',
  attentionBiases: 'asked',
  norms: {
    attention: { before: 'input_layernorm', after: null },
    feedForward: { before: 'post_attention_layernorm', after: null },
  },
  normOffset: 0,
  queryKeyNorms: false,
  activation: { key: 'hidden_act', value: 'silu' },
  scaledEmbeddings: false,
  queryScalar: false,
  capped: [],
  localRotation: false,
  defaults: { hidden_act: 'silu' },
}

const gemma2: FamilyDesign = {
  ...llama,
  classNames: ['Gemma2', 'Gemma2'],
  windowed: 'pattern',
  norms: {
    attention: { before: 'input_layernorm', after: 'post_attention_layernorm' },
    feedForward: { before: 'pre_feedforward_layernorm', after: 'post_feedforward_layernorm' },
  },
  normOffset: 1,
  activation: { key: 'hidden_activation', value: 'gelu_pytorch_tanh' },
  scaledEmbeddings: true,
  queryScalar: true,
  capped: ['scores', 'logits'],
  defaults: {
    ...{ hidden_activation: 'gelu_pytorch_tanh', head_dim: 256, query_pre_attn_scalar: 256, tie_word_embeddings: true },
    ...{ max_position_embeddings: 8_192, sliding_window_pattern: 2, attn_logit_softcapping: 50, final_logit_softcapping: 30 },
  },
}

/** By config.json's model_type. */
export const familyDesigns = {
  llama,
  mistral: { ...llama, classNames: ['Mistral', 'Mistral'], windowed: 'everywhere' },
  qwen2: { ...llama, classNames: ['Qwen2', 'Qwen2'], windowed: 'enabled', attentionBiases: 'queryKeyValue' },
  qwen3: {
    ...{ ...llama, classNames: ['Qwen3', 'Qwen3'], windowed: 'enabled', queryKeyNorms: true },
    defaults: { ...llama.defaults, head_dim: 128 },
  },
  gemma2,
  gemma3_text: {
    ...{ ...gemma2, classNames: ['Gemma3', 'Gemma3Text'], queryKeyNorms: true, capped: ['logits'], localRotation: true },
    defaults: {
      ...{ ...gemma2.defaults, max_position_embeddings: 131_072, sliding_window_pattern: 6, final_logit_softcapping: null },
      ...{ rope_theta: 1_000_000, rope_local_base_freq: 10_000 },
    },
  },
} as const satisfies Readonly<Record<string, FamilyDesign>>

export type DecoderFamily = keyof typeof familyDesigns
export const decoderFamilies = Object.keys(familyDesigns) as ReadonlyArray<DecoderFamily>
export const designOf = (family: DecoderFamily): FamilyDesign => familyDesigns[family]
