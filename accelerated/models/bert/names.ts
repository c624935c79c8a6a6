/** What a family calls the parts of an encoder's layer. */
export type LayerNames = {
  readonly query: string
  readonly key: string
  readonly value: string
  readonly attentionOutput: string
  readonly attentionNorm: string
  readonly up: string
  readonly down: string
  readonly feedForwardNorm: string
  /** the two sublayers, by which dropout sites and adapters within them are called */
  readonly attention: string
  readonly feedForward: string
}

export type EncoderNames = {
  /** of layer i */
  readonly layer: (i: number) => string
  readonly within: (layer: string) => LayerNames
}

/** BERT's, which RoBERTa and ELECTRA share. */
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
