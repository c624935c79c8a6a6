/** A file of the user's own: .tsv (never quoted), .csv (RFC 4180) or .jsonl, with named columns. */
import { extname } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { type Mistake, mistake, quoted } from '../../accelerated/files/mistake.js'
import { commaSeparated } from './commaSeparated.js'
import type { Dataset, Example, ProblemType } from './dataset.js'
import { jsonLines } from './jsonLines.js'
import { classesOf, classesOfSets, classIndex, classIndices, labelSeparator, scoreOf } from './labels.js'
import { pickNamed, type Table, type TableRow, type WantedColumn } from './table.js'
import { tabSeparated } from './tabSeparated.js'
import { readUtf8 } from './textFile.js'
import { atRow, oneOf } from './wording.js'

export type DelimitedOptions = {
  /** Column of the text; `text` if not given. */
  readonly text?: string
  /** Column of the second text of a pair; without it there is none. */
  readonly textPair?: string
  /** Column of the label; `label` if not given. */
  readonly label?: string
  /** `classification` if not given. */
  readonly problem?: ProblemType
  /** The classes of the training data, which an evaluation file must keep to. Without them: those that occur, sorted. */
  readonly labelNames?: ReadonlyArray<string>
}

const ENDINGS = ['.tsv', '.csv', '.jsonl']

/** Whether `task` names a file of the user's own rather than a known task. */
export const looksLikeFile = (task: string): boolean => extname(task) !== '' || task.includes('/') || task.includes('\\')

/**
 * The examples of `file`, or the first mistake in it: a column that is missing (those found are listed), a row with the wrong
 * number of columns, an empty text, a label that is unknown or of the wrong kind. Blanks around a label do not count.
 */
export const readDelimited = (file: string, options: DelimitedOptions = {}): E.Either<Mistake, Dataset> =>
  pipe(
    wantedColumns(file, options),
    E.chain((wanted) => readTable(file, wanted)),
    E.chain(({ rows, skipped }) =>
      pipe(
        readLabels(file, options, rows),
        E.chain(({ labelNames, labels }) =>
          pipe(
            rows,
            E.traverseArrayWithIndex((index, row) => exampleOf(file, options, row, labels[index] ?? { label: NaN })),
            E.map((examples) => ({ source: file, examples, labelNames, skipped })),
          ),
        ),
      ),
    ),
  )

const wantedColumns = (
  file: string,
  { text, textPair, label, problem }: DelimitedOptions,
): E.Either<Mistake, ReadonlyArray<WantedColumn>> => {
  const wanted = [
    { name: label ?? 'label', flag: '--label', ...(problem === 'multi-label' ? { list: labelSeparator } : {}) },
    { name: text ?? 'text', flag: '--text' },
    ...(textPair === undefined ? [] : [{ name: textPair, flag: '--text-pair' }]),
  ]
  const twice = wanted.find(({ name }, index) => wanted.findIndex((other) => other.name === name) !== index)
  return twice === undefined
    ? E.right(wanted)
    : E.left(mistake(file, 'different columns for text, text pair and label', `${quoted(twice.name)} named twice`))
}

const readTable = (file: string, wanted: ReadonlyArray<WantedColumn>): E.Either<Mistake, Table> => {
  switch (extname(file).toLowerCase()) {
    case '.tsv':
      return pipe(readUtf8(file), E.map(tabSeparated), E.chain(pickNamed(file, wanted, 'refuse')))
    case '.csv':
      return pipe(readUtf8(file), E.chain(commaSeparated(file)), E.chain(pickNamed(file, wanted, 'refuse')))
    case '.jsonl':
      return pipe(readUtf8(file), E.chain(jsonLines(file, wanted)))
    default:
      return E.left(
        mistake(file, `a file whose name ends in ${oneOf(ENDINGS)}`, extname(file) === '' ? 'no ending' : quoted(extname(file))),
      )
  }
}

type Label = Pick<Example, 'label' | 'labels'>
type Labels = { readonly labelNames: ReadonlyArray<string> | null; readonly labels: ReadonlyArray<Label> }

const readLabels = (file: string, { problem, labelNames }: DelimitedOptions, rows: ReadonlyArray<TableRow>): E.Either<Mistake, Labels> => {
  const written = rows.map(({ row, cells }) => ({ row, label: (cells[0] ?? '').trim() }))
  if (problem === 'regression') {
    return pipe(
      written,
      E.traverseArray(scoreOf(file)),
      E.map((labels) => ({ labelNames: null, labels: labels.map((label) => ({ label })) })),
    )
  }
  if (problem === 'multi-label') {
    return pipe(
      labelNames === undefined ? classesOfSets(file, written) : E.right(labelNames),
      E.chain((names) =>
        pipe(
          written,
          E.traverseArray(classIndices(file, names)),
          E.map((sets) => ({ labelNames: names, labels: sets.map((labels) => ({ label: 0, labels })) })),
        ),
      ),
    )
  }
  return pipe(
    labelNames === undefined ? classesOf(file, written) : E.right(labelNames),
    E.chain((names) =>
      pipe(
        written,
        E.traverseArray(classIndex(file, names)),
        E.map((labels) => ({ labelNames: names, labels: labels.map((label) => ({ label })) })),
      ),
    ),
  )
}

const exampleOf = (file: string, options: DelimitedOptions, { row, cells }: TableRow, label: Label): E.Either<Mistake, Example> => {
  const [, text = '', textPair] = cells
  const empty = text.trim() === '' ? (options.text ?? 'text') : textPair?.trim() === '' ? (options.textPair ?? '') : null
  if (empty !== null) return E.left(mistake(atRow(file, row), `a text in column ${quoted(empty)}`, 'an empty one'))
  return E.right(textPair === undefined ? { text, ...label, row } : { text, textPair, ...label, row })
}
