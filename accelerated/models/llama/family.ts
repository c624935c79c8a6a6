/** Decoders of LLaMA's kind: what a family's layers are made of, and the sizes of a model. */
import type { ModelSpec } from '../architecture.js'
import type { RotaryScaling } from '../layers/rotary.js'

/** The names of a sublayer's norms: of its input, and of its output before that is added. null: it has none. */
export type SublayerNorms = { readonly before: string | null; readonly after: string | null }

export type Activation = 'silu' | 'gelu_pytorch_tanh'

/** What families differ in, as data, and what transformers assumes where a config.json is silent. */
export type FamilyDesign = {
  /** of config.json */
  readonly modelType: string
  /** with which the names of transformers' classes begin: of the one with the head over the vocabulary, and of the classifier */
  readonly classNames: readonly [causal: string, classifier: string]
  /** the layers whose tokens see only a window: none, all, those that a file enables, or all but each sliding_window_pattern-th */
  readonly windowed: 'never' | 'everywhere' | 'enabled' | 'pattern'
  /** the matrices of attention with a bias: queries, keys and values, or, if the file asks for it, the output too */
  readonly attentionBiases: 'queryKeyValue' | 'asked'
  readonly norms: { readonly attention: SublayerNorms; readonly feedForward: SublayerNorms }
  /** 1 where a norm multiplies by 1 + its weights */
  readonly normOffset: 0 | 1
  /** whether queries and keys are normalized before they are rotated: each head by itself, or all heads of a token together */
  readonly queryKeyNorms: boolean | 'together'
  /** of the gate: the key in config.json, and its only value */
  readonly activation: { readonly key: 'hidden_act' | 'hidden_activation'; readonly value: Activation }
  /** the values of keys that a file lacks */
  readonly defaults: Readonly<Record<string, unknown>>
  /** what IA³ scales by default (default: keys and values) */
  readonly ia3Targets?: ModelSpec['ia3Targets']
  /** llama.cpp's name of the family, whether it rotates neighboring rows of a head there, and whether it has windows there */
  readonly gguf: { readonly architecture: string; readonly interleaved: boolean; readonly windows: boolean }
}

/** The base of the frequencies, and how they are scaled. */
export type Rotary = { readonly rotaryBase: number; readonly rotaryScaling: RotaryScaling | null }

/** The settings of the decoder's graph. Sizes are counts; the dropout is a probability in [0, 1). */
export type DecoderConfig = Rotary & {
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  /** number of key and value heads: a divisor of `heads` */
  readonly keyValueHeads: number
  readonly headSize: number
  readonly intermediateSize: number
  readonly maxPositions: number
  readonly rmsNormEpsilon: number
  /** the rotation of layers with a window; null: as that of the others */
  readonly localRotary: Rotary | null
  /** numbers of a head that are rotated, from the first on (default: all) */
  readonly rotarySize?: number
  /** per layer, whether queries and keys are rotated (default: in all) */
  readonly rotated?: readonly boolean[]
  /** per layer, how many tokens a token attends to, itself included; null: all before it */
  readonly windows: readonly (number | null)[]
  /** which matrices have a bias */
  readonly biases: { readonly queryKeyValue: boolean; readonly attentionOutput: boolean; readonly feedForward: boolean }
  readonly norms: FamilyDesign['norms']
  readonly normOffset: 0 | 1
  readonly queryKeyNorms: FamilyDesign['queryKeyNorms']
  /** of the gate */
  readonly activation: Activation
  /** the factor of the word embeddings */
  readonly embeddingScale: number
  /** the factor of QKᵀ; null: 1 / √headSize */
  readonly scoreScale: number | null
  /** the bound c of c tanh(x / c), for scores and for logits of words; null: none */
  readonly scoreCap: number | null
  readonly logitCap: number | null
  /** whether the output matrix is the embedding table */
  readonly tied: boolean
  readonly paddingIndex: number
  readonly attentionDropout: number
}

/** PEFT's default for IA³ on Qwen and Gemma. */
export const queriesAndValues = ['q_proj', 'v_proj']

export const llama: FamilyDesign = {
  modelType: 'llama',
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
  defaults: { hidden_act: 'silu' },
  gguf: { architecture: 'llama', interleaved: true, windows: false },
}

/** What most families have none of. */
export const noScales = { localRotary: null, embeddingScale: 1, scoreScale: null, scoreCap: null, logitCap: null } as const
