/** What int8 costs in quality: the same runs with a float32 and with an int8 base, seed by seed. */
import { mean } from 'simple-statistics'
import type { ComparedRun } from '../../../evaluation/studies/comparison.js'
import { clusteredDifference, tInterval, type ClusteredDifference } from '../../../evaluation/glue/statistics.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { intervalChart } from '../../charts/intervalChart.js'
import { differenceText, includingZero, intervalText, signed, verdict } from '../numbers.js'
import { chart, markdown, type ReadResults, type ResultsPage } from '../page.js'

const tasks = ['mrpc', 'cola', 'sst2', 'stsb'] as const
const methods = ['lora', 'salora'] as const

type StoredRun = Pick<ComparedRun, 'variant' | 'seed'> & ComparedRun['result']
type Pair = { readonly float32: number; readonly int8: number }

/** The first metric of the last epoch, in percent. */
const scoreOf = ({ last }: StoredRun): number => 100 * (Object.values(last.scores)[0] ?? NaN)

const pairsOf = (read: ReadResults, task: string, method: string): ReadonlyArray<Pair> => {
  const { runs } = read(`int8-${task}`) as { readonly runs: ReadonlyArray<StoredRun> }
  const of = (precision: string) => runs.filter(({ variant }) => variant === `${method}-${precision}`)
  return of('float32').flatMap((single) => {
    const eight = of('int8').find(({ seed }) => seed === single.seed)
    return eight === undefined ? [] : [{ float32: scoreOf(single), int8: scoreOf(eight) }]
  })
}

const differencesOf = (pairs: ReadonlyArray<Pair>): ReadonlyArray<number> => pairs.map(({ float32, int8 }) => int8 - float32)

export const int8Page: ResultsPage = {
  name: 'int8',
  regions: (read) => {
    const groups = tasks.flatMap((task) => methods.map((method) => ({ task, method, pairs: pairsOf(read, task, method) })))
    const rows = groups.map(({ task, method, pairs }) => {
      const differences = differencesOf(pairs)
      return [
        `${task}, ${method}`,
        mean(pairs.map(({ float32 }) => float32)).toFixed(1),
        mean(pairs.map(({ int8 }) => int8)).toFixed(1),
        `${signed(mean([...differences]), 2)} (${intervalText(tInterval(differences), 2)})`,
        verdict(tInterval(differences)),
        String(pairs.length),
      ]
    })
    const overall = clusteredDifference(
      tasks.map((task) => groups.filter((group) => group.task === task).flatMap(({ pairs }) => differencesOf(pairs))),
    ) as ClusteredDifference
    const all = groups.flatMap(({ pairs }) => pairs)
    const total = [
      'all, clustered by task',
      mean(all.map(({ float32 }) => float32)).toFixed(1),
      mean(all.map(({ int8 }) => int8)).toFixed(1),
      differenceText(overall, 2),
      verdict(overall.interval),
      String(all.length),
    ]
    const points = groups.map(({ task, method, pairs }) => {
      const [low = NaN, high = NaN] = tInterval(differencesOf(pairs)) ?? []
      return { row: `${task}, ${method}`, value: mean([...differencesOf(pairs)]), low, high }
    })
    return {
      quality: markdown(
        markdownTable(['', 'float32', 'int8', 'int8 minus float32 (95 % t interval)', 'int8 is', 'pairs'], [...rows, total]),
      ),
      chart: chart(
        `int8 minus float32 for each task and method, with 95 % t intervals. ${includingZero(points)}`,
        intervalChart(points, 'int8 minus float32, points (mean of 3 seeds, 95 % t interval)', 0),
      ),
    }
  },
}
