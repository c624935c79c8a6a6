/** Rows of tokens and their tags, or of a text and its spans, in .json, .jsonl and .parquet files. */
import { z } from 'zod'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { validate } from '../../../accelerated/errors/validate.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { outside, toTag } from './metrics.js'
import { parseEncoding } from '../../data/encoding.js'
import { atRow } from '../../data/dataset.js'
import { findReader } from '../../data/formats.js'
import type { Cell } from '../../data/rows.js'
import type { RequestedColumn } from '../../data/table.js'
import { mostWords, type ReadSentences, type Sentence, characterOffsets, joinedTokens, wordsIn } from './sentences.js'

const [textNames, labelColumns] = [
  ['tokens', 'words', 'text'],
  ['ner_tags', 'tags', 'spans', 'entities'],
]

/** A reason to refuse a row, or to skip it. */
type Unreadable = { readonly expected: string; readonly got: string; readonly reason: string }

export const rowSentences: ReadSentences = async (file, options, take, skip) => {
  const [texts, labels] = [
    options.text === undefined ? textNames : [options.text],
    options.label === undefined ? labelColumns : [options.label],
  ]
  const names = options.tagNames?.split(',').map((name) => name.trim())
  const requested = [
    ...texts.map((name): RequestedColumn => ({ name, optional: true, json: true })),
    ...labels.map((name): RequestedColumn => ({ name, optional: true, json: true, ...(names === undefined ? { named: true } : {}) })),
  ]
  const { encoding, storage } = options
  const format = {
    ...(encoding === undefined ? {} : { encoding: parseEncoding(encoding) }),
    ...(storage === undefined ? {} : { storage }),
  }
  await findReader(file, format)(file, requested, format, (row, cells) => {
    const where = atRow(file, row)
    const [text, label] = [parseFirst(cells.slice(0, texts.length)), parseFirst(cells.slice(texts.length))]
    const sentence = text === null || label === null ? missing(text === null ? texts : labels) : parseSentence(text, label, names, where)
    if (!('reason' in sentence)) return take(row, sentence)
    if (options.skipMissing !== true) throw inputError(where, words`${sentence.expected} (or ${option('skipMissing', true)})`, sentence.got)
    skip(row, sentence.reason)
  })
}

/** The first cell with a value, parsed. */
const parseFirst = (cells: readonly Cell[]): unknown => {
  const cell = cells.find((value) => value !== null && value !== undefined)
  return cell === undefined || cell === null ? null : (JSON.parse(cell) as unknown)
}

const missing = (names: readonly string[]): Unreadable => ({
  expected: `a value of ${names.map((name) => quoted(name)).join(' or ')}`,
  got: 'none',
  reason: `no ${names[0]}`,
})

const tokenList = z.array(z.string().max(10_000)).max(mostWords)
const tagList = z.array(z.union([z.string().max(1_000), z.int().min(0)])).max(mostWords)
const offset = z.int().min(0)
const typeName = z.string().min(1).max(1_000)
const spanList = z
  .array(
    z.union([
      z.object({ start: offset, end: offset, label: typeName }),
      z.object({ start: offset, end: offset, entity_group: typeName }),
      z.tuple([offset, offset, typeName]),
    ]),
  )
  .max(mostWords)

const parseSentence = (text: unknown, label: unknown, names: readonly string[] | undefined, where: string): Sentence | Unreadable => {
  if (typeof text === 'string') return spanned(text, validate(spanList, label, where, 'spans, each with start, end and label'), where)
  const tokens = validate(tokenList, text, where, 'tokens, or a text')
  const tags = validate(tagList, label, where, 'a list of tags, which are texts or numbers')
  if (tokens.length === 0) return { expected: 'at least one token', got: 'none', reason: 'no token' }
  if (tokens.length !== tags.length) throw inputError(where, `${tokens.length} tags, one per token`, String(tags.length))
  return { ...joinedTokens(tokens), tags: tags.map((tag) => (typeof tag === 'string' ? tag : findTag(tag, names, where))) }
}

const findTag = (number: number, names: readonly string[] | undefined, where: string): string => {
  const name = names?.[number]
  if (name !== undefined) return name
  if (names !== undefined) throw inputError(where, words`a tag below ${names.length}, as ${option('tagNames')} has names`, String(number))
  throw inputError(where, words`tags by name (or ${option('tagNames')} O,B-…,I-…, the names of the numbers)`, String(number))
}

type Span = { readonly from: number; readonly to: number; readonly type: string }

/** A text and its spans, which must be of whole words and must not overlap. Blanks at the ends of a span do not count. */
const spanned = (text: string, given: z.infer<typeof spanList>, where: string): Sentence | Unreadable => {
  if (text.trim() === '') return { expected: 'a text', got: 'an empty one', reason: 'no text' }
  const words = wordsIn(text)
  if (words.length > 2 * mostWords) throw inputError(where, `a text of at most ${mostWords} words`, String(words.length / 2))
  const { toUnit } = characterOffsets(text)
  const starts = new Map(Array.from({ length: words.length / 2 }, (_, i) => [words[2 * i] ?? NaN, i]))
  const ends = new Map(Array.from({ length: words.length / 2 }, (_, i) => [words[2 * i + 1] ?? NaN, i]))
  const tags = new Array<string>(words.length / 2).fill(outside)
  for (const span of given) {
    const { from, to, type } = trimmed(text, span, toUnit, where)
    const [first, last] = [starts.get(from), ends.get(to)]
    const got = `${quoted(text.slice(from, to), 40)} in ${quoted(text.slice(Math.max(0, from - 10), to + 10), 60)}`
    if (first === undefined || last === undefined) return { expected: describeWholeWords(text), got, reason: 'a span of no whole words' }
    if (tags.slice(first, last + 1).some((tag) => tag !== outside))
      return { expected: 'spans that do not overlap', got, reason: 'spans that overlap' }
    for (let i = first; i <= last; i++) tags[i] = toTag(type, i === first)
  }
  return { text, words, tags }
}

/** Offsets of JavaScript move after each character that takes two code units. */
const describeWholeWords = (text: string): string =>
  `spans of whole words${Array.from(text).length < text.length ? ', in characters as Python counts them: an emoji is one, not two' : ''}`

const trimmed = (text: string, span: z.infer<typeof spanList>[number], toUnit: (character: number) => number, where: string): Span => {
  const [start, end, type] = Array.isArray(span) ? span : [span.start, span.end, 'label' in span ? span.label : span.entity_group]
  const [from, to] = [toUnit(start), toUnit(end)]
  const covered = text.slice(from, to)
  if (!(from < to) || covered.trim() === '')
    throw inputError(where, `spans that begin before they end, within ${text.length} characters`, `${start} to ${end}`)
  return { from: from + covered.length - covered.trimStart().length, to: to - covered.length + covered.trimEnd().length, type }
}
