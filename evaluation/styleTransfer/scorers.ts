/** Who judges a transfer: a classifier of the two styles, and a language model of each. */
import { textScore, type NgramScorer } from '../ngram/index.js'
import type { Style } from '../../finetuning/data/styles.js'

/** Of a sentence: the style that it is taken for, and the probability of each. */
export type Judgment = { readonly style: Style; readonly probabilities: readonly [number, number] }

export type Classify = (sentences: ReadonlyArray<string>) => Promise<ReadonlyArray<Judgment>>

export type Judges = {
  /** null: accuracy is not judged */
  readonly classify: Classify | null
  /** by style; null: its perplexity is not judged */
  readonly models: readonly [NgramScorer | null, NgramScorer | null]
}

/** Perplexity of sentences by the formula of TSST's evaluator, and what share of words the model does not know; null without words. */
export const fluency = (
  model: NgramScorer,
  sentences: ReadonlyArray<string>,
): { readonly perplexity: number | null; readonly perplexityWithoutUnknown: number | null; readonly unknownShare: number } => {
  const { perplexity, perplexityWithoutUnknown, unknown, words } = textScore(sentences.map(model.sentence))
  return { perplexity, perplexityWithoutUnknown, unknownShare: words === 0 ? 0 : unknown / words }
}
