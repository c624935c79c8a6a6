/**
 * The pre-training corpus: plain text from a folder, cut into lines, without the sentences that the model is later evaluated on.
 *
 * The folder holds WikiText raw files (`wiki.*.raw`), `wiki_demo.txt`, `tales.txt`, `tinyshakespeare.txt` and
 * `yelp_shen2017.{negative,positive}.txt`, or some of them. The label of a Yelp line (its file) is dropped.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import { readSentences } from '../data/sentiment.js'
import { hashText, restoreReview, restoreWikiText } from './detokenize.js'

export type Corpus = {
  readonly training: ReadonlyArray<string>
  /** About 1 in 100 distinct lines. No line is in both parts, even with other case or punctuation. */
  readonly validation: ReadonlyArray<string>
  /** The number of sentences removed because they are in the excluded set. */
  readonly removed: number
  /** The number of lines removed because they repeat an earlier line. */
  readonly repeated: number
}

/** The maximum characters of a line, about 85 tokens. Lines hold whole sentences where those fit. */
const LONGEST_LINE = 360
const ONE_IN = 100
/** The minimum normalized characters of an excluded sentence within an excluded text: `Wow...` alone identifies nothing. */
const SHORTEST_PART = 12

/** Normalizes a sentence for comparison: lower case, letters only, every number as `num`. */
export const normalForm = (text: string): string =>
  text
    .toLowerCase()
    .replace(/\d+/g, 'num')
    .replace(/[^\p{L}]+/gu, '')

/** Cuts a text after `.`, `!` or `?` if the next character starts a sentence. */
export const splitSentences = (text: string): ReadonlyArray<string> =>
  text
    .split(/(?<=[.!?]["”’)]?)\s+(?=["“‘(]?\p{Lu})/u)
    .map((sentence) => sentence.trim())
    .filter((sentence) => sentence !== '')

/** The normal forms of texts and of their longer sentences. */
export const excludedForms = (texts: Iterable<string>): ReadonlySet<string> =>
  new Set(
    [...texts]
      .flatMap((text) => [
        normalForm(text),
        ...splitSentences(text)
          .map(normalForm)
          .filter((form) => form.length >= SHORTEST_PART),
      ])
      .filter((form) => form !== ''),
  )

/** The 3,000 sentences of the embedded dataset, as published. */
export const sentimentSentences = (): ReadonlyArray<string> => readSentences().map(({ text }) => text)

const paragraphsOf = (text: string): ReadonlyArray<string> =>
  text.split(/\n\s*\n/).map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())

const linesOf = (text: string): ReadonlyArray<string> => text.split('\n').map((line) => line.trim())

/** A Project Gutenberg book without its license, pictures, headings (no lower-case letter) and marks of emphasis. */
const readBook = (text: string): ReadonlyArray<string> =>
  paragraphsOf((text.split(/\*\*\* ?START OF[^\n]*\n/)[1] ?? text).split(/\*\*\* ?END OF/)[0] as string)
    .filter((paragraph) => !paragraph.startsWith('[') && !paragraph.includes('http') && /\p{Ll}/u.test(paragraph))
    .map((paragraph) => paragraph.replace(/_/g, ''))

type Reader = (text: string) => ReadonlyArray<string>

const CORPUS_FILES: ReadonlyArray<readonly [pattern: RegExp, read: Reader]> = [
  [
    /^wiki\..*\.raw$/,
    (text) =>
      linesOf(text)
        .filter((line) => !line.startsWith('='))
        .map(restoreWikiText),
  ],
  // In this file a heading or paragraph follows the last full stop without a blank.
  [/^wiki_demo\.txt$/, (text) => linesOf(text).map((line) => line.replace(/([a-z)][.!?])(?=\p{Lu}\p{Ll})/gu, '$1 ').replace(/\s+/g, ' '))],
  [/^tales\.txt$/, readBook],
  [/^tinyshakespeare\.txt$/, paragraphsOf],
  [/^yelp_shen2017\..*\.txt$/, (text) => linesOf(text).map(restoreReview)],
]

/** Lines of at most `LONGEST_LINE` characters; a longer sentence is cut between words. */
const packSentences = (sentences: ReadonlyArray<string>): ReadonlyArray<string> => {
  const pieces = sentences.flatMap((sentence) =>
    sentence.length <= LONGEST_LINE ? [sentence] : (sentence.match(new RegExp(`\\S.{0,${LONGEST_LINE - 1}}(?=\\s|$)`, 'gu')) ?? []),
  )
  const lines: string[] = []
  for (const piece of pieces) {
    const last = lines.at(-1)
    if (last !== undefined && last.length + 1 + piece.length <= LONGEST_LINE) lines[lines.length - 1] = `${last} ${piece}`
    else lines.push(piece)
  }
  return lines
}

/** Cuts paragraphs into lines, removes excluded paragraphs, excluded sentences and repeated lines, and holds out 1 %. */
export const corpusFromParagraphs = (paragraphs: Iterable<string>, excluded: ReadonlySet<string>): Corpus => {
  const training: string[] = []
  const validation: string[] = []
  const forms = new Set<string>()
  let removed = 0
  let repeated = 0
  for (const paragraph of paragraphs) {
    const sentences = excluded.has(normalForm(paragraph)) ? [] : splitSentences(paragraph)
    const kept = sentences.filter((sentence) => !excluded.has(normalForm(sentence)))
    removed += sentences.length === 0 && paragraph !== '' ? 1 : sentences.length - kept.length
    for (const line of packSentences(kept)) {
      const form = normalForm(line)
      if (form === '') continue
      if (forms.has(line)) {
        repeated += 1
        continue
      }
      forms.add(line)
      // Hashing the normal form keeps `Great food!` and `great food.` on one side.
      ;(hashText(form) % ONE_IN === 0 ? validation : training).push(line)
    }
  }
  return { training, validation, removed, repeated }
}

/**
 * Reads the corpus in a folder. `furtherExcluded` names files of one sentence a line, such as another benchmark's test set, that are
 * excluded besides the `sentiment` sentences. @throws InputError if a file or the folder is missing, or the folder has no corpus
 */
export const readCorpus = (folder: string, furtherExcluded: ReadonlyArray<string> = []): Corpus => {
  const absent = furtherExcluded.find((file) => !existsSync(file))
  if (absent !== undefined) throw inputError(`--exclude ${absent}`, 'a file of one sentence a line', 'no such file')
  if (!existsSync(folder)) throw inputError(`--corpora ${folder}`, 'a folder of text files', 'no such folder')
  const files = readdirSync(folder)
    .sort()
    .flatMap((name) => CORPUS_FILES.filter(([pattern]) => pattern.test(name)).map(([, read]) => [name, read] as const))
  if (files.length === 0) throw inputError(`--corpora ${folder}`, 'wiki.*.raw, wiki_demo.txt, tales.txt, …', 'none of them')
  const excluded = excludedForms([...sentimentSentences(), ...furtherExcluded.flatMap((file) => linesOf(readFileSync(file, 'utf8')))])
  const paragraphs = files.flatMap(([name, read]) => read(readFileSync(join(folder, name), 'utf8').replace(/\r/g, '')))
  return corpusFromParagraphs(paragraphs, excluded)
}
