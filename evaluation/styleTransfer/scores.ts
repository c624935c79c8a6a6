/** The three metrics of style transfer (SaLoRA, section 4.3): accuracy of the style, BLEU against human rewritings, perplexity in the target style. */
import { corpusBleu, sentenceBleu } from '../bleu/bleu.js'
import { normalized, otherStyle, type Direction, bothStyles, type TransferData, readLines } from './datasets.js'
import { textScore, type NgramScorer, ngramScorer } from '../ngram/scorer.js'
import { defaultFallback } from '../ngram/kneserNey.js'
import { openNgramModel, writeNgramModel } from '../ngram/modelFile.js'
import { trainNgram } from '../ngram/trainNgram.js'
import type { Style } from '../../finetuning/data/styles.js'
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileSha256 } from '../../accelerated/storage/digests.js'

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

export type Scored = { readonly scores: DirectionScores; readonly sentences: readonly SentenceScores[] }

/** As in the published numbers (NLTK's corpus_bleu): words between blanks, no smoothing. */
const publishedSettings = { tokenize: 'none', smoothing: 'none' } as const

/** Scores tokenized sentences: line i belongs to source i. An empty line has neither style and a BLEU of 0. */
export const scoreDirection = async (
  { references, from }: Pick<Direction, 'references' | 'from'>,
  outputs: readonly string[],
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
export const unchanged = ({ sources }: Pick<Direction, 'sources'>): readonly string[] => sources.map(normalized)

/** The prediction for each line; null for an empty line. */
const predictStyles = async (
  outputs: readonly string[],
  isEmpty: readonly boolean[],
  classify: NonNullable<Scorers['classify']>,
): Promise<readonly (StylePrediction | null)[]> => {
  const predictions = await classify(outputs.filter((_, i) => isEmpty[i] !== true))
  let next = 0
  return isEmpty.map((empty) => (empty ? null : (predictions[next++] ?? null)))
}

// The scorers of transfers: a classifier of the two styles, and a language model of each style.
/** The style that the classifier assigns to a sentence, and the probability of each style. */
type StylePrediction = { readonly style: Style; readonly probabilities: readonly [number, number] }

export type Classify = (sentences: readonly string[]) => Promise<readonly StylePrediction[]>

type Scorers = {
  /** null: no accuracy */
  readonly classify: Classify | null
  /** by style; null: no perplexity for this style */
  readonly models: readonly [NgramScorer | null, NgramScorer | null]
}

/** Perplexity of sentences by the formula of TSST's evaluator (null without words), and the share of unknown words. */
const fluency = (
  model: NgramScorer,
  sentences: readonly string[],
): { readonly perplexity: number | null; readonly perplexityWithoutUnknown: number | null; readonly unknownShare: number } => {
  const { perplexity, perplexityWithoutUnknown, unknown, words } = textScore(sentences.map(model.sentence))
  return { perplexity, perplexityWithoutUnknown, unknownShare: words === 0 ? 0 : unknown / words }
}

// A language model for each style: from a file, or trained on the dataset's sentences and cached beside the results.
/** As in the papers. */
const order = 5

type LanguageModel = {
  readonly model: NgramScorer
  /** the model's file, or the file of its training sentences */
  readonly from: string
  /** number of training sentences; null for a model from a file */
  readonly sentences: number | null
}

type Progress = { readonly kind: 'preparing'; readonly what: string }

type LanguageModels = readonly [LanguageModel | null, LanguageModel | null]

/**
 * Yields progress.
 * @param files models by style, instead of training @param folder where trained models are cached; null: nowhere @throws InputError
 */
export const languageModels = async function* (
  { training, styles }: Pick<TransferData, 'training' | 'styles'>,
  files: readonly [string, string] | null,
  folder: string | null,
  signal: AbortSignal,
): AsyncGenerator<Progress, LanguageModels> {
  const models: (LanguageModel | null)[] = []
  for (const style of bothStyles) {
    const [trainingFile, modelFile] = [training?.[style], files?.[style]]
    if (modelFile !== undefined) {
      yield { kind: 'preparing', what: `reading ${modelFile}` }
      models.push({ model: ngramScorer(await openNgramModel(modelFile)), from: modelFile, sentences: null })
    } else if (trainingFile === undefined) models.push(null)
    else models.push(yield* trained(trainingFile, styles[style], folder, signal))
  }
  return [models[0] ?? null, models[1] ?? null]
}

/** Trains a model on a file's normalized sentences, or opens it from the cache. */
const trained = async function* (
  file: string,
  style: string,
  folder: string | null,
  signal: AbortSignal,
): AsyncGenerator<Progress, LanguageModel> {
  const sentences = await readLines(file)
  const cached = folder === null ? null : join(folder, `language-model.${style}.${(await fileSha256(file)).slice(0, 12)}.arpa`)
  if (cached !== null && existsSync(cached))
    return { model: ngramScorer(await openNgramModel(cached)), from: file, sentences: sentences.length }
  yield { kind: 'preparing', what: `training a language model of ${sentences.length} ${style} sentences` }
  const source = { name: file, bytes: null, chunks: asText(sentences) }
  const { model } = await trainNgram(source, { order, discountFallback: defaultFallback, skipSymbols: true }, { signal })
  if (cached !== null) await writeNgramModel(cached, model)
  return { model: ngramScorer(model), from: file, sentences: sentences.length }
}

/** Sentences in one chunk of text. */
const chunkSentences = 10_000

async function* asText(sentences: readonly string[]): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sentences.length; at += chunkSentences)
    yield Buffer.from(
      sentences
        .slice(at, at + chunkSentences)
        .map((sentence) => `${normalized(sentence)}\n`)
        .join(''),
    )
}

/** Where a style's model comes from, for the notes of the table. */
export const describeModel = (style: Style, styles: readonly [string, string], model: LanguageModel | null): string => {
  if (model === null) return `${styles[style]}: none (no training sentences)`
  const { from, sentences } = model
  return `${styles[style]}: ${sentences === null ? basename(from) : `order ${order}, ${sentences} sentences of ${basename(from)}`}`
}
