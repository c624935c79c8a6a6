/** A decoder with a table of positions as a model: its graph, and heads over the vocabulary and over classes. */
import type { Model } from '../architecture.js'
import { slotPositions } from '../batchInputs.js'
import { wordsOf, type GptConfig, type GptNames } from './config.js'
import { decoder } from './decoder.js'
import { specOf } from './spec.js'

/** What differs between families beside sizes. */
export type GptFamily = Pick<Model, 'type' | 'transposed' | 'ignored'> & {
  readonly names: GptNames
  /** whether words and positions have dropout before the first layer */
  readonly embeddingDropout: boolean
  /** of its tensors in files */
  readonly prefix: string
  /** in transformers */
  readonly classes: { readonly sequenceClassifier: string; readonly causal: string }
}

export const gptModel = (family: GptFamily, config: GptConfig): Model => ({
  type: family.type,
  spec: specOf(config, family.names),
  vocabularySize: config.vocabularySize,
  paddingIndex: config.paddingIndex,
  firstPosition: 0,
  tokenTypes: false,
  specialTokens: null,
  naming: {
    prefix: family.prefix,
    ...family.classes,
    tokenizer: 'PreTrainedTokenizerFast',
    stored: (name) => (/^(lm_head|score)\./.test(name) ? name : `${family.prefix}${name}`),
  },
  ...(family.transposed === undefined ? {} : { transposed: family.transposed }),
  ...(family.ignored === undefined ? {} : { ignored: family.ignored }),
  hidden: (host, batch) => decoder(config, family.names, host, batch),
  pooling: 'last',
  sequenceHead: (outputs) => ({
    tensors: new Map([['score.weight', [outputs, config.hiddenSize]]]),
    outputs: (rows, host) => host.linear('score', rows),
  }),
  causalHead: () => {
    const words = wordsOf(config, family.names)
    const frozen = new Map(config.tied ? [] : [[words, [config.vocabularySize, config.hiddenSize]]])
    return { tensors: new Map(), frozen, words, outputs: (rows, host) => host.wordLogits(words, rows) }
  },
  paddedPositions: slotPositions,
  withDropout: (p) => gptModel(family, { ...config, dropouts: { embeddings: family.embeddingDropout ? p : 0, attention: p, residual: p } }),
})
