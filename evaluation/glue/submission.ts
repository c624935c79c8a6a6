/** Predictions of GLUE's test files in the form that gluebenchmark.com takes: a zip with a file a task, `index` and `prediction`. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { zipSync } from 'fflate'
import { writeFileAtomically } from '../../accelerated/storage/atomicFile.js'
import { isHubAddress, resolveDataset } from '../../accelerated/checkpoints/hub/hubDataset.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { readTexts } from '../../finetuning/data/delimited.js'
import { GLUE_TASKS, type GlueName } from '../../finetuning/data/glueTasks.js'
import { glueTests, glueTestsOnHub, submissionNames, type GlueTest } from '../../finetuning/data/glueTestSet.js'
import { openTrainedAdapter, type Text } from '../../finetuning/adapters/trainedAdapter.js'
import { cellFolder } from './cellFolder.js'
import { scoreOf, type Reported, type Worked } from './sweepTable.js'

export type Submission = {
  readonly file: string
  readonly row: string
  /** the run that answers each task: the seed that did best on dev */
  readonly runs: Readonly<Record<string, string>>
  /** files of the full set that are not in it */
  readonly missing: ReadonlyArray<string>
}

export type SubmissionOptions = {
  readonly worked: ReadonlyArray<Worked>
  readonly row: string
  readonly reported: Reported
  /** the sweep's folder */
  readonly output: string
  /** GLUE, as --data names it */
  readonly data: string
  readonly file: string
  readonly told: (what: string) => void
}

/** The test files of tasks; of a data set of the hub downloaded. @throws Mistake where there is none at all */
export const testsOf = async (data: string, tasks: ReadonlyArray<GlueName>): Promise<ReadonlyMap<GlueName, ReadonlyArray<GlueTest>>> => {
  const tests = new Map<GlueName, ReadonlyArray<GlueTest>>()
  for (const task of tasks) tests.set(task, glueTests(task, isHubAddress(data) ? await resolveDataset(data, glueTestsOnHub(task)) : data))
  if ([...tests.values()].every((found) => found.length === 0))
    throw inputError('--submission', `GLUE's test files in ${data}`, `none of ${tasks.join(', ')}`)
  return tests
}

/** Writes the zip of one row's runs. @throws Mistake where the row has no run that is done, or there is no test file at all */
export const writeSubmission = async (options: SubmissionOptions): Promise<Submission> => {
  const { worked, row, reported, data, file, told } = options
  const files: Record<string, Uint8Array> = {}
  const runs: Record<string, string> = {}
  for (const [task, tests] of await testsOf(data, [...new Set(worked.map(({ cell }) => cell.task))])) {
    const best = bestOf(worked, row, task, reported)
    if (best === null || tests.length === 0) continue
    runs[task] = best.cell.id
    for (const test of tests) {
      told(`predicting ${test.name} by ${best.cell.id}`)
      files[test.name] = Buffer.from(await predictions(options, best, test))
    }
  }
  if (Object.keys(files).length === 0) throw inputError('--submission', 'a row with finished runs', `none of ${row}`)
  await writeFileAtomically(file, zipSync(files))
  return { file, row, runs, missing: submissionNames.filter((name) => files[name] === undefined) }
}

/** The run of this row and task whose score is highest, the first of equal ones; null where none is done. */
export const bestOf = (worked: ReadonlyArray<Worked>, row: string, task: GlueName, reported: Reported): Worked | null => {
  const scored = worked.flatMap((one) =>
    one.cell.row === row && one.cell.task === task && one.outcome.kind === 'done'
      ? [{ one, score: scoreOf(task, reported, one.outcome.result) }]
      : [],
  )
  return (
    scored.reduce<(typeof scored)[number] | null>((best, next) => (best === null || next.score > best.score ? next : best), null)?.one ??
    null
  )
}

const predictions = async ({ output }: SubmissionOptions, { cell }: Worked, { files, columns }: GlueTest): Promise<string> => {
  const { model, settings } = cell.options
  const { device, precision, threads, maxLength, batchSize } = settings
  const trained = join(cellFolder(output, cell), 'adapter')
  if (!existsSync(trained))
    throw inputError('--submission', `what ${cell.id} has trained, in ${trained}`, 'none (a worker with --local-root keeps its own)')
  const texts: Text[] = []
  for (const file of files)
    await readTexts(file, columns, (row, text, textPair) => {
      if (text === null) throw inputError(`${file}, row ${row}`, 'a text', 'none')
      texts.push({ text, textPair: textPair ?? undefined })
    })
  const adapter = await openTrainedAdapter({ model, adapter: trained, device, precision, threads, maxLength, batchSize })
  try {
    const answers = await adapter.predict(texts)
    const { labels } = GLUE_TASKS[cell.task]
    const answer = (logits: ReadonlyArray<number>): string =>
      labels === null
        ? Math.min(5, Math.max(0, logits[0] ?? NaN)).toFixed(3) // a score lies between 0 and 5
        : (labels[logits.indexOf(Math.max(...logits))]?.written ?? '')
    return `index\tprediction\n${answers.map((logits, i) => `${i}\t${answer(logits)}\n`).join('')}`
  } finally {
    await adapter.release()
  }
}
