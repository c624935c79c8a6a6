/** Scores of LoRA and SaLoRA against the budget: the mean of three tasks, each method at the rate that held-out rows chose at rank 1. */
import { mean } from 'simple-statistics'
import { scoreOf } from '../../../evaluation/glue/score.js'
import { clusteredDifference } from '../../../evaluation/glue/statistics.js'
import { markdownTable } from '../../../evaluation/tables/tableText.js'
import { lineChart } from '../../charts/lineChart.js'
import { differenceText, thousands } from '../numbers.js'
import { chart, markdown, type Region } from '../page.js'
import { sizeOf, type StoredRun, type StoredSweep } from '../storedSweeps.js'

const tasks = ['cola', 'sst2', 'stsb'] as const
const methods = [
  ['lora', 'LoRA'],
  ['salora', 'SaLoRA, cut from rank 8'],
] as const
type Method = (typeof methods)[number][0]

/** Average ranks of all matrices, and the density that cuts SaLoRA's rank of 8 to it. LoRA of less than 1 adapts attention alone. */
const budgets = [
  { rank: 0.44, density: 0.0556 },
  { rank: 1, density: 0.125 },
  { rank: 2, density: 0.25 },
  { rank: 4, density: 0.5 },
] as const
type Budget = (typeof budgets)[number]

/** The reported runs of a budget; those that chose rates evaluate on held-out rows. */
const runsOf = (runs: ReadonlyArray<StoredRun>, method: Method, { rank, density }: Budget): ReadonlyArray<StoredRun> =>
  runs.filter(({ config: { settings, task } }) => {
    if (settings['method'] !== method || task.holdOutTrain === true) return false
    if (method === 'salora') return settings['density'] === density
    return settings['rank'] === Math.max(1, rank) && (settings['targetModules'] !== null) === rank < 1
  })

type Scored = {
  readonly budget: Budget
  /** scores of a method by task, of the seeds that all budgets have */
  readonly scores: (method: Method) => ReadonlyArray<ReadonlyArray<number>>
  readonly numbers: (method: Method) => number
}

/** Budgets with at least one seed of all their runs, and these seeds: a line has the same seeds at each of its points. */
const scoredBudgets = (
  sweeps: ReadonlyArray<StoredSweep>,
): { readonly seeds: ReadonlyArray<number>; readonly scored: ReadonlyArray<Scored> } => {
  const all = sweeps.flatMap(({ runs }) => runs)
  const found = budgets.map((budget) => {
    const cell = (method: Method, task: string, seed: number): StoredRun | undefined =>
      runsOf(all, method, budget).find(({ config }) => config.task.task === task && config.settings['seed'] === seed)
    const isComplete = (seed: number): boolean => methods.every(([method]) => tasks.every((task) => cell(method, task, seed) !== undefined))
    return { budget, cell, seeds: [0, 1, 2, 3, 4, 5, 6, 7].filter(isComplete) }
  })
  const complete = found.filter(({ seeds }) => seeds.length > 0)
  const seeds = (complete[0]?.seeds ?? []).filter((seed) => complete.every((one) => one.seeds.includes(seed)))
  return {
    seeds,
    scored: complete.map(({ budget, cell }) => {
      const of = (method: Method, task: (typeof tasks)[number], seed: number): StoredRun => {
        const run = cell(method, task, seed)
        if (run === undefined) throw new Error(`results: expected a run of ${method} on ${task} with seed ${seed}, got none`)
        return run
      }
      return {
        budget,
        scores: (method) => tasks.map((task) => seeds.map((seed) => scoreOf(task, 'last', of(method, task, seed).result))),
        numbers: (method) => mean(tasks.flatMap((task) => seeds.map((seed) => sizeOf(of(method, task, seed).result)))),
      }
    }),
  }
}

const meanOf = (scores: ReadonlyArray<ReadonlyArray<number>>): number => mean(scores.map((ofTask) => mean([...ofTask])))

/** The table and the chart by budget. */
export const scoreByBudget = (sweeps: ReadonlyArray<StoredSweep>): Readonly<Record<'budgets' | 'budgets-chart', Region>> => {
  const { seeds, scored } = scoredBudgets(sweeps)
  const head = ['average rank', 'numbers', 'seeds', ...methods.map(([, title]) => title), 'SaLoRA minus LoRA']
  const rows = scored.map(({ budget, scores, numbers }) => {
    const [lora, salora] = [scores('lora'), scores('salora')]
    const difference = clusteredDifference(lora.map((ofTask, i) => ofTask.map((score, place) => (salora[i]?.[place] ?? NaN) - score)))
    return [
      ...[String(budget.rank), thousands(numbers('lora')), String(seeds.length), meanOf(lora).toFixed(2), meanOf(salora).toFixed(2)],
      difference === null ? '–' : differenceText(difference, 2),
    ]
  })
  const points = methods.flatMap(([method, series]) =>
    scored.map(({ budget, scores }) => ({ series, x: budget.rank, y: meanOf(scores(method)) })),
  )
  const values = scored.map(({ budget }) => budget.rank)
  const [least, most] = [Math.min(...points.map(({ y }) => y)), Math.max(...points.map(({ y }) => y))]
  return {
    budgets: markdown(markdownTable(head, rows, ['right', 'right', 'right', 'right', 'right', 'left'])),
    'budgets-chart': chart(
      `Mean scores of LoRA and SaLoRA at average ranks from ${values[0]} to ${values.at(-1)}: from ${least.toFixed(1)} to ${most.toFixed(1)} points.`,
      lineChart(points, { title: 'average rank of a matrix', values }, { title: 'mean of CoLA, SST-2 and STS-B' }),
    ),
  }
}
