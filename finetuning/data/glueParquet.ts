/** Reads GLUE from the hub's dataset nyu-mll/glue: one folder per task with Parquet files, such as `mrpc/train-00000-of-00001.parquet`. */
import { existsSync, readdirSync, statSync } from 'node:fs'
import { basename, join } from 'node:path'
import type { WantedFiles } from '../../accelerated/checkpoints/hub/hub.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { decimal, type Dataset, type Example, atRow } from './dataset.js'
import { glueLabelNames, type GlueSplit } from './glue.js'
import { GLUE_TASKS, type GlueName } from './glueTasks.js'
import { parquetRows } from './parquetRows.js'
import { exampleStore } from './compactExamples.js'

/** The text columns of each task. */
const texts: Readonly<Record<GlueName, readonly [string, string?]>> = {
  cola: ['sentence'],
  sst2: ['sentence'],
  mrpc: ['sentence1', 'sentence2'],
  stsb: ['sentence1', 'sentence2'],
  rte: ['sentence1', 'sentence2'],
  wnli: ['sentence1', 'sentence2'],
  qnli: ['question', 'sentence'],
  qqp: ['question1', 'question2'],
  mnli: ['premise', 'hypothesis'],
}

const splitName = (name: GlueName, split: GlueSplit): string =>
  ({ train: 'train', dev: name === 'mnli' ? 'validation_matched' : 'validation', second: GLUE_TASKS[name].second?.split ?? '' })[split]

/** The files of a split in order; empty if the folder has none. @param folder the task's, or its parent @throws InputError if parts are missing */
export const glueParquetFiles = (name: GlueName, split: GlueSplit, folder: string): readonly string[] => {
  const taskFolder = [join(folder, name), folder].find(isFolder)
  return taskFolder === undefined ? [] : parquetParts(taskFolder, splitName(name, split))
}

/** The parts of a split by its name on the hub; empty if the folder does not exist. @throws InputError if some are missing */
const parquetParts = (folder: string, split: string): readonly string[] => {
  if (!isFolder(folder)) return []
  const partName = new RegExp(`^${split}-(\\d{5})-of-(\\d{5})\\.parquet$`)
  const files = readdirSync(folder)
    .filter((file) => partName.test(file))
    .sort()
  const [, , parts = '0'] = partName.exec(files[0] ?? '') ?? []
  if (files.length !== Number(parts))
    throw inputError(folder, `${Number(parts)} parts of ${split}, as ${files[0]} says`, String(files.length))
  return files.map((file) => join(folder, file))
}

const isFolder = (place: string): boolean => existsSync(place) && statSync(place).isDirectory()

/** The files of a task in nyu-mll/glue, without the test files, which have no labels. */
export const glueOnHub = (name: GlueName): WantedFiles => {
  const splits: readonly GlueSplit[] = ['train', 'dev', ...(GLUE_TASKS[name].second === undefined ? [] : (['second'] as const))]
  const names = splits.map((split) => splitName(name, split)).join('|')
  const form = new RegExp(`^${name}/(${names})-\\d{5}-of-\\d{5}\\.parquet$`)
  const isThere = (folder: string, split: GlueSplit): boolean => {
    try {
      return glueParquetFiles(name, split, folder).length > 0
    } catch {
      return false // parts are missing
    }
  }
  return { wants: (path) => form.test(path), isIn: (folder) => splits.every((split) => isThere(folder, split)) }
}

const highestScore = 5

/** Reads examples. Labels are class indices in our order; those of STS-B are scores from 0 to 5. @throws InputError */
export const readGlueParquet = async (name: GlueName, files: readonly string[]): Promise<Dataset> => {
  const store = exampleStore()
  const examples: Example[] = []
  const [text, second] = texts[name]
  const labels = glueLabelNames(name)
  const columns = [{ name: 'label' }, { name: text }, ...(second === undefined ? [] : [{ name: second }])]
  for (const file of files)
    await parquetRows(file, columns, {}, (row, [written, first, other]) => {
      const label = decimal(written ?? '')
      const isValid = label !== null && (labels === null ? label >= 0 && label <= highestScore : labels[label] !== undefined)
      const expected =
        labels === null ? `a score of ${name} (a number from 0 to ${highestScore})` : `a label of ${name} (0 to ${labels.length - 1})`
      if (!isValid)
        throw inputError(
          atRow(file, row),
          expected,
          written === '-1' ? '-1, which stands for none (a test file?)' : quoted(written ?? 'null'),
        )
      if (first == null || (second !== undefined && other == null)) throw inputError(atRow(file, row), 'a text', 'null')
      examples.push(store({ text: first, ...(second === undefined ? {} : { textPair: other ?? '' }), label, row: examples.length + 1 }))
    })
  const [source = ''] = files
  return { source: files.length > 1 ? `${source} and ${files.length - 1} parts more` : source, examples, labelNames: labels, skipped: [] }
}

/** Whether a file is Parquet, by its name. */
export const isParquet = (file: string): boolean => basename(file).endsWith('.parquet')
