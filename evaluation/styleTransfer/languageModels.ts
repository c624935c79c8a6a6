/** A language model for each style: from a file, or trained on the dataset's sentences and cached beside the results. */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileSha256 } from '../../accelerated/storage/digests.js'
import { defaultFallback, openNgramModel, trainNgram, writeNgramModel, ngramScorer, type NgramScorer } from '../ngram/index.js'
import { normalized } from './normalizedText.js'
import { linesOf } from './textFile.js'
import type { Style } from '../../finetuning/data/styles.js'
import { bothStyles, type TransferData } from './transferData.js'

/** As in the papers. */
const order = 5

export type LanguageModel = {
  readonly model: NgramScorer
  /** the model's file, or the file of its training sentences */
  readonly from: string
  /** number of training sentences; null for a model from a file */
  readonly sentences: number | null
}

type Progress = { readonly kind: 'preparing'; readonly what: string }

export type LanguageModels = readonly [LanguageModel | null, LanguageModel | null]

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
  const sentences = await linesOf(file)
  const cached = folder === null ? null : join(folder, `language-model.${style}.${(await fileSha256(file)).slice(0, 12)}.ngram`)
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

async function* asText(sentences: ReadonlyArray<string>): AsyncGenerator<Uint8Array> {
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
