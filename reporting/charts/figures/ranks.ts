/** Figure 7: the ranks that training found, layers by matrices, mean over seeds. */
import { mean } from 'simple-statistics'
import { matrixPlace, matrixTitles } from '../matrixNames.js'
import { heatMapChart, notShown, panelLimit, slug } from '../chart.js'
import type { DrawnFigure, DrawnSeries, Figure, Panel } from '../figure.js'
import { escapeText } from '../escapeText.js'

export type RankedSeries = Pick<DrawnSeries, 'task' | 'label'> & {
  /** of the runs that have ranks, by matrix */
  readonly ranks: ReadonlyArray<Readonly<Record<string, number>>>
  readonly seeds: ReadonlyArray<number>
}

/** Those whose ranks were found: where every matrix has one rank in every run, as in LoRA, there is nothing to see. */
export const rankedSeries = (series: ReadonlyArray<DrawnSeries>): ReadonlyArray<RankedSeries> =>
  series.flatMap(({ task, label, runs }) => {
    const ranked = runs.filter(({ result }) => Object.keys(result.ranks ?? {}).length > 0)
    const found = new Set(ranked.flatMap(({ result }) => Object.values(result.ranks ?? {})))
    return found.size < 2
      ? []
      : [{ task, label, ranks: ranked.map(({ result }) => result.ranks ?? {}), seeds: ranked.map(({ result }) => result.seed) }]
  })

export const ranks: Figure = {
  name: 'figure7-ranks',
  title: 'Ranks by matrix (Figure 7)',
  draw: (series) =>
    ranksFigure(
      rankedSeries(series),
      'The ranks left after pruning, layers down and matrices across, mean over seeds; 0: the matrix is as it was.',
    ),
}

/** A map for each series, of whatever its ranks are: `caption` says. null where there are none. */
export const ranksFigure = (series: ReadonlyArray<RankedSeries>, caption: string): DrawnFigure | null => {
  const ranked = series.map((one) => ({ ...one, means: meansOf(one) }))
  if (ranked.length === 0) return null
  return {
    caption: caption + notShown(Math.max(0, ranked.length - panelLimit), 'series'),
    panels: ranked.slice(0, panelLimit).map(panelOf),
    table: {
      columns: ['task', 'series', 'seeds', 'layer', 'matrix', 'mean rank', 'smallest', 'largest'],
      rows: ranked.flatMap(({ task, label, seeds, means }) =>
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
  const names = [...new Set(byRun.flatMap((one) => Object.keys(one)))]
  return names.map((name) => {
    const values = byRun.flatMap((one) => one[name] ?? [])
    const { layer, column } = matrixPlace(name)
    return { layer, column, matrix: escapeText(name), value: mean(values), low: Math.min(...values), high: Math.max(...values) }
  })
}

const panelOf = ({ task, label, seeds, means }: RankedSeries & { readonly means: ReadonlyArray<MeanRank> }, i: number): Panel => {
  const columns = [...new Set(means.map(({ column }) => column))]
  const titles = matrixTitles(columns)
  const titleOf = (column: string): string => escapeText(titles.get(column) ?? column)
  const layers = [...new Set(means.map(({ layer }) => layer ?? -1))].sort((a, b) => a - b)
  const rowOf = (layer: number | null): string => (layer === null || layer < 0 ? '–' : String(layer))
  const sorted = [...means].sort((a, b) => b.value - a.value)
  const [most, least] = [sorted[0], sorted.at(-1)]
  return {
    name: `figure7-ranks-${i + 1}-${slug(task)}`,
    title: `${task}: ${label} (${seeds.length} ${seeds.length === 1 ? 'seed' : 'seeds'})`,
    alternative:
      `Heat map of ranks, ${task}, ${label}: ${layers.length} layers by ${columns.length} matrices.` +
      (most === undefined || least === undefined
        ? ''
        : ` Largest ${most.value.toFixed(1)} in ${most.matrix}, smallest ${least.value.toFixed(1)} in ${least.matrix}.`),
    spec: heatMapChart(
      means.map(({ layer, column, value }) => ({ row: rowOf(layer), column: titleOf(column), value })),
      { title: 'layer', order: layers.map(rowOf) },
      { title: '', order: columns.map(titleOf) },
    ),
  }
}
