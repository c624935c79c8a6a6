/** Figure 7: the ranks after training, by layer and matrix, as means over the runs of a series. */
import { mean } from 'simple-statistics'
import { escapeText } from '../escapeText.js'
import type { Figure, FigureContent, Panel, PlottedSeries } from '../figure.js'
import { heatMapChart } from '../heatMapChart.js'
import { plural } from '../formatNumber.js'
import { matrixPlace, matrixTitles } from '../matrixNames.js'
import { omittedSentence, panelLimit, slug } from '../panels.js'

export type RankedSeries = Pick<PlottedSeries, 'task' | 'label'> & {
  /** ranks by matrix, for each run with ranks */
  readonly ranks: ReadonlyArray<Readonly<Record<string, number>>>
  readonly seeds: ReadonlyArray<number>
}

/** The series whose method finds ranks. If all ranks are equal, as with LoRA, there is nothing to show. */
export const rankedSeries = (series: ReadonlyArray<PlottedSeries>): ReadonlyArray<RankedSeries> =>
  series.flatMap(({ task, label, runs }) => {
    const results = runs.flatMap(({ result: { ranks = {}, seed } }) => (Object.keys(ranks).length === 0 ? [] : [{ ranks, seed }]))
    const distinct = new Set(results.flatMap(({ ranks }) => Object.values(ranks)))
    return distinct.size < 2 ? [] : [{ task, label, ranks: results.map(({ ranks }) => ranks), seeds: results.map(({ seed }) => seed) }]
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
export const ranksContent = (series: ReadonlyArray<RankedSeries>, caption: string, titleOf = titleWithRuns): FigureContent | null => {
  if (series.length === 0) return null
  const withMeans = series.map((one) => ({ ...one, means: meansOf(one) }))
  return {
    caption: caption + omittedSentence(series.length - panelLimit, 'series'),
    panels: withMeans.slice(0, panelLimit).map((one, i) => panelOf(one, i, titleOf(one))),
    table: {
      columns: ['task', 'series', 'runs', 'layer', 'matrix', 'mean rank', 'min', 'max'],
      rows: withMeans.flatMap(({ task, label, seeds, means }) =>
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

const meansOf = ({ ranks: byRun }: RankedSeries): ReadonlyArray<MeanRank> => {
  const names = [...new Set(byRun.flatMap((run) => Object.keys(run)))]
  return names.map((name) => {
    const values = byRun.flatMap((run) => (Object.hasOwn(run, name) ? (run[name] ?? []) : []))
    const { layer, column } = matrixPlace(name)
    return { layer, column, matrix: escapeText(name), value: mean(values), low: Math.min(...values), high: Math.max(...values) }
  })
}

type SeriesWithMeans = RankedSeries & { readonly means: ReadonlyArray<MeanRank> }

const panelOf = ({ task, label, means }: SeriesWithMeans, i: number, title: string): Panel => {
  const columns = [...new Set(means.map(({ column }) => column))]
  const titles = matrixTitles(columns)
  const columnTitle = (column: string): string => escapeText(titles.get(column) ?? column)
  const layers = [...new Set(means.map(({ layer }) => layer ?? -1))].sort((a, b) => a - b)
  const rowOf = (layer: number | null): string => (layer === null || layer < 0 ? '–' : String(layer))
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
    chart: heatMapChart(
      means.map(({ layer, column, value }) => ({ row: rowOf(layer), column: columnTitle(column), value })),
      { title: 'layer', order: layers.map(rowOf) },
      { title: '', order: columns.map(columnTitle) },
    ),
  }
}
