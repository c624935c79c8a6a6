/** A file of the user's own with named columns, as labeled examples. formats.ts lists the formats. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { alternatives } from '../../accelerated/errors/nearest.js'
import { option, words } from '../../accelerated/errors/words.js'
import { fileExtension } from '../../accelerated/storage/paths.js'
import { type Dataset, type SkippedRow, atRow } from './dataset.js'
import { columnsByContent } from './columnContent.js'
import { MissingColumn } from './columns.js'
import { parseEncoding } from './encoding.js'
import { parseDelimiter, findReader } from './formats.js'
import { classColumn, type LabelColumn } from './labelColumn.js'
import type { Cell, Placed, RowFormat } from './rows.js'
import { exampleStore, type StoredExample } from './compactExamples.js'
import type { RequestedColumn } from './table.js'
import { checkSize } from './textFile.js'

export type TextColumns = {
  /** Column of the text; `text` by default. */
  readonly text?: string
  /** Column of the second text of a pair. */
  readonly textPair?: string
  /** Separates the cells of a .csv or .tsv file: one character, or `tab`. A tab (.tsv), or what the header shows (.csv) by default. */
  readonly delimiter?: string
  /** Whether cells of a .tsv file may be quoted, like those of a .csv file. */
  readonly quote?: boolean
  /** The encoding of a file of text, such as `windows-1252`; UTF-8 by default. */
  readonly encoding?: string
}

export type DelimitedOptions = TextColumns &
  Placed & {
    /** Column of the label; `label` by default. */
    readonly label?: string
    /** How the label column is read; one class per row by default. */
    readonly labelColumn?: LabelColumn
    /** The classes of the training data, which an evaluation file must keep to. By default those that occur, sorted. */
    readonly labelNames?: readonly string[]
    /** Labels are texts, whatever they look like: 1.10 and 1.1 are two classes, and so are 1 and 1.0. */
    readonly labelsAsText?: boolean
    /** `case`: labels that differ only in case or blanks are one class, with the name that occurs most often. */
    readonly mergeLabels?: string
    /** Given: the numbers of soft labels are logits, and not probabilities. */
    readonly teacherTemperature?: number | string
    /** Skip rows without text or label and list them, instead of refusing the file. */
    readonly skipMissing?: boolean
  }

/** Whether `task` names a file of the user's own rather than a known task. */
export const looksLikeFile = (task: string): boolean => fileExtension(task) !== '' || task.includes('/') || task.includes('\\')

/** What a caller learns of a file beside its cells. */
export type Observers = Pick<RowFormat, 'note' | 'whole'>

/** Reads texts without labels. @throws InputError */
export const readTexts = async (
  file: string,
  options: TextColumns & Placed,
  take: (row: number, text: string | null, textPair: string | null | undefined) => void,
  observers?: Observers,
): Promise<void> => readTextRows(file, options, [], (row, [text = null, textPair]) => take(row, text, textPair), observers)

/**
 * The examples of `file`. Blanks around a label do not count.
 * @throws InputError for the first error: a missing column, a row with the wrong number of columns, an empty text, or a wrong label. A label is
 * wrong if it is unknown or of another kind. The message about a missing column lists those present.
 */
