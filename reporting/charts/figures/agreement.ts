/** Whether seeds find the same ranks: three measures of agreement for each pair of seeds. */
import { mean, sampleCorrelation } from 'simple-statistics'
import type { Figure, Panel } from '../figure.js'
import { heatMapChart } from '../heatMapChart.js'
import { omittedSentence, panelLimit, slug, spokenNumber } from '../panels.js'
import { rankedSeries, type RankedSeries } from './ranks.js'

export type Agreement = {
  readonly seeds: readonly [number, number]
  /** Pearson's r of the ranks; null if all ranks of one run are equal, or the runs share fewer than two matrices */
  readonly correlation: number | null
  /** share of matrices with equal ranks */
  readonly equal: number
  /** Σ min / Σ max of the two ranks: 1 if all ranks are equal, 0 if no matrix has a rank in both runs. Null if all ranks are zero. */
  readonly overlap: number | null
}

/** The agreement of each pair of runs of a series, over the matrices of both runs. */
export const agreements = ({ ranks, seeds }: Pick<RankedSeries, 'ranks' | 'seeds'>): ReadonlyArray<Agreement> =>
  ranks.flatMap((first, i) =>
    ranks.slice(i + 1).flatMap((second, j) => {
      const measures = measuresOf(first, second)
      return measures === null ? [] : [{ seeds: [seeds[i] ?? i, seeds[i + 1 + j] ?? i + 1 + j] as const, ...measures }]
    }),
  )

type Ranks = Readonly<Record<string, number>>

const measuresOf = (first: Ranks, second: Ranks): Omit<Agreement, 'seeds'> | null => {
  const names = Object.keys(first).filter((name) => Object.hasOwn(second, name))
  if (names.length === 0) return null
  const [a, b] = [names.map((name) => first[name] ?? 0), names.map((name) => second[name] ?? 0)]
  const sumOf = (choose: (x: number, y: number) => number): number => a.reduce((sum, x, k) => sum + choose(x, b[k] ?? 0), 0)
  const varies = (values: ReadonlyArray<number>): boolean => values.some((value) => value !== values[0])
  const sumOfMaxima = sumOf(Math.max)
  return {
    correlation: varies(a) && varies(b) ? sampleCorrelation(a, b) : null,
    equal: a.filter((x, k) => x === b[k]).length / a.length,
    overlap: sumOfMaxima === 0 ? null : sumOf(Math.min) / sumOfMaxima,
  }
}

/** Maximum number of compared runs in a series: more pairs are neither legible nor listed quickly. */
const runLimit = 20

/** The first run of each seed: folds share one, and read other rows. */
const ofDistinctSeeds = ({ ranks, seeds, ...series }: RankedSeries): RankedSeries => {
  const kept = seeds.flatMap((seed, i) => (seeds.indexOf(seed) === i ? [i] : [])).slice(0, runLimit)
  return { ...series, ranks: kept.map((i) => ranks[i] ?? {}), seeds: kept.map((i) => seeds[i] ?? i) }
}

type PairedSeries = RankedSeries & { readonly pairs: ReadonlyArray<Agreement> }

export const agreement: Figure = {
  name: 'agreement',
  title: 'Rank agreement between seeds',
  plot: (series) => {
    const paired = rankedSeries(series)
      .map(ofDistinctSeeds)
      .map((one): PairedSeries => ({ ...one, pairs: agreements(one) }))
      .filter(({ pairs }) => pairs.length > 0)
    if (paired.length === 0) return null
    return {
      caption:
        'Overlap of the ranks of two seeds in percent: Σ min / Σ max over matrices, 100 if all ranks are equal.' +
        ` The numbers below add the correlation and the share of equal ranks. At most ${runLimit} runs of a series are compared.` +
        omittedSentence(paired.length - panelLimit, 'series'),
      panels: paired.slice(0, panelLimit).map(panelOf),
      table: {
        columns: ['task', 'series', 'first seed', 'second seed', 'overlap', 'correlation', 'share equal'],
        rows: paired.flatMap(({ task, label, pairs }) =>
          pairs.map(({ seeds: [a, b], overlap, correlation, equal }) => [task, label, a, b, overlap, correlation, equal]),
        ),
      },
    }
  },
}

const panelOf = ({ task, label, pairs }: PairedSeries, i: number): Panel => {
  const seeds = [...new Set(pairs.flatMap((pair) => pair.seeds))].map(String)
  const percents = pairs.flatMap(({ overlap }) => (overlap === null ? [] : [100 * overlap]))
  const range = `: mean ${spokenNumber(mean(percents.length === 0 ? [0] : percents))} %, from ${spokenNumber(Math.min(...percents))} to ${spokenNumber(Math.max(...percents))} %.`
  return {
    name: `agreement-${i + 1}-${slug(task)}`,
    title: `${task}: ${label}`,
    alternative: `Overlap of ranks between ${seeds.length} seeds, ${task}, ${label}${percents.length === 0 ? '.' : range}`,
    chart: heatMapChart(
      pairs.flatMap(({ seeds: [a, b], overlap }) =>
        overlap === null ? [] : [{ row: String(b), column: String(a), value: Math.round(100 * overlap) }],
      ),
      { title: 'seed', order: seeds.slice(1) },
      { title: 'seed', order: seeds.slice(0, -1) },
    ),
  }
}
