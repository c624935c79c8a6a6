/** Figures as heat maps: ranks by layer and matrix (Figure 7), and confusion matrices. */
import { mean } from 'simple-statistics'
import type { EvaluationDetails } from '../../finetuning/run/evaluationDetails.js'
import type { HeatMapAxis, HeatMapCell, HeatMapChart } from '../charts/chart.js'
import { escapeText } from '../text/html.js'
import { plural } from '../text/units.js'
import {
  omittedSentence,
  panelLimit,
  slug,
  spokenNumber,
  type Figure,
  type FigureContent,
  type Panel,
  type PlottedFigure,
  type PlottedSeries,
} from './figure.js'
import { matrixPlace, matrixTitles } from './matrixTitles.js'

const heatMap = (cells: readonly HeatMapCell[], rows: HeatMapAxis, columns: HeatMapAxis): HeatMapChart => ({
  ...{ kind: 'heatMap', cells },
  rows,
  columns,
})

type Ranks = Readonly<Record<string, number>>
export type RankedSeries = Pick<PlottedSeries, 'task' | 'label'> & {
  /** ranks by matrix, for each run with ranks */
  readonly ranks: readonly Ranks[]
  readonly seeds: readonly number[]
}

/** The series whose method finds ranks. If all ranks are equal, as with LoRA, there is nothing to show. */
const rankedSeries = (series: readonly PlottedSeries[]): readonly RankedSeries[] =>
  series.flatMap(({ task, label, runs }) => {
    const ranked = runs.flatMap(({ result: { ranks = {}, seed } }) => (Object.keys(ranks).length === 0 ? [] : [{ ranks, seed }]))
    const distinct = new Set(ranked.flatMap(({ ranks }) => Object.values(ranks)))
    return distinct.size < 2 ? [] : [{ task, label, ranks: ranked.map(({ ranks }) => ranks), seeds: ranked.map(({ seed }) => seed) }]
  })

export const ranks: Figure = {
  name: 'figure7-ranks',
  title: 'Ranks by matrix (Figure 7)',
  plot: (series) =>
    ranksContent(
      rankedSeries(series),
      'Ranks after pruning: mean over runs for each layer (row) and matrix (column). Rank 0: no update of the matrix.',
    ),
}

const titleWithRuns = ({ task, label, seeds }: RankedSeries): string => `${task}: ${label} (${plural(seeds.length, 'run')})`

/** A heat map for each series. @returns null if there are no series */
export const ranksContent = (series: readonly RankedSeries[], caption: string, toTitle = titleWithRuns): FigureContent | null => {
  if (series.length === 0) return null
  const withMeans = series.map((one) => ({ one, means: averageRanks(one) }))
  return {
    caption: caption + omittedSentence(series.length - panelLimit, 'series'),
    panels: withMeans.slice(0, panelLimit).map(({ one, means }, i) => rankPanel(one, means, i, toTitle(one))),
    table: {
      columns: ['task', 'series', 'runs', 'layer', 'matrix', 'mean rank', 'min', 'max'],
      rows: withMeans.flatMap(({ one: { task, label, seeds }, means }) =>
        means.map(({ layer, matrix, value, low, high }) => [task, label, seeds.length, layer, matrix, value, low, high]),
      ),
    },
  }
}

type MeanRank = {
  readonly layer: number | null
  readonly column: string
  readonly matrix: string
  readonly value: number
  readonly low: number
  readonly high: number
}

const averageRanks = ({ ranks: byRun }: RankedSeries): readonly MeanRank[] =>
  [...new Set(byRun.flatMap((run) => Object.keys(run)))].map((name) => {
    const values = byRun.flatMap((run) => (Object.hasOwn(run, name) ? (run[name] ?? []) : []))
    return { ...matrixPlace(name), matrix: escapeText(name), value: mean(values), low: Math.min(...values), high: Math.max(...values) }
  })

const rankPanel = ({ task, label }: RankedSeries, means: readonly MeanRank[], i: number, title: string): Panel => {
  const columns = [...new Set(means.map(({ column }) => column))]
  const titles = matrixTitles(columns)
  const columnTitle = (column: string): string => escapeText(titles.get(column) ?? column)
  const layers = [...new Set(means.map(({ layer }) => layer ?? -1))].sort((a, b) => a - b)
  const rowName = (layer: number | null): string => (layer === null || layer < 0 ? '–' : String(layer))
  const sorted = [...means].sort((a, b) => b.value - a.value)
  const [highest, lowest] = [sorted[0], sorted.at(-1)]
  return {
    name: `figure7-ranks-${i + 1}-${slug(task)}`,
    title,
    alternative:
      `Heat map of ranks, ${task}, ${label}: ${layers.length} layers by ${columns.length} matrices.` +
      (highest === undefined || lowest === undefined
        ? ''
        : ` Highest ${highest.value.toFixed(1)} in ${highest.matrix}, lowest ${lowest.value.toFixed(1)} in ${lowest.matrix}.`),
    chart: heatMap(
      means.map(({ layer, column, value }) => ({ row: rowName(layer), column: columnTitle(column), value })),
      { title: 'layer', order: layers.map(rowName) },
      { title: '', order: columns.map(columnTitle) },
    ),
  }
}

/** The evaluation of the checkpoint that a run kept. */
export type EvaluatedRun = {
  readonly task: string
  /** name of the run */
  readonly name: string
  readonly details: EvaluationDetails
}

/** Maximum number of classes in a chart; the numbers have all. */
const classLimit = 24

type Confusion = EvaluatedRun & { readonly labels: readonly string[]; readonly counts: readonly (readonly number[])[] }

/** Labels by predictions. */
export const confusionFigure = (runs: readonly EvaluatedRun[]): PlottedFigure | null => {
  const confusions = runs.flatMap((run): readonly Confusion[] => {
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
      .map(confusionPanel),
    table: {
      columns: ['task', 'run', 'label', 'prediction', 'examples'],
      rows: confusions.flatMap(({ task, name, labels, counts }) =>
        counts.flatMap((row, i) => row.map((count, j) => [task, escapeText(name), labels[i] ?? '', labels[j] ?? '', count])),
      ),
    },
  }
}

const confusionPanel = ({ task, name, labels, counts }: Confusion): Panel => {
  const names = labels.map((label, i) => (labels.indexOf(label) === i ? label : `${label} (${i})`)) // two long labels may begin alike
  const right = counts.reduce((sum, row, i) => sum + (row[i] ?? 0), 0)
  const all = counts.flat().reduce((a, b) => a + b, 0)
  return {
    name: `confusion-${slug(task)}`,
    title: `${task}: ${escapeText(name)}`,
    alternative: `Confusion matrix, ${task}: ${labels.length} classes, ${spokenNumber(right)} of ${spokenNumber(all)} examples right.`,
    chart: heatMap(
      counts.flatMap((row, i) => row.map((value, j) => ({ row: names[i] ?? '', column: names[j] ?? '', value }))),
      { title: 'label', order: names },
      { title: 'prediction', order: names },
    ),
  }
}
