/** A language model of each style: as given, or trained on the data's own sentences and kept beside the results. */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { fileSha256 } from '../../accelerated/storage/sha256.js'
import { defaultFallback, openNgramModel, trainNgram, writeNgramModel, ngramScorer, type NgramScorer } from '../ngram/index.js'
import { normalized } from './normalizedText.js'
import { linesOf } from './textFile.js'
import type { Style } from '../../finetuning/data/styles.js'
import { bothStyles, type TransferData } from './transferData.js'

/** As in the papers. */
const order = 5

export type LanguageModel = {
  readonly model: NgramScorer
  /** the file that it came from, or was trained on */
  readonly from: string
  /** sentences it was trained on here; null where it was given */
  readonly sentences: number | null
}

type Doing = { readonly kind: 'preparing'; readonly what: string }

export type LanguageModels = readonly [LanguageModel | null, LanguageModel | null]

/** @param given files by style, instead of training @param folder for what is trained; null: nowhere. Yields what it does. @throws Mistake */
export const languageModels = async function* (
  { training, styles }: Pick<TransferData, 'training' | 'styles'>,
  given: readonly [string, string] | null,
  folder: string | null,
  signal: AbortSignal,
): AsyncGenerator<Doing, LanguageModels> {
  const found: (LanguageModel | null)[] = []
  for (const style of bothStyles) {
    const [file, own] = [training?.[style], given?.[style]]
    if (own !== undefined) {
      yield { kind: 'preparing', what: `reading ${own}` }
      found.push({ model: ngramScorer(await openNgramModel(own)), from: own, sentences: null })
    } else if (file === undefined) found.push(null)
    else found.push(yield* trained(file, styles[style], folder, signal))
  }
  return [found[0] ?? null, found[1] ?? null]
}

/** The model of a file's sentences, in the form in which transfers are compared. */
const trained = async function* (
  file: string,
  style: string,
  folder: string | null,
  signal: AbortSignal,
): AsyncGenerator<Doing, LanguageModel> {
  const sentences = await linesOf(file)
  const kept = folder === null ? null : join(folder, `language-model.${style}.${(await fileSha256(file)).slice(0, 12)}.ngram`)
  if (kept !== null && existsSync(kept)) return { model: ngramScorer(await openNgramModel(kept)), from: file, sentences: sentences.length }
  yield { kind: 'preparing', what: `training a language model of ${sentences.length} ${style} sentences` }
  const source = { name: file, bytes: null, chunks: asText(sentences) }
  const { model } = await trainNgram(source, { order, discountFallback: defaultFallback, skipSymbols: true }, { signal })
  if (kept !== null) await writeNgramModel(kept, model)
  return { model: ngramScorer(model), from: file, sentences: sentences.length }
}

const together = 10_000

async function* asText(sentences: ReadonlyArray<string>): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < sentences.length; at += together)
    yield Buffer.from(
      sentences
        .slice(at, at + together)
        .map((sentence) => `${normalized(sentence)}\n`)
        .join(''),
    )
}

/** Whose file a style's model came from, for the table's notes. */
export const describeModel = (style: Style, styles: readonly [string, string], model: LanguageModel | null): string => {
  if (model === null) return `${styles[style]}: none, for lack of sentences to train it on`
  const { from, sentences } = model
  return `${styles[style]}: ${sentences === null ? basename(from) : `order ${order}, ${sentences} sentences of ${basename(from)}`}`
}
