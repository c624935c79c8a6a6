/** Samples: each prompt with the texts that the model wrote after each evaluation. Steps with the same text share a row. */
import { csvOf } from '../../charts/csv.js'
import { escapeText } from '../../charts/escapeText.js'
import type { SampledStep } from '../../charts/samples.js'
import type { Cell } from '../../charts/table.js'
import type { ReportTable } from './reportTable.js'

export type SampledRun = { readonly task: string; readonly name: string; readonly samples: ReadonlyArray<SampledStep> }

/** A text of a prompt, from one evaluation to another. */
type Row = { readonly run: SampledRun; readonly prompt: string; readonly from: number; readonly to: number; readonly text: string }

export const samplesTables = (runs: ReadonlyArray<SampledRun>): ReadonlyArray<ReportTable> => {
  const every = runs.flatMap(rowsOf)
  if (every.length === 0) return []
  const several = new Set(every.map(({ run }) => run)).size > 1
  const columns = [...(several ? ['task', 'run'] : []), 'prompt', 'step', 'text']
  const cells = (rows: ReadonlyArray<Row>, promptOf: (row: Row, i: number) => Cell): ReadonlyArray<ReadonlyArray<Cell>> =>
    rows.map((row, i) => [
      ...(several ? [row.run.task, escapeText(row.run.name)] : []),
      ...[promptOf(row, i), row.from === row.to ? row.from : `${row.from} – ${row.to}`, row.text === '' ? '(nothing)' : row.text],
    ])
  const rows = merged(every)
  return [
    {
      name: 'samples',
      title: 'Samples',
      caption: 'What the model wrote after each evaluation, with the parameters of that step. Steps with the same text share a row.',
      table: { columns, rows: cells(rows, (row, i) => (isSamePrompt(rows[i - 1], row) ? '' : row.prompt)) },
      csv: csvOf({ columns, rows: cells(every, ({ prompt }) => prompt) }),
    },
  ]
}

/** By prompt, in the order of the newest evaluation, and within a prompt by step. */
const rowsOf = (run: SampledRun): ReadonlyArray<Row> => {
  const prompts = run.samples.at(-1)?.samples.map(({ prompt }) => prompt) ?? []
  return [...new Set(prompts)].flatMap((prompt) =>
    run.samples.flatMap(({ step, samples }) =>
      samples.filter((sample) => sample.prompt === prompt).map(({ text }) => ({ run, prompt, from: step, to: step, text })),
    ),
  )
}

const isSamePrompt = (a: Row | undefined, b: Row): boolean => a?.run === b.run && a.prompt === b.prompt

const merged = (rows: ReadonlyArray<Row>): ReadonlyArray<Row> => {
  const all: Row[] = []
  for (const row of rows) {
    const last = all.at(-1)
    if (last !== undefined && isSamePrompt(last, row) && last.text === row.text) all[all.length - 1] = { ...last, to: row.to }
    else all.push(row)
  }
  return all
}
