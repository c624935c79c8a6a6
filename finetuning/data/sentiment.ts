/** The embedded dataset: 3,000 sentences of Yelp, Amazon and IMDb reviews, labeled positive or negative (Kotzias et al., 2015). */
import { readFileSync } from 'node:fs'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Dataset, Example } from './dataset.js'
import { holdOut } from './holdOut.js'
import { packageFile } from '../../accelerated/storage/packages.js'

export const SENTIMENT_LABELS: readonly string[] = ['negative', 'positive']

export const SENTIMENT_SOURCES = ['yelp', 'amazon', 'imdb'] as const

const DEV_SENTENCES = 100 // of each source and label: 600 in all
const SPLIT_SEED = 0

type Source = (typeof SENTIMENT_SOURCES)[number]

export type SentimentExample = Example & { readonly source: Source }

export type Sentiment = { readonly train: Dataset; readonly dev: Dataset }

/**
 * Train and dev, stratified by source and label, the same on every machine. A sentence that repeats an earlier one (ignoring case and blanks) is
 * removed and listed in train's `skipped`. So no sentence is in both parts. `row` counts through the three sources.
 * @throws InputError if the file is missing from the package
 */
export const readSentiment = (): Sentiment => {
  const all = readSentences().map(({ source, label, text }, index) => ({ text: restored(text), label, row: index + 1, source }))
  const distinct = withoutRepetitions(all)
  const { kept, held } = holdOut<SentimentExample>({
    seed: SPLIT_SEED,
    strata: () => toStratum,
    share: DEV_SENTENCES / 500,
    isHeld: (place) => place < DEV_SENTENCES,
  })(distinct)
  const remaining = new Set(distinct)
  const skipped = all.filter((example) => !remaining.has(example)).map(({ row }) => ({ row, reason: 'a sentence that occurred before' }))
  return { train: dataset('train', kept, skipped), dev: dataset('dev', held, []) }
}

const toStratum = ({ source, label }: SentimentExample): string => `${source} ${label}`

const dataset = (part: string, examples: readonly SentimentExample[], skipped: Dataset['skipped']): Dataset => ({
  source: `sentiment (${part})`,
  examples,
  labelNames: SENTIMENT_LABELS,
  skipped,
})

type Sentence = { readonly source: Source; readonly label: 0 | 1; readonly text: string }

const sentencesFile = packageFile('finetuning/data/sentiment/sentences.jsonl')

/** The sentences as published, source by source. @throws InputError if the file is missing from the package */
export const readSentences = (): readonly Sentence[] => {
  try {
    return readFileSync(sentencesFile, 'utf8')
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Sentence)
  } catch {
    throw inputError(sentencesFile, 'the labeled sentences of this package (reinstall salora)', 'no file that can be read')
  }
}

// Characters 0x80 to 0x9F of Windows-1252, a blank where it has none. (Node 20's TextDecoder takes windows-1252 for Latin-1.)
const WINDOWS_1252 = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ'

/** IMDb's dashes and dots are C1 control characters in the file: bytes of Windows-1252 that were once read as Latin-1. */
const restored = (text: string): string =>
  text.replace(/[\u0080-\u009f]/g, (control) => WINDOWS_1252[control.charCodeAt(0) - 0x80] ?? control).trim()

const withoutRepetitions = <A extends Example>(examples: readonly A[]): readonly A[] => {
  const firsts = new Map<string, A>()
  examples.forEach((example) => {
    const key = example.text.toLowerCase().replace(/\s+/g, ' ')
    if (!firsts.has(key)) firsts.set(key, example)
  })
  return Array.from(firsts.values())
}
