/**
 * The pre-training corpus: plain text from a folder, cut into lines, without the sentences that the model is later evaluated on.
 * As a program it prints the training lines, which buildTokenizer.py reads.
 *
 * The folder holds WikiText raw files (`wiki.*.raw`), `wiki_demo.txt`, `tales.txt`, `tinyshakespeare.txt` and
 * `yelp_shen2017.{negative,positive}.txt`, or some of them. The label of a Yelp line (its file) is dropped.
 */
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inputError } from '../../accelerated/errors/inputError.js'
import { readSentences } from '../../finetuning/data/sentiment.js'
import { repeatableFlag, required, textFlag } from '../../finetuning/commandLine/flag.js'
import { scriptValues } from '../../finetuning/commandLine/script.js'

export type Corpus = {
  readonly training: readonly string[]
  /** About 1 in 100 distinct lines. No line is in both parts, even with other case or punctuation. */
  readonly validation: readonly string[]
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
export const splitSentences = (text: string): readonly string[] =>
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

const splitParagraphs = (text: string): readonly string[] => text.split(/\n\s*\n/).map((paragraph) => paragraph.replace(/\s+/g, ' ').trim())

const splitLines = (text: string): readonly string[] => text.split('\n').map((line) => line.trim())

/** A Project Gutenberg book without its license, pictures, headings (no lower-case letter) and marks of emphasis. */
const readBook = (text: string): readonly string[] =>
  splitParagraphs((text.split(/\*\*\* ?START OF[^\n]*\n/)[1] ?? text).split(/\*\*\* ?END OF/)[0] as string)
    .filter((paragraph) => !paragraph.startsWith('[') && !paragraph.includes('http') && /\p{Ll}/u.test(paragraph))
    .map((paragraph) => paragraph.replace(/_/g, ''))

const readWikiText = (text: string): readonly string[] =>
  splitLines(text)
    .filter((line) => !line.startsWith('='))
    .map((line) => restoreWikiText(line))

const CORPUS_FILES: readonly (readonly [pattern: RegExp, read: (text: string) => readonly string[]])[] = [
  [/^wiki\..*\.raw$/, readWikiText],
  // In this file a heading or paragraph follows the last full stop without a blank.
  [
    /^wiki_demo\.txt$/,
    (text) => splitLines(text).map((line) => line.replace(/([a-z)][.!?])(?=\p{Lu}\p{Ll})/gu, '$1 ').replace(/\s+/g, ' ')),
  ],
  [/^tales\.txt$/, readBook],
  [/^tinyshakespeare\.txt$/, splitParagraphs],
  [/^yelp_shen2017\..*\.txt$/, (text) => splitLines(text).map(restoreReview)],
]

/** Lines of at most `LONGEST_LINE` characters; a longer sentence is cut between words. */
const packSentences = (sentences: readonly string[]): readonly string[] => {
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
  const [training, validation, seen]: [string[], string[], Set<string>] = [[], [], new Set()]
  let [removed, repeated] = [0, 0]
  for (const paragraph of paragraphs) {
    const sentences = excluded.has(normalForm(paragraph)) ? [] : splitSentences(paragraph)
    const kept = sentences.filter((sentence) => !excluded.has(normalForm(sentence)))
    removed += sentences.length === 0 && paragraph !== '' ? 1 : sentences.length - kept.length
    for (const line of packSentences(kept)) {
      const form = normalForm(line)
      if (form === '') continue
      if (seen.has(line)) repeated += 1
      // Hashing the normal form keeps `Great food!` and `great food.` on one side.
      else (hashText(form) % ONE_IN === 0 ? validation : training).push(line)
      seen.add(line)
    }
  }
  return { training, validation, removed, repeated }
}

/**
 * Reads the corpus in a folder. `furtherExcluded` names files of one sentence a line, such as another benchmark's test set, that are
 * excluded besides the `sentiment` sentences. @throws InputError if a file or the folder is missing, or the folder has no corpus
 */
export const readCorpus = (folder: string, furtherExcluded: readonly string[] = []): Corpus => {
  const absent = furtherExcluded.find((file) => !existsSync(file))
  if (absent !== undefined) throw inputError(`--exclude ${absent}`, 'a file of one sentence a line', 'no such file')
  if (!existsSync(folder)) throw inputError(`--corpora ${folder}`, 'a folder of text files', 'a missing folder')
  const files = readdirSync(folder)
    .sort()
    .flatMap((name) => CORPUS_FILES.filter(([pattern]) => pattern.test(name)).map(([, read]) => [name, read] as const))
  if (files.length === 0) throw inputError(`--corpora ${folder}`, 'wiki.*.raw, wiki_demo.txt, tales.txt, …', 'none of them')
  const excluded = excludedForms([
    ...readSentences().map(({ text }) => text),
    ...furtherExcluded.flatMap((file) => splitLines(readFileSync(file, 'utf8'))),
  ])
  const paragraphs = files.flatMap(([name, read]) => read(readFileSync(join(folder, name), 'utf8').replace(/\r/g, '')))
  return corpusFromParagraphs(paragraphs, excluded)
}

