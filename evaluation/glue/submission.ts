/** Predictions for GLUE's test files in the form of gluebenchmark.com: a zip with one file per task, columns `index` and `prediction`. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { zipSync } from 'fflate'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { isHubAddress } from '../../accelerated/checkpoints/hub/hubRules.js'
import { resolveDataset } from '../../accelerated/checkpoints/hub/hub.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { readTexts } from '../../finetuning/data/delimited.js'
import { GLUE_TASKS, type GlueName } from '../../finetuning/data/glueTasks.js'
import { glueTests, glueTestsOnHub, submissionNames, type GlueTest } from '../../finetuning/data/glueTestSet.js'
import { openTrainedAdapter, type Text } from '../../finetuning/use/openModel.js'
import { cellFolder } from '../jobs/jobFolder.js'
import { findScore, type Reported } from './sweep.js'
import type { EndedCell } from './sweepTable.js'

export type Submission = {
  readonly file: string
  readonly row: string
  /** the run that predicts each task: the seed with the best score on dev */
  readonly runs: Readonly<Record<string, string>>
  /** files of a full submission that are not in the zip */
  readonly missing: readonly string[]
}

export type SubmissionOptions = {
  readonly ended: readonly EndedCell[]
  readonly row: string
  readonly reported: Reported
  /** the sweep's folder */
  readonly output: string
  /** GLUE, as --data names it */
  readonly data: string
  readonly file: string
  readonly onMessage: (text: string) => void
}

/** The test files of tasks; those of a hub dataset are downloaded. @throws InputError if no task has one */
export const loadTests = async (data: string, tasks: readonly GlueName[]): Promise<ReadonlyMap<GlueName, readonly GlueTest[]>> => {
  const tests = new Map<GlueName, readonly GlueTest[]>()
  for (const task of tasks) tests.set(task, glueTests(task, isHubAddress(data) ? await resolveDataset(data, glueTestsOnHub(task)) : data))
  if ([...tests.values()].every((files) => files.length === 0))
    throw inputError('--submission', `GLUE's test files in ${data}`, `none for ${tasks.join(', ')}`)
  return tests
}

/** Writes the zip with the predictions of one row's runs. @throws InputError if the row has no finished run, or no task has a test file */
export const writeSubmission = async (options: SubmissionOptions): Promise<Submission> => {
  const { ended, row, reported, data, file, onMessage } = options
  const files: Record<string, Uint8Array> = {}
  const runs: Record<string, string> = {}
  for (const [task, tests] of await loadTests(data, [...new Set(ended.map(({ cell }) => cell.task))])) {
    const best = bestRun(ended, row, task, reported)
    if (best === null || tests.length === 0) continue
    runs[task] = best.cell.id
    for (const test of tests) {
      onMessage(`predicting ${test.name} with ${best.cell.id}`)
      files[test.name] = Buffer.from(await predictions(options, best, test))
    }
  }
  if (Object.keys(files).length === 0) throw inputError('--submission', 'a row with finished runs', `none of ${row}`)
  await writeFileAtomically(file, zipSync(files))
  return { file, row, runs, missing: submissionNames.filter((name) => files[name] === undefined) }
}

/** The run of this row and task with the highest score, the first of equal ones; null if none is done. */
export const bestRun = (ended: readonly EndedCell[], row: string, task: GlueName, reported: Reported): EndedCell | null => {
  let best: { readonly run: EndedCell; readonly score: number } | null = null
  for (const run of ended) {
    if (run.cell.row !== row || run.cell.task !== task || run.outcome.kind !== 'done') continue
    const score = findScore(task, reported, run.outcome.result)
    if (best === null || score > best.score) best = { run, score }
  }
  return best?.run ?? null
}

/** The text of one file of the zip. */
const predictions = async ({ output }: SubmissionOptions, { cell }: EndedCell, test: GlueTest): Promise<string> => {
  const { model, settings } = cell.options
  const { device, precision, threads, maxLength, batchSize } = settings
  const folder = join(cellFolder(output, cell), 'adapter')
  if (!existsSync(folder))
    throw inputError('--submission', `the adapter of ${cell.id} in ${folder}`, 'none (a worker with --local-root keeps its adapters)')
  const texts = await testTexts(test)
  const adapter = await openTrainedAdapter({ model, adapter: folder, device, precision, threads, maxLength, batchSize })
  try {
    const lines = (await adapter.predict(texts)).map((logits, i) => `${i}\t${formatAnswer(cell.task, logits)}\n`)
    return `index\tprediction\n${lines.join('')}`
  } finally {
    await adapter.release()
  }
}

const testTexts = async ({ files, columns }: GlueTest): Promise<readonly Text[]> => {
  const texts: Text[] = []
  for (const file of files)
    await readTexts(file, columns, (row, text, textPair) => {
      if (text === null) throw inputError(`${file}, row ${row}`, 'a text', 'none')
      texts.push({ text, textPair: textPair ?? undefined })
    })
  return texts
}

/** A label as GLUE writes it, or a similarity from 0 to 5. */
export const formatAnswer = (task: GlueName, logits: readonly number[]): string => {
  const { labels } = GLUE_TASKS[task]
  return labels === null
    ? Math.min(5, Math.max(0, logits[0] ?? NaN)).toFixed(3)
    : (labels[logits.indexOf(Math.max(...logits))]?.written ?? '')
}
