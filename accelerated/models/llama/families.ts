/** The families of decoders as data: what their layers are made of, and what transformers assumes where a config.json is silent. */

export type FamilyDesign = {
  /** with which the names of its classes in transformers begin */
  readonly className: string
  /** the layers whose tokens see only a window: none, all, or those that a file enables */
  readonly windowed: 'never' | 'everywhere' | 'enabled'
  /** the matrices of attention with a bias: queries, keys and values, or, if the file asks for it, the output too */
  readonly attentionBiases: 'queryKeyValue' | 'asked'
  /** whether the queries and keys of each head are normalized before they are rotated */
  readonly queryKeyNorms: boolean
  /** the size of a head where no file gives one; null: the hidden size by the number of heads */
  readonly headSize: number | null
}

const llama: FamilyDesign = {
  className: 'Llama',
  windowed: 'never',
  attentionBiases: 'asked',
  queryKeyNorms: false,
  headSize: null,
}

/** By config.json's model_type. */
export const familyDesigns = {
  llama,
  mistral: { ...llama, className: 'Mistral', windowed: 'everywhere' },
  qwen2: { ...llama, className: 'Qwen2', windowed: 'enabled', attentionBiases: 'queryKeyValue' },
  qwen3: { ...llama, className: 'Qwen3', windowed: 'enabled', queryKeyNorms: true, headSize: 128 },
} as const satisfies Readonly<Record<string, FamilyDesign>>

export type DecoderFamily = keyof typeof familyDesigns
export const decoderFamilies = Object.keys(familyDesigns) as ReadonlyArray<DecoderFamily>
export const designOf = (family: DecoderFamily): FamilyDesign => familyDesigns[family]
