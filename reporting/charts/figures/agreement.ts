/** Whether seeds find the same ranks: for each two seeds, how the ranks of the matrices go together. */
import { mean, sampleCorrelation } from 'simple-statistics'
import { heatMapChart, notShown, panelLimit, slug } from '../chart.js'
import type { Figure, Panel } from '../figure.js'
import { rankedSeries, type RankedSeries } from './ranks.js'
import { rounded } from './curves.js'

export type Agreement = {
  readonly seeds: readonly [number, number]
  /** Pearson's r of the ranks over matrices; null where one run's ranks are all equal, or the runs share fewer than two matrices */
  readonly correlation: number | null
  /** of the matrices, the share whose two ranks are equal */
  readonly equal: number
  /** Σ min / Σ max of the two ranks: 1 where all are equal, 0 where no matrix has a rank in both; null where all are zero */
  readonly overlap: number | null
}

/** Of each two runs of a series, over the matrices that both have. */
export const agreements = ({ ranks, seeds }: Pick<RankedSeries, 'ranks' | 'seeds'>): ReadonlyArray<Agreement> =>
  ranks.flatMap((first, i) =>
    ranks.slice(i + 1).flatMap((second, j) => {
      const names = Object.keys(first).filter((name) => Object.hasOwn(second, name))
      if (names.length === 0) return []
      const [a, b] = [names.map((name) => first[name] ?? 0), names.map((name) => second[name] ?? 0)]
      const sumOf = (choose: (x: number, y: number) => number): number => a.reduce((sum, x, k) => sum + choose(x, b[k] ?? 0), 0)
      const varies = (values: ReadonlyArray<number>): boolean => values.some((value) => value !== values[0])
      const most = sumOf(Math.max)
      return [
        {
          seeds: [seeds[i] ?? i, seeds[i + 1 + j] ?? i + 1 + j] as const,
          correlation: varies(a) && varies(b) ? sampleCorrelation(a, b) : null,
          equal: a.filter((x, k) => x === b[k]).length / a.length,
          overlap: most === 0 ? null : sumOf(Math.min) / most,
        },
      ]
    }),
  )

/** Runs of one series that are compared: of more, the pairs are too many to draw or to list. */
const runLimit = 20

export const agreement: Figure = {
  name: 'agreement',
  title: 'Agreement of the ranks between seeds',
  draw: (series) => {
    const ranked = rankedSeries(series).map(({ ranks, seeds, ...rest }) => ({
      ...rest,
      ranks: ranks.slice(0, runLimit),
      seeds: seeds.slice(0, runLimit),
    }))
    const pairs = ranked.map((one) => ({ ...one, pairs: agreements(one) })).filter((one) => one.pairs.length > 0)
    if (pairs.length === 0) return null
    return {
      caption:
        'Overlap of the ranks of two seeds, in percent: Σ min / Σ max over matrices, 100 where every matrix has the same rank in both.' +
        ` The numbers below also have the correlation of the ranks, and the share of matrices with equal ranks. At most ${runLimit} runs of a series are compared.` +
        notShown(Math.max(0, pairs.length - panelLimit), 'series'),
      panels: pairs.slice(0, panelLimit).map(panelOf),
      table: {
        columns: ['task', 'series', 'one seed', 'another', 'overlap', 'correlation', 'share equal'],
        rows: pairs.flatMap(({ task, label, pairs: own }) =>
          own.map(({ seeds: [a, b], overlap, correlation, equal }) => [task, label, a, b, overlap, correlation, equal]),
        ),
      },
    }
  },
}

const panelOf = ({ task, label, pairs }: RankedSeries & { readonly pairs: ReadonlyArray<Agreement> }, i: number): Panel => {
  const seeds = [...new Set(pairs.flatMap((pair) => pair.seeds))].map(String)
  const overlaps = pairs.flatMap(({ overlap }) => overlap ?? [])
  return {
    name: `agreement-${i + 1}-${slug(task)}`,
    title: `${task}: ${label}`,
    alternative:
      `Overlap of ranks between ${seeds.length} seeds, ${task}, ${label}` +
      (overlaps.length === 0
        ? '.'
        : `: mean ${rounded(100 * mean(overlaps))} %, from ${rounded(100 * Math.min(...overlaps))} to ${rounded(100 * Math.max(...overlaps))} %.`),
    spec: heatMapChart(
      pairs.flatMap(({ seeds: [a, b], overlap }) =>
        overlap === null ? [] : [{ row: String(b), column: String(a), value: Math.round(100 * overlap) }],
      ),
      { title: 'seed', order: seeds.slice(1) },
      { title: 'seed', order: seeds.slice(0, -1) },
    ),
  }
}