export const readDelimited = async (file: string, options: DelimitedOptions = {}): Promise<Dataset> => {
  const { labelColumn = classColumn, skipMissing = false, labelsAsText = false, mergeLabels, teacherTemperature } = options
  const { separator, named, soft } = labelColumn
  if (mergeLabels !== undefined && mergeLabels !== 'case') throw inputError(option('mergeLabels'), 'case', quoted(mergeLabels))
  const forms = { asText: labelsAsText, mergesCase: mergeLabels === 'case', areLogits: teacherTemperature !== undefined }
  const labels = labelColumn.open(file, options.labelNames, forms)
  const store = exampleStore()
  const examples: StoredExample[] = []
  const skipped: SkippedRow[] = []
  const notes: string[] = []
  const column: RequestedColumn = {
    ...{ name: options.label ?? 'label', option: 'label' },
    ...(separator === undefined ? {} : { list: separator }),
    ...(named === undefined ? {} : { named }),
    ...(soft === undefined || labelsAsText ? {} : { soft }),
  }
  const takeRow = (row: number, cells: readonly Cell[]): void => {
    const missing = missingCell(cells, options, separator !== undefined)
    if (missing === null) {
      const [label = null, text, textPair] = cells
      examples.push(store({ text: text ?? '', ...(textPair == null ? {} : { textPair }), ...labels.read(label?.trim() ?? '', row), row }))
      return
    }
    const { what, cell } = missing
    if (!skipMissing)
      throw inputError(atRow(file, row), words`${what} (or ${option('skipMissing', true)})`, cell === null ? 'null' : 'an empty one')
    skipped.push({ row, reason: `no ${what.slice(2)}` })
  }
  await readTextRows(file, options, [column], takeRow, { note: (line) => notes.push(line) })
  const [first] = skipped
  if (examples.length === 0 && first !== undefined)
    throw inputError(file, 'at least one row of data', `none: ${skipped.length} lack a text or a label, the first is row ${first.row}`)
  const labelNames = labels.finish(examples)
  const mergedLabels = labels.merged?.() ?? []
  const softRows = examples.filter(({ shares }) => shares !== undefined).length
  if (softRows > 0)
    notes.push(
      `${file}: ${softRows} of ${examples.length} rows have a probability for each class; their most probable class counts in scores`,
    )
  for (const [name = '', ...others] of labels.spellings?.() ?? [])
    notes.push(`${file}: the class ${quoted(name, 40)} includes the rows labeled ${alternatives(others.map((one) => quoted(one, 40)))}`)
  return {
    ...{ source: file, examples, labelNames, skipped },
    ...(notes.length === 0 ? {} : { notes }),
    ...(mergedLabels.length === 0 ? {} : { mergedLabels }),
  }
}

/** The first cell that has nothing where a text or a label is needed. */
const missingCell = (
  [label = null, text = null, textPair]: readonly Cell[],
  { text: textColumn = 'text', textPair: pairColumn = '' }: TextColumns,
  labelMayBeEmpty: boolean,
): { readonly what: string; readonly cell: Cell } | null => {
  if (isMissing(text)) return { what: `a text in column ${quoted(textColumn)}`, cell: text }
  if (textPair !== undefined && isMissing(textPair)) return { what: `a text in column ${quoted(pairColumn)}`, cell: textPair }
  return !labelMayBeEmpty && isMissing(label) ? { what: 'a label', cell: label } : null
}

const isMissing = (cell: Cell): boolean => cell === null || cell.trim() === ''

/** The requested columns of each row: those of `before`, then the texts. */
export const readTextRows = async (
  file: string,
  { text, textPair, delimiter, quote, encoding, storage }: TextColumns & Placed,
  before: readonly RequestedColumn[],
  take: (row: number, cells: readonly Cell[]) => void,
  observers: Observers = {},
): Promise<void> => {
  const requested = [
    ...before,
    { name: text ?? 'text', option: 'text' },
    ...(textPair === undefined ? [] : [{ name: textPair, option: 'textPair' }]),
  ]
  const twice = requested.find(({ name }, index) => requested.findIndex((other) => other.name === name) !== index)
  if (twice !== undefined) throw inputError(file, 'different columns for text, text pair and label', `${quoted(twice.name)} named twice`)
  const format: RowFormat = {
    ...(delimiter === undefined ? {} : { delimiter: parseDelimiter(delimiter) }),
    ...(quote === undefined ? {} : { quote }),
    ...(encoding === undefined ? {} : { encoding: parseEncoding(encoding) }),
    ...(storage === undefined ? {} : { storage }),
    ...observers,
  }
  const read = findReader(file, format)
  await checkSize(file, storage)
  await read(file, requested, format, take).catch(async (thrown: unknown) => {
    throw thrown instanceof MissingColumn ? thrown.proposed(await columnsByContent(file, requested, read, format)) : thrown
  })
}