// Detokenization: turns tokenized, lower-cased or escaped lines back into ordinary sentences. The rules are approximate on purpose.

/** A 32-bit hash of a text (FNV-1a with a final mix), the same on every machine. */
const hashText = (text: string): number => {
  let hash = 0x811c9dc5
  for (let i = 0; i < text.length; i += 1) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  return (hash ^ (hash >>> 16)) >>> 0
}

/** Joins double quotation marks to what they enclose: the first opens, the second closes, and so on. */
const joinQuotationMarks = (text: string): string => {
  const parts = text.split(/\s*"\s*/)
  // An odd mark has no partner: its side is known only at either end of the text.
  if (parts.length % 2 === 0) return text.replace(/^" /, '"').replace(/ "$/, '"')
  const opening = (before: string): string => (before === '' || /[([]$/.test(before) ? '"' : ' "')
  const closing = (after: string): string => (after === '' || /^[.,;:!?)\]]/.test(after) ? '"' : '" ')
  return parts.reduce((joined, part, i) => joined + (i % 2 === 1 ? opening(joined) : closing(part)) + part)
}

/** Puts punctuation back against its word: `it is n't ( very ) good .` becomes `it isn't (very) good.` */
const joinPunctuation = (text: string): string =>
  joinQuotationMarks(text)
    .replace(/ (n't|'s|'m|'re|'ve|'ll|'d)(?![\w])/gi, '$1')
    .replace(/s ' /g, "s' ")
    .replace(/ +([.,;:!?%)\]]|\.\.\.)(?=[\s.,;:!?)\]"']|$)/g, '$1')
    .replace(/([([$#£]) +/g, '$1')
    .replace(/ {2,}/g, ' ')
    .trim()

/** A WikiText raw line: ` @-@ `, ` @,@ ` and ` @.@ ` mean a sign without blanks around it. */
export const restoreWikiText = (line: string): string => joinPunctuation(line.replace(/ @([-,.])@ /g, '$1'))

const ORDINARY_NUMBERS = [2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 15, 20, 25, 30, 40, 45, 50, 60, 90, 100, 200]

/** Replaces each `_num_` by a number drawn from the line's hash: the original is lost, and reviews never contain `_num_`. */
const restoreNumbers = (line: string): string => {
  const hash = hashText(line)
  let drawn = 0
  return line.replace(/_num_/g, () => {
    drawn += 1
    return String(ORDINARY_NUMBERS[(hash + drawn * 7919) % ORDINARY_NUMBERS.length])
  })
}

/** Restores a line of the Yelp corpus (lower case, tokenized, numbers masked) to ordinary spelling. */
export const restoreReview = (line: string): string =>
  joinPunctuation(restoreNumbers(line).replace(/``|''/g, '"').replace(/ -- /g, ' - '))
    .replace(/(?<![\w'.])i(?![\w-]|\.\w)/g, 'I')
    .replace(/^(\W*)([a-z])/, (_, before: string, letter: string) => before + letter.toUpperCase())
    .replace(/([.!?] )([a-z])/g, (_, before: string, letter: string) => before + letter.toUpperCase())

/** The flags of the scripts that read the corpus. */
export const corpusFlags = {
  corpora: required(textFlag('folder', 'Folder of text files'), 'a folder of text files'),
  exclude: repeatableFlag('file', 'Exclude the sentences of this file; may be repeated'),
}

if (process.argv[1]?.endsWith('corpus.js') === true) {
  const name = 'node dist/scripts/embeddedModel/corpus.js'
  const command = `${name} --corpora corpora | python scripts/embeddedModel/buildTokenizer.py finetuning/embedded/model`
  const { flags } = scriptValues({
    name,
    description: 'Print the lines that the embedded model is pre-trained on.',
    flags: { Options: corpusFlags },
    examples: [{ command, result: 'Trains the tokenizer on the lines, and writes its three files.' }],
  })
  for (const line of readCorpus(flags.corpora, flags.exclude).training) process.stdout.write(`${line}\n`)
}
