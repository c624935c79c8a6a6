/** GLUE's official files: which file of the user's folder it is, and its rows as examples. */
import { existsSync, statSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { alternatives } from '../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { decimal, type Dataset, type Example, atRow } from './dataset.js'
import { GLUE_TASKS, type GlueColumns, type GlueName } from './glueTasks.js'
import { pickByName, pickPlaces, type CellRecord, type RaggedRows, type Table, type TableRow } from './table.js'
import { checkUtf8, lines, markLength, MAXIMUM_BYTES, tooLarge } from './textFile.js'

/** `second`: another dev file, where a task has one. */
export type GlueSplit = 'train' | 'dev' | 'second'

const HIGHEST_SCORE = 5 // STS-B's scores run from 0 to 5

/**
 * The path of a task's file. `folder` holds the file, or is the parent of GLUE's folders. The task's own folder wins, so that a stray train.tsv
 * beside it is not taken for the task's. @throws InputError if the folder or the file is missing
 */
export const glueFile = (name: GlueName, split: GlueSplit, folder: string): string => {
  const path = findGlueFile(name, split, folder)
  if (path === null) throw inputError(folder, `${fileName(name, split)} of ${name} here or in ${GLUE_TASKS[name].folder}/`, 'neither')
  return path
}

/** As `glueFile`, or null if the folder does not have the file. @throws InputError if the folder is missing */
export const findGlueFile = (name: GlueName, split: GlueSplit, folder: string): string | null => {
  const task = GLUE_TASKS[name]
  if (!existsSync(folder)) throw inputError(folder, `a folder with GLUE's ${task.folder}`, 'none there')
  if (!statSync(folder).isDirectory()) throw inputError(folder, `a folder with GLUE's ${task.folder}`, 'a file')
  const taskFolder = existsSync(join(folder, task.folder)) ? join(folder, task.folder) : folder
  const path = join(taskFolder, fileName(name, split))
  return existsSync(path) ? path : null
}

const fileName = (name: GlueName, split: GlueSplit): string => {
  const { trainFile, devFile, second } = GLUE_TASKS[name]
  return { train: trainFile, dev: devFile, second: second?.devFile ?? '' }[split]
}

/**
 * The examples of one official file: no quoting, LF or CRLF, with or without byte-order mark and final newline. QQP's train file has a few rows
 * with the wrong number of columns. They are skipped and listed in `skipped`, and Hugging Face leaves them out too. In every other task, this
 * is an error. SST-2's texts lose the blanks before each tab of train and dev, but not of test. Texts may be empty.
 * @throws InputError for the first thing wrong in the file
 */
export const readGlue = (name: GlueName, file: string): Dataset => {
  const pickColumns = pick(file, GLUE_TASKS[name].columns, name === 'qqp' ? 'skip' : 'refuse')
  const { rows, skipped } = pickColumns(tabSeparated(readLocalText(file)))
  return { source: file, examples: rows.map(makeExampleReader(name, file)), labelNames: glueLabelNames(name), skipped }
}

/** The classes of a task in Hugging Face's order; null for STS-B. */
export const glueLabelNames = (name: GlueName): readonly string[] | null => GLUE_TASKS[name].labels?.map((label) => label.name) ?? null

/** Label, text and, of a pair, the second text, in that order. */
const pick =
  (file: string, columns: GlueColumns, ragged: RaggedRows) =>
  (records: Iterable<CellRecord>): Table => {
    if (!columns.header) return pickPlaces(file, columns.width, [columns.label, columns.text], ragged)(records)
    const requested = [columns.label, columns.text, ...(columns.textPair === undefined ? [] : [columns.textPair])]
    return pickByName(
      file,
      requested.map((column) => ({ name: column })),
      ragged,
    )(records)
  }

const makeExampleReader = (name: GlueName, file: string) => {
  const readLabel = GLUE_TASKS[name].labels === null ? scoreReader(name, file) : classReader(name, file)
  return ({ row, cells }: TableRow): Example => {
    const [written = '', sentence = '', textPair] = cells
    const text = name === 'sst2' ? sentence.trimEnd() : sentence
    const label = readLabel(written, row)
    return textPair === undefined ? { text, label, row } : { text, textPair, label, row }
  }
}

const classReader = (name: GlueName, file: string) => {
  const labels = (GLUE_TASKS[name].labels ?? []).map((label) => label.written)
  return (written: string, row: number): number => {
    const index = labels.indexOf(written)
    if (index < 0) throw inputError(atRow(file, row), `a label of ${name} (${alternatives(labels)})`, quoted(written))
    return index
  }
}

const scoreReader =
  (name: GlueName, file: string) =>
  (written: string, row: number): number => {
    const score = decimal(written)
    if (score === null || score < 0 || score > HIGHEST_SCORE)
      throw inputError(atRow(file, row), `a score of ${name} (a number from 0 to ${HIGHEST_SCORE})`, quoted(written))
    return score
  }

// Reads a text file synchronously, for the callers of GLUE that cannot await.
/** The bytes of a UTF-8 file without byte-order mark. @throws InputError as `readUtf8` */
const readLocalText = (file: string): Buffer => {
  const stat = readable(file, () => statSync(file, { throwIfNoEntry: false }))
  if (stat === undefined) throw inputError(file, 'a file', 'none there')
  if (stat.isDirectory()) throw inputError(file, 'a file', 'a folder')
  if (!stat.isFile()) throw inputError(file, 'a regular file', 'a device or a pipe')
  if (stat.size > MAXIMUM_BYTES) throw tooLarge(file, stat.size)
  const read = readable(file, () => readFileSync(file))
  const bytes = checkUtf8(file, read.subarray(markLength(file, read, false)), false)
  if (lines(bytes).next().done === true) throw inputError(file, 'at least one row', 'an empty file')
  return bytes
}

/** @throws InputError with the system's code if `read` throws */
const readable = <T>(file: string, read: () => T): T => {
  try {
    return read()
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : String(error)
    throw inputError(file, 'a file that can be read', `an error of the system (${code})`)
  }
}

/** GLUE's tab-separated values: a tab ends a cell, and a quotation mark is an ordinary character. */
const TAB = 0x09

/** The records of a UTF-8 text. In UTF-8 a tab byte is never part of another character, so bytes are split before they are decoded. */
function* tabSeparated(bytes: Buffer): Generator<CellRecord> {
  for (const { row, start, end } of lines(bytes)) {
    const starts = [start]
    for (let tab = bytes.indexOf(TAB, start); tab !== -1 && tab < end; tab = bytes.indexOf(TAB, tab + 1)) starts.push(tab + 1)
    const cell = (column: number): string => {
      const next = starts[column + 1]
      return bytes.toString('utf8', starts[column], next === undefined ? end : next - 1)
    }
    yield { row, width: starts.length, cell }
  }
}
