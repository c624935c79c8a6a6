/** Predictions of GLUE's test files in the form that gluebenchmark.com takes: a zip with a file a task, `index` and `prediction`. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { zipSync } from 'fflate'
import { writeFileAtomically } from '../../accelerated/files/atomicFile.js'
import { mistake } from '../../accelerated/files/mistake.js'
import { readTexts } from '../data/delimited.js'
import { GLUE_TASKS, type GlueName } from '../data/glueTasks.js'
import { openTrainedAdapter, type Text } from '../adapters/trainedAdapter.js'
import { cellFolder } from './cellFolder.js'
import { scoreOf, type Reported, type Worked } from './sweepTable.js'

/** A file of the zip: its name there, the test file, and whose model answers it. */
type Part = { readonly name: string; readonly file: string; readonly text: string; readonly textPair?: string }

const one = (name: string, text: string, textPair?: string): ReadonlyArray<Part> => [
  { name, file: 'test.tsv', text, ...(textPair === undefined ? {} : { textPair }) },
]

/** The columns of the official test files, which are not those of train: CoLA's has a header here, MNLI has two files, and the diagnostic set is its third. */
const partsOf: Readonly<Record<GlueName, ReadonlyArray<Part>>> = {
  cola: one('CoLA.tsv', 'sentence'),
  sst2: one('SST-2.tsv', 'sentence'),
  mrpc: one('MRPC.tsv', '#1 String', '#2 String'),
  stsb: one('STS-B.tsv', 'sentence1', 'sentence2'),
  qqp: one('QQP.tsv', 'question1', 'question2'),
  qnli: one('QNLI.tsv', 'question', 'sentence'),
  rte: one('RTE.tsv', 'sentence1', 'sentence2'),
  wnli: one('WNLI.tsv', 'sentence1', 'sentence2'),
  mnli: [
    { name: 'MNLI-m.tsv', file: 'test_matched.tsv', text: 'sentence1', textPair: 'sentence2' },
    { name: 'MNLI-mm.tsv', file: 'test_mismatched.tsv', text: 'sentence1', textPair: 'sentence2' },
    { name: 'AX.tsv', file: '../diagnostic/diagnostic.tsv', text: 'Premise', textPair: 'Hypothesis' },
  ],
}

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
  /** the sweep's folder, and that of GLUE's official folders */
  readonly output: string
  readonly data: string
  readonly file: string
  readonly told: (what: string) => void
}

/** Writes the zip of one row's runs. @throws Mistake where the row has no run that is done, or there is no test file at all */
export const writeSubmission = async (options: SubmissionOptions): Promise<Submission> => {
  const { worked, row, reported, data, file, told } = options
  const files: Record<string, Uint8Array> = {}
  const runs: Record<string, string> = {}
  for (const task of Object.keys(partsOf) as ReadonlyArray<GlueName>) {
    const best = bestOf(worked, row, task, reported)
    if (best === null) continue
    const parts = partsOf[task].filter((part) => existsSync(testFile(data, task, part)))
    if (parts.length === 0) continue
    runs[task] = best.cell.id
    for (const part of parts) {
      told(`predicting ${part.name} by ${best.cell.id}`)
      files[part.name] = Buffer.from(await predictions(options, best, part))
    }
  }
  if (Object.keys(files).length === 0)
    throw mistake('--submission', `a row with finished runs, and GLUE's test files in ${data}`, `none of ${row}`)
  await writeFileAtomically(file, zipSync(files))
  const all = Object.values(partsOf).flatMap((parts) => parts.map(({ name }) => name))
  return { file, row, runs, missing: all.filter((name) => files[name] === undefined) }
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

const testFile = (data: string, task: GlueName, { file }: Part): string => {
  const own = join(data, GLUE_TASKS[task].folder)
  return join(existsSync(own) ? own : data, file)
}

const predictions = async ({ output, data }: SubmissionOptions, { cell }: Worked, part: Part): Promise<string> => {
  const { model, settings } = cell.options
  const { device, precision, threads, maxLength, batchSize } = settings
  const texts: Text[] = []
  const file = testFile(data, cell.task, part)
  await readTexts(file, { text: part.text, ...(part.textPair === undefined ? {} : { textPair: part.textPair }) }, (row, text, textPair) => {
    if (text === null) throw mistake(`${file}, row ${row}`, 'a text', 'none')
    texts.push({ text, textPair: textPair ?? undefined })
  })
  const adapter = await openTrainedAdapter({
    model,
    adapter: join(cellFolder(output, cell), 'adapter'),
    device,
    precision,
    threads,
    maxLength,
    batchSize,
  })
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
