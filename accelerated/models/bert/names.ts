/** A family's names for the parts of an encoder layer. */
export type LayerNames = {
  readonly query: string
  readonly key: string
  readonly value: string
  readonly attentionOutput: string
  readonly attentionNorm: string
  readonly up: string
  readonly down: string
  readonly feedForwardNorm: string
  /** the two sublayers: their dropout sites and adapters have these names */
  readonly attention: string
  readonly feedForward: string
}

export type EncoderNames = {
  /** of layer i */
  readonly layer: (i: number) => string
  readonly within: (layer: string) => LayerNames
}

/** The names of BERT, RoBERTa and ELECTRA. */
export const bertNames: EncoderNames = {
  layer: (i) => `encoder.layer.${i}`,
  within: (at) => ({
    query: `${at}.attention.self.query`,
    key: `${at}.attention.self.key`,
    value: `${at}.attention.self.value`,
    attentionOutput: `${at}.attention.output.dense`,
    attentionNorm: `${at}.attention.output.LayerNorm`,
    up: `${at}.intermediate.dense`,
    down: `${at}.output.dense`,
    feedForwardNorm: `${at}.output.LayerNorm`,
    attention: `${at}.attention.output`,
    feedForward: `${at}.output`,
  }),
}
