/** A file of the user's own with named columns, as labeled examples; formats.ts has the formats. */
import { extname } from 'node:path'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { Dataset, ClassificationType, SkippedRow } from './dataset.js'
import { delimiterOf, readerOf } from './formats.js'
import { classesOf, classesOfSets, classIndex, labelSeparator, labelsIn, scoreOf } from './labels.js'
import type { Cell, RowFormat } from './rows.js'
import { exampleStore, type StoredExample } from './compactExamples.js'
import type { WantedColumn } from './table.js'
import { checkSize } from './textFile.js'
import { atRow } from './errorText.js'

export type TextColumns = {
  /** Column of the text; `text` if not given. */
  readonly text?: string
  /** Column of the second text of a pair; without it there is none. */
  readonly textPair?: string
  /** What ends a cell of a .csv or .tsv file: one character, or `tab`; a comma of .csv and a tab of .tsv if not given. */
  readonly delimiter?: string
  /** Whether cells of a .tsv file may be quoted, as those of a .csv file are. */
  readonly quote?: boolean
}

export type DelimitedOptions = TextColumns & {
  /** Column of the label; `label` if not given. */
  readonly label?: string
  /** `classification` if not given. */
  readonly problemType?: ClassificationType
  /** The classes of the training data, which an evaluation file must keep to. Without them: those that occur, sorted. */
  readonly labelNames?: ReadonlyArray<string>
  /** Leave rows out that lack a text or a label, and list them, instead of refusing the file. */
  readonly skipMissing?: boolean
}

/** Whether `task` names a file of the user's own rather than a known task. */
export const looksLikeFile = (task: string): boolean => extname(task) !== '' || task.includes('/') || task.includes('\\')

/**
 * The examples of `file`, or the first mistake in it: a column that is missing (those found are listed), a row with the wrong
 * number of columns, an empty text, a label that is unknown or of the wrong kind. Blanks around a label do not count.
 */
/** Texts alone, for a model to answer. @throws Mistake */
export const readTexts = async (
  file: string,
  options: TextColumns,
  take: (row: number, text: string | null, textPair: string | null | undefined) => void,
): Promise<void> => rowsOf(file, options, [], (row, [text = null, textPair]) => take(row, text, textPair))

export const readDelimited = async (file: string, options: DelimitedOptions = {}): Promise<Dataset> => {
  const { problemType, labelNames, skipMissing = false } = options
  const [textColumn, pairColumn] = [options.text ?? 'text', options.textPair]
  const firstRows = new Map<string, number>() // of each label as written
  const places = new Map<string, number>()
  const known = labelNames === undefined ? null : classIndex(labelNames)
  /** a score, a class's index, or before the classes are known its place among those met */
  const labelOf = (written: string, row: number): number => {
    if (problemType === 'regression') return scoreOf(written, () => atRow(file, row))
    if (known !== null) return known(written, () => atRow(file, row))
    const place = places.get(written)
    if (place !== undefined) return place
    firstRows.set(written, row)
    places.set(written, places.size)
    return places.size - 1
  }
  const several = problemType === 'multi-label'
  const store = exampleStore()
  const examples: StoredExample[] = []
  const skipped: SkippedRow[] = []
  const labelColumn = { name: options.label ?? 'label', flag: '--label', ...(several ? { list: labelSeparator } : {}) }
  await rowsOf(file, options, [labelColumn], (row, [label = null, text = null, textPair]) => {
    const written = label?.trim() ?? ''
    const missing = isMissing(text)
      ? { what: `a text in column ${quoted(textColumn)}`, cell: text }
      : textPair !== undefined && isMissing(textPair)
        ? { what: `a text in column ${quoted(pairColumn ?? '')}`, cell: textPair }
        : several
          ? null
          : written === ''
            ? { what: 'a label', cell: label }
            : null
    if (missing === null) {
      const own = several ? { label: 0, labels: labelsIn(written).map((part) => labelOf(part, row)) } : { label: labelOf(written, row) }
      examples.push(store({ text: text ?? '', ...(textPair == null ? {} : { textPair }), ...own, row }))
      return
    }
    const found = missing.cell === null ? 'null' : 'an empty one'
    if (!skipMissing) throw inputError(atRow(file, row), `${missing.what} (or --skip-missing)`, found)
    skipped.push({ row, found: `no ${missing.what.slice(2)}` })
  })
  const [first] = skipped
  if (examples.length === 0 && first !== undefined)
    throw inputError(file, 'at least one row of data', `none: ${skipped.length} lack a text or a label, the first is row ${first.row}`)
  if (problemType === 'regression') return { source: file, examples, labelNames: null, skipped }
  if (labelNames !== undefined) return { source: file, examples, labelNames, skipped }
  const { names, indexOf } = (several ? classesOfSets : classesOf)(file, firstRows)
  const indices = [...places.keys()].map((written) => indexOf.get(written) ?? NaN)
  const indexAt = (place: number): number => indices[place] ?? NaN
  for (const example of examples)
    if (example.labels === undefined) example.label = indexAt(example.label)
    else example.labels = example.labels.map(indexAt)
  return { source: file, examples, labelNames: names, skipped }
}

const isMissing = (cell: Cell): boolean => cell === null || cell.trim() === ''

/** `before`: columns that are wanted before the texts. */
const rowsOf = async (
  file: string,
  { text, textPair, delimiter, quote }: TextColumns,
  before: ReadonlyArray<WantedColumn>,
  take: (row: number, cells: ReadonlyArray<Cell>) => void,
): Promise<void> => {
  const wanted = [
    ...before,
    { name: text ?? 'text', flag: '--text' },
    ...(textPair === undefined ? [] : [{ name: textPair, flag: '--text-pair' }]),
  ]
  const twice = wanted.find(({ name }, index) => wanted.findIndex((other) => other.name === name) !== index)
  if (twice !== undefined) throw inputError(file, 'different columns for text, text pair and label', `${quoted(twice.name)} named twice`)
  const format: RowFormat = {
    ...(delimiter === undefined ? {} : { delimiter: delimiterOf(delimiter) }),
    ...(quote === undefined ? {} : { quote }),
  }
  const read = readerOf(file, format)
  checkSize(file)
  await read(file, wanted, format, take)
}
