/** Reads queries with graded texts: the rows of one query, wherever they stand in the file, are one example. */
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { exampleStore } from '../../data/compactExamples.js'
import { type Dataset, type Example, type SkippedRow, atRow } from '../../data/dataset.js'
import { readDelimited } from '../../data/delimited.js'
import { scoreColumn } from '../../data/labelColumn.js'
import { pairColumn } from '../embeddings/rows.js'
import type { FileOptions } from '../taskType.js'

/** Texts of a query: a step reads all of them at once. */
export const mostTexts = 100

export type Query = { readonly query: string; readonly texts: readonly string[] }

/** The text that an example stores as JSON. Its labels are the grades of the texts. */
export const parseQuery = (json: string): Query => JSON.parse(json) as Query

/** @throws InputError for the first thing wrong in the file */
export const readQueries = async (file: string, options: FileOptions): Promise<Dataset> => {
  const read = await readDelimited(file, { ...options, textPair: pairColumn(options, 'rerank'), labelColumn: scoreColumn })
  const byQuery = new Map<string, Example[]>()
  for (const example of read.examples) {
    const rows = byQuery.get(example.text)
    if (rows === undefined) byQuery.set(example.text, [example])
    else rows.push(example)
    checkRow(file, example, byQuery.get(example.text)?.length ?? 0)
  }
  const store = exampleStore()
  const [examples, skipped]: [Example[], SkippedRow[]] = [[], [...read.skipped]]
  for (const [query, rows] of byQuery) {
    const { row } = rows[0] as Example
    const labels = rows.map(({ label }) => label)
    if (new Set(labels).size > 1) {
      const texts = rows.map(({ textPair = '' }) => textPair)
      examples.push(store({ text: JSON.stringify({ query, texts } satisfies Query), label: NaN, labels, row }))
    } else if (options.skipMissing === true) skipped.push({ row, reason: 'no two grades of its query' })
    else
      throw inputError(
        atRow(file, row),
        words`texts of two grades or more for each query (or ${option('skipMissing', true)})`,
        `${rows.length === 1 ? 'one text' : `${rows.length} texts of grade ${labels[0]}`} for ${quoted(query, 40)}`,
      )
  }
  if (examples.length === 0) throw inputError(file, 'at least one query with texts of two grades', 'none')
  return { ...read, examples, skipped }
}

/** @param texts of the query up to this row @throws InputError */
const checkRow = (file: string, { text, label, row }: Example, texts: number): void => {
  if (label < 0) throw inputError(atRow(file, row), 'a grade of at least 0', String(label))
  if (texts > mostTexts) throw inputError(atRow(file, row), `at most ${mostTexts} texts for a query`, `more for ${quoted(text, 40)}`)
}
