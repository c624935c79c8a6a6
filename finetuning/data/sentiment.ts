/**
 * The embedded data: 3,000 sentences of Yelp, Amazon and IMDb reviews, labeled positive or negative (Kotzias et al., 2015),
 * which the `sentiment` package carries with its tests. They are read from the installed package, and none is copied here.
 */
import { createRequire } from 'node:module'
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { z } from 'zod'
import { type InputError, inputError } from '../../accelerated/errors/inputError.js'
import type { Dataset, Example } from './dataset.js'
import { holdOut } from './holdOut.js'

export const SENTIMENT_LABELS: ReadonlyArray<string> = ['negative', 'positive']

export const SENTIMENT_SOURCES = ['yelp', 'amazon', 'imdb'] as const

const DEV_SENTENCES = 100 // of each source and label, hence 600 in all
const SPLIT_SEED = 0

export type SentimentExample = Example & { readonly source: (typeof SENTIMENT_SOURCES)[number] }

export type Sentiment = { readonly train: Dataset; readonly dev: Dataset }

/**
 * Train and dev, stratified by source and label, the same everywhere. A sentence that occurred before (case and blanks
 * aside) is left out, so that none is in both, and is listed in train's `skipped`. `row` counts through the three sources.
 */
export const readSentiment = (): E.Either<InputError, Sentiment> =>
  pipe(
    SENTIMENT_SOURCES,
    E.traverseArray(readSource),
    E.map((sources) => {
      const all = sources.flat().map((example, index) => ({ ...example, row: index + 1 }))
      const distinct = withoutRepetitions(all)
      const { kept, held } = holdOut<SentimentExample>({
        seed: SPLIT_SEED,
        stratumOf: ({ source, label }) => `${source} ${label}`,
        heldOf: () => DEV_SENTENCES,
      })(distinct)
      const left = new Set(distinct)
      const skipped = all.filter((example) => !left.has(example)).map(({ row }) => ({ row, found: 'a sentence that occurred before' }))
      return { train: dataset('train', kept, skipped), dev: dataset('dev', held, []) }
    }),
  )

const dataset = (part: string, examples: ReadonlyArray<SentimentExample>, skipped: Dataset['skipped']): Dataset => ({
  source: `sentiment (${part})`,
  examples,
  labelNames: SENTIMENT_LABELS,
  skipped,
})

// Each file ends in an entry without text and class.
const Fixture = z.array(z.object({ text: z.string(), class: z.union([z.literal(0), z.literal(1), z.null()]) }))

/** A source's entries as the package has them. */
export const readFixture = (source: SentimentExample['source']): E.Either<InputError, z.infer<typeof Fixture>> =>
  E.tryCatch(
    () => Fixture.parse(createRequire(import.meta.url)(`sentiment/test/fixtures/${source}.json`)),
    () => missing(source),
  )

const readSource = (source: SentimentExample['source']): E.Either<InputError, ReadonlyArray<SentimentExample>> =>
  pipe(
    readFixture(source),
    E.map((entries) =>
      entries.flatMap(({ text, class: label }) => (label === null ? [] : [{ text: restored(text), label, row: 0, source }])),
    ),
  )

const missing = (source: string): InputError =>
  inputError(
    `sentiment/test/fixtures/${source}.json`,
    'the labeled sentences of the npm package sentiment 5.0.2 (npm install)',
    'none that can be read',
  )

// Characters 0x80 to 0x9F of Windows-1252, a blank where it has none. (Node 20's TextDecoder takes windows-1252 for Latin-1.)
const WINDOWS_1252 = '€ ‚ƒ„…†‡ˆ‰Š‹Œ Ž  ‘’“”•–—˜™š›œ žŸ'

/** IMDb's dashes and dots stand there as C1 control characters: bytes of Windows-1252 that were once read as Latin-1. */
const restored = (text: string): string =>
  text.replace(/[\u0080-\u009f]/g, (control) => WINDOWS_1252[control.charCodeAt(0) - 0x80] ?? control).trim()

const withoutRepetitions = <A extends Example>(examples: ReadonlyArray<A>): ReadonlyArray<A> => {
  const firsts = new Map<string, A>()
  examples.forEach((example) => {
    const key = example.text.toLowerCase().replace(/\s+/g, ' ')
    if (!firsts.has(key)) firsts.set(key, example)
  })
  return Array.from(firsts.values())
}
