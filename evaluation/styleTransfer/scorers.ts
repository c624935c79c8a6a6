/** The scorers of transfers: a classifier of the two styles, and a language model of each style. */
import { textScore, type NgramScorer } from '../ngram/index.js'
import type { Style } from '../../finetuning/data/styles.js'

/** The style that the classifier assigns to a sentence, and the probability of each style. */
export type StylePrediction = { readonly style: Style; readonly probabilities: readonly [number, number] }

export type Classify = (sentences: ReadonlyArray<string>) => Promise<ReadonlyArray<StylePrediction>>

export type Scorers = {
  /** null: no accuracy */
  readonly classify: Classify | null
  /** by style; null: no perplexity for this style */
  readonly models: readonly [NgramScorer | null, NgramScorer | null]
}

/** Perplexity of sentences by the formula of TSST's evaluator (null without words), and the share of unknown words. */
export const fluency = (
  model: NgramScorer,
  sentences: ReadonlyArray<string>,
): { readonly perplexity: number | null; readonly perplexityWithoutUnknown: number | null; readonly unknownShare: number } => {
  const { perplexity, perplexityWithoutUnknown, unknown, words } = textScore(sentences.map(model.sentence))
  return { perplexity, perplexityWithoutUnknown, unknownShare: words === 0 ? 0 : unknown / words }
}
