/** The dropout sites of an encoder, with their probabilities. */
import type { Tokens } from './embeddings.js'
import type { Shape } from '../tensor/shape.js'
import { layerName, type EncoderConfig } from './encoderConfig.js'

interface Site {
  readonly shape: Shape
  readonly probability: number
}

/** The sites of a batch, by name: the shape there, and the probability of a 0. */
export const dropoutSites = (config: EncoderConfig, { inputIds }: Tokens): Readonly<Record<string, Site>> => {
  const lengths = inputIds.map((ids) => ids.length)
  const tokens = lengths.reduce((total, n) => total + n, 0)
  const longest = Math.max(...lengths)
  const hidden: Site = { shape: [tokens, config.hiddenSize], probability: config.hiddenDropout }
  const pooled: Site = { shape: [lengths.length, config.hiddenSize], probability: config.headDropout }
  const weights: Site = {
    shape: [lengths.length, config.heads, longest, longest],
    probability: config.attentionDropout,
  }
  const names = Array.from({ length: config.layers }, (_, n) => layerName(n))
  const layers = names.flatMap((layer): readonly (readonly [string, Site])[] => [
    [`${layer}.attention.probabilities`, weights],
    [`${layer}.attention.output`, hidden],
    [`${layer}.output`, hidden],
  ])
  return {
    embeddings: hidden,
    ...Object.fromEntries(layers),
    'head.input': config.taskType === 'tokens' ? { ...hidden, probability: config.headDropout } : pooled,
    ...(config.family === 'roberta' && config.taskType !== 'tokens' ? { 'head.hidden': pooled } : {}),
  }
}
