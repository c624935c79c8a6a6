/** The three metrics of style transfer (SaLoRA, section 4.3): accuracy of the style, BLEU against human rewritings, perplexity in the target style. */
import { corpusBleu, sentenceBleu } from '../bleu/index.js'
import { normalized } from './normalizedText.js'
import { otherStyle, type Direction } from './transferData.js'
import { textScore, type NgramScorer } from '../ngram/index.js'
import type { Style } from '../../finetuning/data/styles.js'

export type DirectionScores = {
  readonly lines: number
  /** outputs without a word; they count as wrong */
  readonly empty: number
  /** share that the classifier assigns to the target style, in percent; null without a classifier */
  readonly accuracy: number | null
  /** 0 to 100 */
  readonly bleu: number
  /** 10^(−Σ log10 p / words) under the target style's model; null without one, or without words */
  readonly perplexity: number | null
  readonly perplexityWithoutUnknown: number | null
  /** share of the outputs' words that the model does not know; null without one */
  readonly unknownShare: number | null
}

/** Scores of one sentence. */
export type SentenceScores = {
  readonly bleu: number
  /** of the target style; null without a classifier */
  readonly probability: number | null
  readonly perplexity: number | null
}

export type Scored = { readonly scores: DirectionScores; readonly sentences: ReadonlyArray<SentenceScores> }

/** As in the published numbers (NLTK's corpus_bleu): words between blanks, no smoothing. */
const publishedSettings = { tokenize: 'none', smoothing: 'none' } as const

/** Scores tokenized sentences: line i belongs to source i. An empty line has neither style and a BLEU of 0. */
export const scoreDirection = async (
  { references, from }: Pick<Direction, 'references' | 'from'>,
  outputs: ReadonlyArray<string>,
  { classify, models }: Scorers,
): Promise<Scored> => {
  const isEmpty = outputs.map((line) => line.trim() === '')
  const predictions = classify === null ? null : await predictStyles(outputs, isEmpty, classify)
  const target = otherStyle(from)
  const model = models[target]
  const correct = predictions?.filter((prediction) => prediction !== null && prediction.style !== from).length
  return {
    scores: {
      lines: outputs.length,
      empty: isEmpty.filter((empty) => empty).length,
      accuracy: correct === undefined ? null : (100 * correct) / outputs.length,
      bleu: corpusBleu(outputs, references, publishedSettings).score,
      ...(model === null ? { perplexity: null, perplexityWithoutUnknown: null, unknownShare: null } : fluency(model, outputs)),
    },
    sentences: outputs.map((line, i) => ({
      bleu: sentenceBleu(
        line,
        references.map((lines) => lines[i] ?? ''),
        { tokenize: 'none' },
      ).score,
      probability: predictions === null ? null : (predictions[i]?.probabilities[target] ?? 0),
      perplexity: model === null ? null : fluency(model, [line]).perplexity,
    })),
  }
}

/** The unchanged input, normalized as in the published row. */
export const unchanged = ({ sources }: Pick<Direction, 'sources'>): ReadonlyArray<string> => sources.map(normalized)

/** The prediction for each line; null for an empty line. */
const predictStyles = async (
  outputs: ReadonlyArray<string>,
  isEmpty: ReadonlyArray<boolean>,
  classify: NonNullable<Scorers['classify']>,
): Promise<ReadonlyArray<StylePrediction | null>> => {
  const predictions = await classify(outputs.filter((_, i) => isEmpty[i] !== true))
  let next = 0
  return isEmpty.map((empty) => (empty ? null : (predictions[next++] ?? null)))
}

// The scorers of transfers: a classifier of the two styles, and a language model of each style.
/** The style that the classifier assigns to a sentence, and the probability of each style. */
type StylePrediction = { readonly style: Style; readonly probabilities: readonly [number, number] }

export type Classify = (sentences: ReadonlyArray<string>) => Promise<ReadonlyArray<StylePrediction>>

type Scorers = {
  /** null: no accuracy */
  readonly classify: Classify | null
  /** by style; null: no perplexity for this style */
  readonly models: readonly [NgramScorer | null, NgramScorer | null]
}

/** Perplexity of sentences by the formula of TSST's evaluator (null without words), and the share of unknown words. */
const fluency = (
  model: NgramScorer,
  sentences: ReadonlyArray<string>,
): { readonly perplexity: number | null; readonly perplexityWithoutUnknown: number | null; readonly unknownShare: number } => {
  const { perplexity, perplexityWithoutUnknown, unknown, words } = textScore(sentences.map(model.sentence))
  return { perplexity, perplexityWithoutUnknown, unknownShare: words === 0 ? 0 : unknown / words }
}
