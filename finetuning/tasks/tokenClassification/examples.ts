/** Reads words with tags into examples: CoNLL columns, JSON or Parquet, with the tags as classes. */
import { alternatives } from '../../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { iob2, isTag, outside, parseTag, toTag } from './metrics.js'
import { type StoredExample, exampleStore } from '../../data/compactExamples.js'
import { atRow, type Dataset, type SkippedRow } from '../../data/dataset.js'
import { hasObjects } from '../../data/formats.js'
import { type TaggedOptions, mostWords, type ReadSentences, joinedTokens } from './sentences.js'
import { rowSentences } from './rows.js'
import { checkSize } from '../../data/textFile.js'
import { parseEncoding, utf8 } from '../../data/encoding.js'
import { eachLine } from '../../data/lineStream.js'
import { columnCount } from '../../data/table.js'

export type TagReader = {
  /** The class of each word of a sentence. @throws InputError for a text that is no tag, or an unknown class */
  readonly read: (tags: readonly string[], row: number) => readonly number[]
  /** After the last sentence: sets class indices, and returns the classes in order. @throws InputError if there is no entity */
  readonly finish: (examples: readonly StoredExample[]) => readonly string[]
}

/** @param labelNames the classes of the training data; undefined: those of the types that occur, sorted */
export const tagReader = (file: string, labelNames: readonly string[] | undefined): TagReader => {
  const known = labelNames === undefined ? null : new Map(labelNames.map((name, index) => [name, index]))
  const places = new Map<string, number>() // of types, in the order in which they occur
  const findTagIndex = (tag: string): number => {
    if (tag === outside) return 0
    const { kind, type } = parseTag(tag)
    const place = places.get(type) ?? places.size
    places.set(type, place)
    return 1 + 2 * place + (kind === 'begin' ? 0 : 1)
  }
  return {
    read: (tags, row) => {
      const wrong = tags.find((tag) => !isTag(tag))
      if (wrong !== undefined) throw inputError(atRow(file, row), 'a tag O, B-TYPE or I-TYPE (BIOES and BILOU are read too)', quoted(wrong))
      return iob2(tags).map((tag) => {
        if (known === null) return findTagIndex(tag)
        const index = known.get(tag)
        if (index === undefined)
          throw inputError(atRow(file, row), `a label of the training data (${alternatives(labelNames ?? [])})`, quoted(tag))
        return index
      })
    },
    finish: (examples) => {
      if (labelNames !== undefined) return labelNames
      if (places.size === 0) throw inputError(file, 'at least one entity', 'only tags O')
      const types = [...places.keys()].sort()
      const names = [outside, ...types.flatMap((type) => [toTag(type, true), toTag(type, false)])]
      const indices = [0, ...[...places.keys()].flatMap((type) => [0, 1].map((inside) => 1 + 2 * types.indexOf(type) + inside))]
      for (const example of examples) example.labels = (example.labels ?? []).map((place) => indices[place] ?? NaN)
      return names
    },
  }
}

/** Endings of files whose columns are tokens and tags. Any other ending than those of objects is read in the same way if the user asks for it. */
export const taggedEndings: readonly string[] = ['.conll', '.iob', '.iob2', '.bio', '.bioes']

/** The sentences of `file` as examples with one class per word, in IOB2. @throws InputError for the first thing wrong */
export const readTagged = async (file: string, options: TaggedOptions): Promise<Dataset> => {
  await checkSize(file, options.storage)
  const tags = tagReader(file, options.labelNames)
  const store = exampleStore()
  const examples: StoredExample[] = []
  const skipped: SkippedRow[] = []
  const read = hasObjects(file) ? rowSentences : columnSentences
  await read(
    file,
    options,
    (row, { text, words, tags: written }) => examples.push(store({ text, words, label: 0, labels: tags.read(written, row), row })),
    (row, reason) => skipped.push({ row, reason }),
  )
  if (examples.length === 0)
    throw inputError(file, 'at least one sentence', skipped.length === 0 ? 'none' : `none in ${skipped.length} rows`)
  return { source: file, examples, labelNames: tags.finish(examples), skipped }
}

// CoNLL-style files: a token and its tag per line, in the first and the last column, and a blank line between sentences.
/** Separates documents in the files of CoNLL-2003. */
const documentStart = '-DOCSTART-'

const columnSentences: ReadSentences = async (file, options, take) => {
  const [given] = (['text', 'label', 'tagNames'] as const).filter((name) => options[name] !== undefined)
  if (given !== undefined)
    throw inputError(`--${given === 'tagNames' ? 'tag-names' : given}`, 'a .json, .jsonl or .parquet file to go with it', file)
  let [tokens, tags, first] = [[] as string[], [] as string[], 1]
  const end = (): void => {
    if (tokens.length > 0 && !(tokens.length === 1 && tokens[0] === documentStart)) take(first, { ...joinedTokens(tokens), tags })
    ;[tokens, tags] = [[], []]
  }
  const takeLine = (row: number, bytes: Buffer): void => {
    const line = bytes.toString('utf8')
    if (line.trim() === '') {
      end()
      return
    }
    const cells = cellsIn(line)
    const [token = '', tag = ''] = [cells[0]?.trim(), cells.at(-1)?.trim()]
    if (cells.length < 2 || token === '')
      throw inputError(atRow(file, row), 'a token and its tag, with a tab or a blank between them', columnCount(Math.max(1, cells.length)))
    if (tokens.length === mostWords) throw inputError(atRow(file, row), `a blank line after at most ${mostWords} tokens`, 'none')
    if (tokens.length === 0) first = row
    tokens.push(token)
    tags.push(tag)
  }
  await eachLine(file, takeLine, options.encoding === undefined ? utf8 : parseEncoding(options.encoding), options.storage)
  end()
}

/** The cells between tabs without empty ones at the end, or those between blanks. */
const cellsIn = (line: string): readonly string[] => {
  if (!line.includes('\t')) return line.trim().split(/ +/)
  const cells = line.split('\t')
  return cells.slice(0, cells.findLastIndex((cell) => cell.trim() !== '') + 1)
}
