/** Reads pairs of texts that belong together, with a negative of each if a column has them, and the options of embeddings. */
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { exampleStore } from '../../data/compactExamples.js'
import { type Dataset, type Example, type SkippedRow, atRow } from '../../data/dataset.js'
import { readTextRows } from '../../data/delimited.js'
import type { EmbeddingOptions, FileOptions } from '../taskType.js'

/** @throws InputError if the options name no second column */
export const pairColumn = ({ textPair }: FileOptions, problemType: string): string => {
  if (textPair === undefined)
    throw inputError(option('textPair'), words`the column of the second texts, for ${option('problemType')} ${problemType}`, 'none given')
  return textPair
}

/** `--set negative=mined`: the model finds them. Any other value is a column. */
const mined = 'mined'

const isText = (cell: string | null | undefined): cell is string => cell != null && cell.trim() !== ''

/** Pairs without labels. A row may lack a negative. @throws InputError for an empty text, and for a column of negatives without one */
export const readPairs = async (file: string, options: FileOptions): Promise<Dataset> => {
  const columns = { ...options, textPair: pairColumn(options, 'pairs') }
  const negativeColumn = options.negative === mined ? undefined : options.negative
  const store = exampleStore()
  const [examples, skipped, notes]: [Example[], SkippedRow[], string[]] = [[], [], []]
  const takeRow = (row: number, cells: readonly (string | null | undefined)[]): void => {
    const [text, textPair, negative] = negativeColumn === undefined ? cells : [...cells.slice(1), cells[0]]
    if (isText(text) && isText(textPair)) {
      examples.push(store({ text, textPair, label: NaN, row, ...(isText(negative) ? { negative } : {}) }))
      return
    }
    if (options.skipMissing !== true)
      throw inputError(atRow(file, row), words`two texts (or ${option('skipMissing', true)})`, 'an empty one')
    skipped.push({ row, reason: 'no text' })
  }
  const before = negativeColumn === undefined ? [] : [{ name: negativeColumn, option: 'negative' }]
  await readTextRows(file, columns, before, takeRow, { note: (line) => notes.push(line) })
  if (examples.length === 0) throw inputError(file, 'at least one pair of texts', 'none')
  if (negativeColumn !== undefined && examples.every(({ negative }) => negative === undefined))
    throw inputError(file, words`a text in column ${quoted(negativeColumn)} (${option('negative')})`, 'none in any row')
  return { source: file, examples, labelNames: null, skipped, ...(notes.length === 0 ? {} : { notes }) }
}

/** @param sizeMetric what the first numbers of embeddings are scored by @throws InputError for sizes that are no list of different whole numbers */
export const embeddingOptions =
  (sizeMetric: string, takesNegatives: boolean) =>
  ({ negative, matryoshka = [] }: FileOptions): EmbeddingOptions => {
    if (negative !== undefined && !takesNegatives)
      throw inputError(option('negative'), words`${option('problemType')} pairs`, quoted(negative))
    const written = typeof matryoshka === 'string' ? matryoshka.split(',').map((size) => size.trim()) : matryoshka.map(String)
    const sizes = written.map((size) => (/^[1-9]\d{0,5}$/.test(size) ? Number(size) : NaN))
    if (sizes.some(Number.isNaN) || new Set(sizes).size < sizes.length || sizes.length > mostSizes)
      throw inputError(option('matryoshka'), `up to ${mostSizes} different whole numbers, such as 256,128,64`, quoted(written.join(',')))
    return { negatives: negative === undefined ? null : negative === mined ? 'mined' : 'column', sizes, sizeMetric }
  }

/** Each size has a loss in the graph of a step. */
const mostSizes = 16
