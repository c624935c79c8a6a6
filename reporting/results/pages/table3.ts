/** Table 3: SaLoRA without its density constraint, and without its orthogonality term. */
import { paperTable3 } from '../../../evaluation/glue/paperTables.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { differenceText, intervalText, signed, spread, verdict } from '../numbers.js'
import { markdown, type ResultsPage } from '../page.js'
import {
  embedded,
  overallDifference,
  readSweep,
  runOf,
  scoresOf,
  seeds,
  taskDifferences,
  taskTitle,
  type SweepTask,
} from '../storedSweeps.js'

const on: ReadonlyArray<SweepTask> = ['mrpc', 'stsb', 'cola']
const ablations = ['salora, λ = 0', 'salora, β = 0'] as const

export const table3Page: ResultsPage = {
  name: 'table-3',
  regions: (read) => {
    const sweep = readSweep(read, embedded)
    const scores = ['salora', ...ablations].map((row) => [
      row,
      ...on.flatMap((task) => {
        const densities = seeds.map((seed) => runOf(sweep, task, row, seed).result.expectedDensity ?? NaN)
        return [spread(scoresOf(sweep, task, row)), spread(densities, 2)]
      }),
    ])
    const differences = ablations.map((row) => {
      const byTask = taskDifferences(sweep, embedded, 'salora', row, on)
      const overall = overallDifference(byTask)
      return [
        row,
        ...byTask.map(({ mean, interval }) => `${signed(mean)} (${intervalText(interval)})`),
        differenceText(overall),
        verdict(overall.interval),
      ]
    })
    const paper = Object.entries(paperTable3).map(([row, byTask]) => [
      row,
      ...on.map((task) => `${byTask[task]?.mean.toFixed(2)} ± ${byTask[task]?.maximumDeviation?.toFixed(2)}`),
    ])
    return {
      scores: markdown(markdownTable(['', ...on.flatMap((task) => [taskTitle(task), 'density'])], scores)),
      differences: markdown(markdownTable(['`salora` minus', ...on, 'mean of the tasks', 'SaLoRA is'], differences)),
      paper: markdown(markdownTable(['', ...on], paper)),
    }
  },
}
