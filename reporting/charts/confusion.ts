/** The confusion matrices of evaluations, as a figure: labels by predictions. */
import type { EvaluationDetails } from '../../finetuning/runs/evaluationDetails.js'
import { escapeText } from './escapeText.js'
import type { FigureContent, Panel } from './figure.js'
import { heatMapChart } from './heatMapChart.js'
import { panelLimit, slug, spokenNumber } from './panels.js'

/** The evaluation of the checkpoint that a run kept. */
export type EvaluatedRun = {
  readonly task: string
  /** name of the run */
  readonly name: string
  readonly details: EvaluationDetails
}

/** Maximum number of classes in a chart; the numbers have all. */
const classLimit = 24

type Confusion = EvaluatedRun & { readonly labels: ReadonlyArray<string>; readonly counts: ReadonlyArray<ReadonlyArray<number>> }

export const confusionFigure = (
  runs: ReadonlyArray<EvaluatedRun>,
): ({ readonly name: string; readonly title: string } & FigureContent) | null => {
  const confusions = runs.flatMap((run): ReadonlyArray<Confusion> => {
    const { byClass, confusion } = run.details
    const isSquare = confusion !== null && confusion.length === byClass?.length && confusion.every((row) => row.length === confusion.length)
    return isSquare ? [{ ...run, labels: byClass?.map(({ label }) => escapeText(label)) ?? [], counts: confusion }] : []
  })
  if (confusions.length === 0) return null
  return {
    name: 'confusion',
    title: 'Confusion matrix',
    caption: 'Evaluation examples by label (row) and prediction (column), of the kept checkpoint. Right answers are on the diagonal.',
    panels: confusions
      .filter(({ labels }) => labels.length <= classLimit)
      .slice(0, panelLimit)
      .map(panelOf),
    table: {
      columns: ['task', 'run', 'label', 'prediction', 'examples'],
      rows: confusions.flatMap(({ task, name, labels, counts }) =>
        counts.flatMap((row, i) => row.map((count, j) => [task, escapeText(name), labels[i] ?? '', labels[j] ?? '', count])),
      ),
    },
  }
}

const panelOf = ({ task, name, labels, counts }: Confusion): Panel => {
  const names = unambiguous(labels)
  const right = counts.reduce((sum, row, i) => sum + (row[i] ?? 0), 0)
  const all = counts.flat().reduce((a, b) => a + b, 0)
  return {
    name: `confusion-${slug(task)}`,
    title: `${task}: ${escapeText(name)}`,
    alternative: `Confusion matrix, ${task}: ${labels.length} classes, ${spokenNumber(right)} of ${spokenNumber(all)} examples right.`,
    chart: heatMapChart(
      counts.flatMap((row, i) => row.map((value, j) => ({ row: names[i] ?? '', column: names[j] ?? '', value }))),
      { title: 'label', order: names },
      { title: 'prediction', order: names },
    ),
  }
}

/** Two long labels may have the same beginning. */
const unambiguous = (labels: ReadonlyArray<string>): ReadonlyArray<string> =>
  labels.map((label, i) => (labels.indexOf(label) === i ? label : `${label} (${i})`))
