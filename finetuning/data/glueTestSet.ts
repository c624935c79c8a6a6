/** GLUE's test files, which have no labels: the official ones or the hub's Parquet, and the names of their predictions in a submission. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { WantedFiles } from '../../accelerated/checkpoints/hub/hub.js'
import type { TextColumns } from './delimited.js'
import { parquetColumns, parquetParts } from './glueParquet.js'
import { GLUE_TASKS, type GlueName } from './glueTasks.js'

export type GlueTest = {
  /** the file of its predictions in a submission */
  readonly name: string
  /** the parts in order */
  readonly files: readonly string[]
  readonly columns: TextColumns
}

type TestSet = {
  readonly name: string
  /** the official folder, beside those of the tasks, and the file in it */
  readonly official: readonly [folder: string, file: string]
  /** the hub's folder and split */
  readonly hub: readonly [folder: string, split: string]
}

const alone = (task: GlueName): readonly TestSet[] => {
  const { folder } = GLUE_TASKS[task]
  return [{ name: `${folder}.tsv`, official: [folder, 'test.tsv'], hub: [task, 'test'] }]
}

/** MNLI's model also answers the diagnostic set, AX, which the official script stores as diagnostic/diagnostic.tsv. */
const testSets: Readonly<Record<GlueName, readonly TestSet[]>> = {
  cola: alone('cola'),
  sst2: alone('sst2'),
  mrpc: alone('mrpc'),
  stsb: alone('stsb'),
  qqp: alone('qqp'),
  qnli: alone('qnli'),
  rte: alone('rte'),
  wnli: alone('wnli'),
  mnli: [
    { name: 'MNLI-m.tsv', official: ['MNLI', 'test_matched.tsv'], hub: ['mnli', 'test_matched'] },
    { name: 'MNLI-mm.tsv', official: ['MNLI', 'test_mismatched.tsv'], hub: ['mnli', 'test_mismatched'] },
    { name: 'AX.tsv', official: ['diagnostic', 'diagnostic.tsv'], hub: ['ax', 'test'] },
  ],
}

/** All files of a submission. */
export const submissionNames: readonly string[] = Object.values(testSets).flatMap((sets) => sets.map(({ name }) => name))

/** The test files that exist. @param data the parent of the tasks' folders, or the task's own @throws InputError if Parquet parts are missing */
export const glueTests = (task: GlueName, data: string): readonly GlueTest[] =>
  testSets[task].flatMap(({ name, official, hub: [folder, split] }): readonly GlueTest[] => {
    const within = (subfolder: string): string => (existsSync(join(data, subfolder)) ? join(data, subfolder) : data)
    const parts = parquetParts(within(folder), split)
    if (parts.length > 0) return [{ name, files: parts, columns: parquetColumns(task) }]
    const file = join(within(official[0]), official[1])
    return existsSync(file) ? [{ name, files: [file], columns: officialColumns(task) }] : []
  })

/** The columns of the train file. CoLA's train file has no header, but its test file has one. */
const officialColumns = (task: GlueName): TextColumns => {
  const { columns } = GLUE_TASKS[task]
  if (!columns.header) return { text: 'sentence' }
  const { text, textPair } = columns
  return { text, ...(textPair === undefined ? {} : { textPair }) }
}

/** The test files of a task in nyu-mll/glue. */
export const glueTestsOnHub = (task: GlueName): WantedFiles => {
  const forms = testSets[task].map(({ hub: [folder, split] }) => new RegExp(`^${folder}/${split}-\\d{5}-of-\\d{5}\\.parquet$`))
  const areIn = (folder: string): boolean => {
    try {
      return glueTests(task, folder).length === testSets[task].length
    } catch {
      return false // parts are missing
    }
  }
  return { wants: (path) => forms.some((form) => form.test(path)), isIn: areIn }
}
