/** A decoder with a table of positions, as GPT-2 is one: its sizes, and the names of its parts. Families differ in this data alone. */

/** The settings of the decoder's graph. Sizes are counts; dropouts are probabilities in [0, 1). */
export type GptConfig = {
  readonly vocabularySize: number
  readonly hiddenSize: number
  readonly layers: number
  readonly heads: number
  readonly intermediateSize: number
  /** the most tokens of a text: rows of the table of positions that a token can have */
  readonly maxPositions: number
  readonly layerNormEpsilon: number
  /** 'gelu' is exact (erf); 'gelu_tanh' is the tanh approximation. */
  readonly activation: 'gelu' | 'gelu_tanh' | 'relu'
  /** whether the output matrix is the embedding table */
  readonly tied: boolean
  readonly paddingIndex: number
  readonly dropouts: { readonly embeddings: number; readonly attention: number; readonly residual: number }
}

/** The names of a family's modules, without prefix. */
export type GptNames = {
  readonly words: string
  readonly positions: string
  /** rows of the table of positions before that of the first token */
  readonly positionOffset: number
  readonly layer: (i: number) => string
  readonly within: {
    readonly attentionNorm: string
    /** one matrix whose rows are those of queries, keys and values, or three matrices */
    readonly queryKeyValue: readonly [fused: string] | readonly [query: string, key: string, value: string]
    readonly attentionOutput: string
    readonly feedForwardNorm: string
    readonly up: string
    readonly down: string
  }
  /** of the last layer's output */
  readonly norm: string
}

/** The matrix over the vocabulary. */
export const wordsOf = ({ tied }: Pick<GptConfig, 'tied'>, { words }: Pick<GptNames, 'words'>): string =>
  `${tied ? words : 'lm_head'}.weight`

export const layerNames = ({ layers }: Pick<GptConfig, 'layers'>, { layer }: Pick<GptNames, 'layer'>): readonly string[] =>
  Array.from({ length: layers }, (_, i) => layer(i))
