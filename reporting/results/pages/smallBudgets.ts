/** Small budgets: LoRA from scratch on fixed, random and found ranks beside uniform ranks, and variants of SaLoRA beside LoRA, seed by seed. */
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

const gateTitles = [
  ['lora-1', 'LoRA, r = 1'],
  ['plain-1', 'SaLoRA'],
  ['restart-1', 'SaLoRA, the rate restarts'],
  ['lora-restart-1', 'LoRA, the rate restarts in mid-run'],
  ['mean-1', 'SaLoRA, gates keep the mean'],
  ['both-1', 'SaLoRA, both'],
] as const

/** The first metric of the last epoch, in percent. */
const scoreOf = ({ last }: StoredRun): number => 100 * (Object.values(last.scores)[0] ?? NaN)

type Group = { readonly title: string; readonly runs: ReadonlyArray<StoredRun> }

/** The runs of these result files by what they are called; those without runs are left out. */
const groupsOf = (
  read: ReadResults,
  files: ReadonlyArray<string>,
  named: ReadonlyArray<readonly [beginning: string, title: string]>,
): ReadonlyArray<Group> => {
  const runs = files.flatMap((name) => (read(name) as { readonly runs: ReadonlyArray<StoredRun> }).runs).sort((a, b) => a.seed - b.seed)
  return named
    .map(([beginning, title]) => ({ title, runs: runs.filter(({ variant }) => variant.startsWith(beginning)) }))
    .filter((group) => group.runs.length > 0)
}

/** Differences of a group's scores from those of the first group with the same seeds. */
const differencesFrom =
  ([first]: ReadonlyArray<Group>) =>
  ({ runs }: Group): ReadonlyArray<number> =>
    runs.flatMap((run) => {
      const same = first?.runs.find(({ seed }) => seed === run.seed)
      return same === undefined ? [] : [scoreOf(run) - scoreOf(same)]
    })

/** Scores of each group by seed, and how far they are from the first group's. */
const scoresTable = (groups: ReadonlyArray<Group>, name: string, first: string) => {
  const rows = groups.map((group, i) => {
    const pairs = differencesFrom(groups)(group)
    const interval = tInterval(pairs)
    const beside =
      i === 0
        ? ['', '']
        : [`${signed(mean([...pairs]), 2)} (${intervalText(interval, 2)})`, interval === null ? 'one seed' : verdict(interval)]
    const numbers = group.runs.map((run) => run.retainedParameters ?? run.trainableParameters['adapter'] ?? NaN)
    return [
      group.title,
      [...new Set(numbers.map((count) => thousands(count)))].sort().join(' or '),
      group.runs.map((run) => scoreOf(run).toFixed(2)).join(', '),
      mean(group.runs.map(scoreOf)).toFixed(2),
      ...beside,
    ]
  })
  return markdown(markdownTable([name, 'numbers', 'scores by seed', 'mean', `minus ${first} (95 % t interval)`, `beside ${first}`], rows))
}

export const smallBudgetsPage: ResultsPage = {
  name: 'small-budgets',
  regions: (read) => {
    const groups = groupsOf(read, ['allocations-stsb', 'found-ranks-stsb'], titles)
    const points = groups.slice(1).map((group) => {
      const pairs = differencesFrom(groups)(group)
      const value = mean([...pairs])
      const [low, high] = tInterval(pairs) ?? [value, value]
      return { row: group.title, value, low, high }
    })
    const values = points.map(({ value }) => value)
    return {
      allocations: scoresTable(groups, 'ranks', 'uniform'),
      chart: chart(
        `Differences from uniform ranks: from ${signed(Math.min(...values), 1)} to ${signed(Math.max(...values), 1)} points.`,
        intervalChart(points, 'minus uniform ranks, points of Pearson × 100 (one to three seeds)', 0),
      ),
      gates: scoresTable(groupsOf(read, ['gate-variants-stsb'], gateTitles), 'method', 'LoRA'),
    }
  },
}
