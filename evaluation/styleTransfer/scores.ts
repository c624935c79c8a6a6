/** The three metrics of style transfer (SaLoRA, section 4.3): accuracy of the style, BLEU against human rewritings, perplexity in the target style. */
import { corpusBleu, sentenceBleu } from '../bleu/index.js'
import { fluency, type Judgment, type Judges } from './scorers.js'
import { normalized } from './normalizedText.js'
import { otherStyle, type Direction } from './transferData.js'

export type DirectionScores = {
  readonly lines: number
  /** outputs without a word: they count as wrong */
  readonly empty: number
  /** share taken for another style than the source's, in percent; null without a classifier */
  readonly accuracy: number | null
  /** 0 to 100 */
  readonly bleu: number
  /** 10^(−Σ log10 p / words) under the target style's model; null without one, or without words */
  readonly perplexity: number | null
  readonly perplexityWithoutUnknown: number | null
  /** of the outputs' words those that the model does not know; null without one */
  readonly unknownShare: number | null
}

/** Of one sentence. */
export type SentenceScores = {
  readonly bleu: number
  /** of the target style; null without a classifier */
  readonly probability: number | null
  readonly perplexity: number | null
}

export type Scored = { readonly scores: DirectionScores; readonly sentences: ReadonlyArray<SentenceScores> }

/** Published numbers are NLTK's corpus_bleu: words between blanks, no smoothing. */
const published = { tokenize: 'none', smoothing: 'none' } as const

/** Scores sentences with blanks between their words: line i belongs to source i. An empty line is in neither style and has a BLEU of 0. */
export const scoreDirection = async (
  { references, from }: Pick<Direction, 'references' | 'from'>,
  outputs: ReadonlyArray<string>,
  { classify, models }: Judges,
): Promise<Scored> => {
  const isEmpty = outputs.map((line) => line.trim() === '')
  const judged = classify === null ? null : await judgments(outputs, isEmpty, classify)
  const target = otherStyle(from)
  const model = models[target]
  const right = judged?.filter((judgment) => judgment !== null && judgment.style !== from).length
  return {
    scores: {
      lines: outputs.length,
      empty: isEmpty.filter((empty) => empty).length,
      accuracy: right === undefined ? null : (100 * right) / outputs.length,
      bleu: corpusBleu(outputs, references, published).score,
      ...(model === null ? { perplexity: null, perplexityWithoutUnknown: null, unknownShare: null } : fluency(model, outputs)),
    },
    sentences: outputs.map((line, i) => ({
      bleu: sentenceBleu(
        line,
        references.map((lines) => lines[i] ?? ''),
        { tokenize: 'none' },
      ).score,
      probability: judged === null ? null : (judged[i]?.probabilities[target] ?? 0),
      perplexity: model === null ? null : fluency(model, [line]).perplexity,
    })),
  }
}

/** The input left as it is, in the form in which the published row has it. */
export const unchanged = ({ sources }: Pick<Direction, 'sources'>): ReadonlyArray<string> => sources.map(normalized)

/** null for an empty line */
const judgments = async (
  outputs: ReadonlyArray<string>,
  isEmpty: ReadonlyArray<boolean>,
  classify: NonNullable<Judges['classify']>,
): Promise<ReadonlyArray<Judgment | null>> => {
  const given = await classify(outputs.filter((_, i) => isEmpty[i] !== true))
  let next = 0
  return isEmpty.map((empty) => (empty ? null : (given[next++] ?? null)))
}
