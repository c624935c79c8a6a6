/** The kept checkpoint in detail: scores by class, and the worst errors with their texts, which the page shows as text. */
import { csvOf } from '../../charts/csv.js'
import type { EvaluatedRun } from '../../charts/confusion.js'
import { escapeText } from '../../charts/escapeText.js'
import { percentText } from '../../charts/humanUnits.js'
import type { Cell } from '../../charts/table.js'
import type { ReportTable } from './reportTable.js'

export const evaluationTables = (runs: ReadonlyArray<EvaluatedRun>): ReadonlyArray<ReportTable> => [
  ...classTable(runs),
  ...errorTable(runs),
]

/** Columns that name the run, if there are several. */
const contextOf = (runs: ReadonlyArray<EvaluatedRun>) => {
  const isShown = runs.length > 1
  return {
    columns: isShown ? ['task', 'run'] : [],
    cells: ({ task, name }: EvaluatedRun): ReadonlyArray<Cell> => (isShown ? [task, escapeText(name)] : []),
  }
}

const checkpointOf = (runs: ReadonlyArray<EvaluatedRun>): string => {
  const [run] = runs
  return run === undefined || runs.length > 1
    ? 'the kept checkpoints'
    : `step ${run.details.step} of ${escapeText(run.name)}, the kept checkpoint`
}

const classTable = (runs: ReadonlyArray<EvaluatedRun>): ReadonlyArray<ReportTable> => {
  const context = contextOf(runs)
  const rows = runs.flatMap((run) => (run.details.byClass ?? []).map((report) => ({ run, ...report })))
  if (rows.length === 0) return []
  const columns = [...context.columns, 'class', 'precision', 'recall', 'F1', 'examples']
  const share = (value: number | null): Cell => (value === null ? null : percentText(value))
  const cellsOf = (show: (value: number | null) => Cell): ReadonlyArray<ReadonlyArray<Cell>> =>
    rows.map(({ run, label, precision, recall, f1, examples }) => [
      ...[...context.cells(run), escapeText(label), show(precision), show(recall), show(f1)],
      examples,
    ])
  return [
    {
      name: 'classes',
      title: 'Scores by class',
      caption: `On the evaluation examples, at ${checkpointOf(runs)}.`,
      table: { columns, rows: cellsOf(share) },
      csv: csvOf({ columns, rows: cellsOf((value) => value) }),
    },
  ]
}

const errorTable = (runs: ReadonlyArray<EvaluatedRun>): ReadonlyArray<ReportTable> => {
  const context = contextOf(runs)
  const errors = runs.flatMap((run) => run.details.errors.map((error) => ({ run, ...error })))
  if (errors.length === 0) return []
  const columns = [...context.columns, 'row', 'loss', 'label', 'prediction', 'text']
  const textOf = ({ text, textPair }: (typeof errors)[number]): string =>
    text === undefined ? '' : escapeText(textPair === undefined ? text : `${text} | ${textPair}`)
  const rows = errors.map((error): ReadonlyArray<Cell> => {
    const { run, row, loss, label, predicted } = error
    return [...context.cells(run), row, Number(loss.toPrecision(3)), escapeText(label), escapeText(predicted), textOf(error)]
  })
  return [
    {
      name: 'errors',
      title: 'Worst errors',
      caption: `The evaluation examples with the largest loss, at ${checkpointOf(runs)}. The texts are those of evaluation.json in the run's folder.`,
      table: { columns, rows },
    },
  ]
}
