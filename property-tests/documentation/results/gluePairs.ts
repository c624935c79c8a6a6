/** Scores of the GLUE sweeps, and their differences by task and over the tasks. */
import { expect } from 'vitest'
import { cellId } from '../../../evaluation/glue/plan.js'
import { type SweepRun, sweepRuns } from './storedRuns.js'
import { mean, signed, interval, shown, overall } from './statistics.js'

export const metrics = { cola: 'matthews', mrpc: 'accuracy', sst2: 'accuracy', stsb: 'pearson' } as const
export type Task = keyof typeof metrics
export const tasks = ['cola', 'mrpc', 'sst2', 'stsb'] as const
export const seeds = [0, 1, 2]

/** Of the last epoch, in percent. */
export const scoreIn = (runs: ReadonlyArray<SweepRun>, task: Task, row: string, seed: number): number => {
  const [run, second] = runs.filter(({ cell }) => cell === cellId({ task, row, seed }))
  expect([run?.config.settings.seed, second]).toEqual([seed, undefined])
  return 100 * (run?.result.last.scores[metrics[task]] ?? NaN)
}

export const encoders = [
  { region: 'embedded', file: 'glue-embedded', layers: 4, seen: [] },
  { region: 'minilm', file: 'glue-minilm', layers: 6, seen: [0, 1] },
] as const
export type Encoder = (typeof encoders)[number]

/** SaLoRA's row minus the other, by task; without CoLA's pairs that were seen while SaLoRA's defaults were chosen. */
export const pairsOf = ({ file, seen }: Encoder, row: string, other: string, on: ReadonlyArray<Task> = tasks) => {
  const runs = sweepRuns(file)
  return on.map((task) =>
    seeds
      .filter((seed) => task !== 'cola' || !(seen as ReadonlyArray<number>).includes(seed))
      .map((seed) => scoreIn(runs, task, row, seed) - scoreIn(runs, task, other, seed)),
  )
}
export const differenceCells = (pairs: ReadonlyArray<ReadonlyArray<number>>): ReadonlyArray<string> => [
  ...pairs.map((of) => (of.length === 1 ? `${signed(of[0]!)} (1 pair)` : `${signed(mean(of))} (${shown(interval(of))})`)),
  ...overall(pairs.map(mean)),
]
