/** A family in GGUF, llama.cpp's format: its names there, and its config in both directions. Readers and writers of files ask the family for it. */

/** A value of the list of keys. `strings`, `int32s` and `float32s` are arrays. */
export type WrittenValue =
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'uint32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'int32s' | 'float32s'; readonly value: readonly number[] }

export type WrittenKeys = readonly (readonly [key: string, value: WrittenValue])[]

/** A GGUF file as a family reads its config from it. Keys are without the architecture's name. */
export type GgufFile = {
  /** the file's name in messages */
  readonly file: string
  readonly architecture: string
  readonly number: (key: string) => number | undefined
  /** @throws InputError if the key is missing */
  readonly required: (key: string) => number
  readonly text: (key: string) => string | undefined
  readonly has: (tensor: string) => boolean
  /** the numbers of one of `factorTensors` */
  readonly factors: (tensor: FactorTensor) => Float32Array | undefined
}

/** Tensors that are no weights. */
export const factorTensors = ['rope_freqs.weight', 'rope_factors_short.weight', 'rope_factors_long.weight'] as const
type FactorTensor = (typeof factorTensors)[number]

/** What a family's files have beside weights and tokenizer. Keys are without the architecture's name. */
export type GgufLayout = {
  readonly keys: WrittenKeys
  readonly factors: Readonly<Partial<Record<FactorTensor, readonly number[]>>>
}

export type GgufFamily = {
  /** llama.cpp's name of the family */
  readonly architecture: string
  /** llama.cpp's name of each module, which within a layer has no prefix: `self_attn.q_proj` → `attn_q` */
  readonly names: Readonly<Record<string, string>>
  /** the matrices of which llama.cpp rotates neighboring rows of a head, where Hugging Face's code rotates halves; null: none */
  readonly interleaved: RegExp | null
  /** what the files add to the weights of norms */
  readonly normOffset: 0 | 1
  /** From config.json. @param where its name in messages @throws InputError for what llama.cpp's code of the family does not compute */
  readonly write: (json: object, where: string) => GgufLayout
  /** To config.json, without vocabulary, tokens and tying; null: the files are another family's. @throws InputError for what is missing */
  readonly read: ((file: GgufFile) => GgufConfig) | null
}

export type GgufConfig = { readonly architectures: readonly [string]; readonly model_type: string; readonly [key: string]: unknown }

/** Keys of whole numbers. */
export const countKeys = (counts: Readonly<Record<string, number>>): WrittenKeys =>
  Object.entries(counts).map(([key, value]) => [key, { type: 'uint32', value }] as const)

/** Keys of fractions, without those that are null. */
export const fractionKeys = (fractions: Readonly<Record<string, number | null>>): WrittenKeys =>
  Object.entries(fractions).flatMap(([key, value]) => (value === null ? [] : [[key, { type: 'float32', value }] as const]))
