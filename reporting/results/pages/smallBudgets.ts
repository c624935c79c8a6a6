/** Allocations of a small budget: LoRA from scratch on fixed, random and found ranks, each beside uniform ranks, seed by seed. */
import { mean } from 'simple-statistics'
import { tInterval } from '../../../evaluation/glue/statistics.js'
import type { ComparedRun } from '../../../evaluation/studies/comparison.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { intervalChart } from '../../charts/intervalChart.js'
import { intervalText, signed, thousands, verdict } from '../numbers.js'
import { chart, markdown, type ReadResults, type ResultsPage } from '../page.js'

type StoredRun = Pick<ComparedRun, 'variant' | 'seed'> & ComparedRun['result']

/** What variants are called on the page, by the beginning of their names. */
const titles = [
  ['uniform-0.25', 'uniform ranks'],
  ['attention-0.25', 'attention only'],
  ['feed-forward-0.25', 'feed-forward only'],
  ['value-output-0.25', 'value and output only'],
  ['first-layers-0.25', 'first three layers'],
  ['last-layers-0.25', 'last three layers'],
  ['random-0.25,', 'random ranks'],
  ['found-0.25-0.1,', 'ranks of a search of 10 % of the steps'],
  ['found-0.25-0.5,', 'ranks of a search of 50 % of the steps'],
] as const

/** The first metric of the last epoch, in percent. */
const scoreOf = ({ last }: StoredRun): number => 100 * (Object.values(last.scores)[0] ?? NaN)

const runsOf = (read: ReadResults): ReadonlyArray<StoredRun> =>
  ['allocations-stsb', 'found-ranks-stsb']
    .flatMap((name) => (read(name) as { readonly runs: ReadonlyArray<StoredRun> }).runs)
    .sort((a, b) => a.seed - b.seed)

export const smallBudgetsPage: ResultsPage = {
  name: 'small-budgets',
  regions: (read) => {
    const runs = runsOf(read)
    const groups = titles
      .map(([beginning, title]) => ({ title, runs: runs.filter(({ variant }) => variant.startsWith(beginning)) }))
      .filter((group) => group.runs.length > 0)
    const uniform = groups[0]?.runs ?? []
    const differences = (group: ReadonlyArray<StoredRun>): ReadonlyArray<number> =>
      group.flatMap((run) => {
        const same = uniform.find(({ seed }) => seed === run.seed)
        return same === undefined ? [] : [scoreOf(run) - scoreOf(same)]
      })
    const rows = groups.map(({ title, runs: group }, i) => {
      const pairs = differences(group)
      const interval = tInterval(pairs)
      const beside =
        i === 0
          ? ['', '']
          : [`${signed(mean([...pairs]), 2)} (${intervalText(interval, 2)})`, interval === null ? 'one seed' : verdict(interval)]
      return [
        title,
        [...new Set(group.map(({ trainableParameters }) => thousands(trainableParameters['adapter'] ?? NaN)))].sort().join(' or '),
        group.map((run) => scoreOf(run).toFixed(2)).join(', '),
        mean(group.map(scoreOf)).toFixed(2),
        ...beside,
      ]
    })
    const points = groups.slice(1).map(({ title, runs: group }) => {
      const pairs = differences(group)
      const value = mean([...pairs])
      const [low, high] = tInterval(pairs) ?? [value, value]
      return { row: title, value, low, high }
    })
    const values = points.map(({ value }) => value)
    return {
      allocations: markdown(
        markdownTable(['ranks', 'numbers', 'scores by seed', 'mean', 'minus uniform (95 % t interval)', 'beside uniform'], rows),
      ),
      chart: chart(
        `Differences from uniform ranks: from ${signed(Math.min(...values), 1)} to ${signed(Math.max(...values), 1)} points.`,
        intervalChart(points, 'minus uniform ranks, points of Pearson × 100 (one to three seeds)', 0),
      ),
    }
  },
}
