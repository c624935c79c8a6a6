/** GLUE's official files: which file of the user's folder it is, and its rows as examples. */
import { existsSync, statSync } from 'node:fs'
import { join } from 'node:path'
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { type InputError, inputError, quoted } from '../../accelerated/errors/inputError.js'
import { decimal, type Dataset, type Example } from './dataset.js'
import { GLUE_TASKS, type GlueColumns, type GlueName } from './glueTasks.js'
import { pickNamed, pickPlaces, type CellRecord, type RaggedRows, type Table, type TableRow } from './table.js'
import { tabSeparated } from './tabSeparated.js'
import { readUtf8 } from './textFile.js'
import { atRow, oneOf } from './errorText.js'

/** `second`: another dev file, where a task has one. */
export type GlueSplit = 'train' | 'dev' | 'second'

const HIGHEST_SCORE = 5 // STS-B's scores run from 0 to 5

/**
 * The path of a task's file. `folder` is the one that holds the file, or its parent with GLUE's folder names (which wins, so
 * that a stray train.tsv beside them is not taken for the task's).
 */
export const glueFile = (name: GlueName, split: GlueSplit, folder: string): E.Either<InputError, string> => {
  const task = GLUE_TASKS[name]
  const file = { train: task.trainFile, dev: task.devFile, second: task.second?.devFile ?? '' }[split]
  if (!existsSync(folder)) return E.left(inputError(folder, `a folder with GLUE's ${task.folder}`, 'none there'))
  if (!statSync(folder).isDirectory()) return E.left(inputError(folder, `a folder with GLUE's ${task.folder}`, 'a file'))
  const own = existsSync(join(folder, task.folder)) ? join(folder, task.folder) : folder
  return existsSync(join(own, file))
    ? E.right(join(own, file))
    : E.left(inputError(folder, `${file} of ${name} here or in ${task.folder}/`, 'neither'))
}

/**
 * The examples of one official file: no quoting, LF or CRLF, with or without byte-order mark and final newline. Rows of QQP
 * with the wrong number of columns, of which the official train file has a few, are skipped and listed in `skipped`, as
 * Hugging Face leaves them out too; in every other task such a row is a mistake. SST-2's texts lose the blanks that stand
 * before each tab of train and dev, but not of test. Texts are otherwise as in the file, and may be empty.
 */
export const readGlue = (name: GlueName, file: string): E.Either<InputError, Dataset> =>
  pipe(
    readUtf8(file),
    E.map(tabSeparated),
    E.chain(pick(file, GLUE_TASKS[name].columns, name === 'qqp' ? 'skip' : 'refuse')),
    E.chain(({ rows, skipped }) =>
      pipe(
        rows,
        E.traverseArray(exampleOf(name, file)),
        E.map((examples) => ({ source: file, examples, labelNames: labelNamesOf(name), skipped })),
      ),
    ),
  )

/** The classes of a task in Hugging Face's order; null for STS-B. */
export const labelNamesOf = (name: GlueName): ReadonlyArray<string> | null => GLUE_TASKS[name].labels?.map((label) => label.name) ?? null

/** Label, text and, of a pair, the second text, in that order. */
const pick =
  (file: string, columns: GlueColumns, ragged: RaggedRows) =>
  (records: Iterable<CellRecord>): E.Either<InputError, Table> => {
    if (!columns.header) return pickPlaces(file, columns.width, [columns.label, columns.text], ragged)(records)
    const wanted = [columns.label, columns.text, ...(columns.textPair === undefined ? [] : [columns.textPair])]
    return pickNamed(
      file,
      wanted.map((column) => ({ name: column })),
      ragged,
    )(records)
  }

const exampleOf = (name: GlueName, file: string) => {
  const readLabel = GLUE_TASKS[name].labels === null ? scoreReader(name, file) : classReader(name, file)
  return ({ row, cells }: TableRow): E.Either<InputError, Example> => {
    const [written = '', sentence = '', textPair] = cells
    const text = name === 'sst2' ? sentence.trimEnd() : sentence
    return pipe(
      readLabel(written, row),
      E.map((label) => (textPair === undefined ? { text, label, row } : { text, textPair, label, row })),
    )
  }
}

const classReader = (name: GlueName, file: string) => {
  const written = (GLUE_TASKS[name].labels ?? []).map((label) => label.written)
  return (found: string, row: number): E.Either<InputError, number> => {
    const index = written.indexOf(found)
    return index >= 0 ? E.right(index) : E.left(inputError(atRow(file, row), `a label of ${name} (${oneOf(written)})`, quoted(found)))
  }
}

const scoreReader =
  (name: GlueName, file: string) =>
  (found: string, row: number): E.Either<InputError, number> => {
    const score = decimal(found)
    return score !== null && score >= 0 && score <= HIGHEST_SCORE
      ? E.right(score)
      : E.left(inputError(atRow(file, row), `a score of ${name} (a number from 0 to ${HIGHEST_SCORE})`, quoted(found)))
  }
