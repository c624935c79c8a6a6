/** Feeds of a batch of labelled examples, and of the state. */
import type { EncoderConfig } from '../models/encoderConfig.js'
import type { Feeds, NumericArray } from '../runtime/feeds.js'
import { floatFeed, int32Feed, scalarFeed } from '../runtime/feeds.js'
import type { TokenisedExample } from '../models/packing.js'
import { firstTokens, packBatch, selectionFeeds } from '../models/packing.js'
import type { Scalar } from './trainingStep.js'
import type { Dimensions } from './dropoutFeeds.js'
import type { Vectors } from './runState.js'

export type LabelledExample = TokenisedExample & {
  /** a class, or in a regression a number */
  readonly label: number
  /** its line in the file it came from, for messages */
  readonly row: number
}

export type Results = Readonly<Record<string, NumericArray | undefined>>

export const firstPosition = (config: EncoderConfig): number => (config.family === 'roberta' ? config.paddingIndex + 1 : 0)

/** Inputs of the encoder and of the sequence head. */
export const encoderFeeds = (
  config: EncoderConfig,
  examples: ReadonlyArray<TokenisedExample>,
  dtype: Scalar,
): { readonly feeds: Feeds; readonly tokens: number; readonly dimensions: Dimensions } => {
  const { feeds, tokens, batch, sequence } = packBatch(examples, firstPosition(config), dtype)
  return { feeds: { ...feeds, ...selectionFeeds(firstTokens(examples), tokens) }, tokens, dimensions: { tokens, batch, sequence } }
}

/** The above with labels; `whole` is the number of examples that make one step. */
export const batchFeeds = (
  config: EncoderConfig,
  examples: ReadonlyArray<LabelledExample>,
  whole: number,
  dtype: Scalar,
): ReturnType<typeof encoderFeeds> => {
  const encoded = encoderFeeds(config, examples, dtype)
  const labels = examples.map(({ label }) => label)
  return {
    ...encoded,
    feeds: {
      ...encoded.feeds,
      labels: config.problem === 'regression' ? floatFeed(labels, [labels.length], dtype) : int32Feed(Int32Array.from(labels)),
      lossWeight: scalarFeed(1 / whole, dtype),
      batchShare: scalarFeed(examples.length / whole, dtype),
    },
  }
}

export const stateFeeds = ({ parameters, firstMoment, secondMoment }: Vectors, dtype: Scalar): Feeds => ({
  parameters: floatFeed(parameters, [parameters.length], dtype),
  firstMoment: floatFeed(firstMoment, [firstMoment.length], dtype),
  secondMoment: floatFeed(secondMoment, [secondMoment.length], dtype),
})
