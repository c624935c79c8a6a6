/** The stored GLUE sweeps of both encoders: scores of their runs, and differences between their rows. */
import { mean } from 'simple-statistics'
import { cellId } from '../../evaluation/glue/plan.js'
import { scoreOf } from '../../evaluation/glue/score.js'
import { clusteredDifference, tInterval, type ClusteredDifference, type Interval } from '../../evaluation/glue/statistics.js'
import { GLUE_TASKS } from '../../finetuning/data/glueTasks.js'
import type { RunResult } from '../../finetuning/runs/run.js'
import type { ReadResults } from './page.js'

export const tasks = ['cola', 'mrpc', 'sst2', 'stsb'] as const
export type SweepTask = (typeof tasks)[number]
export const seeds = [0, 1, 2] as const

export type StoredRun = {
  readonly cell: string
  readonly config: {
    readonly task: { readonly task: string; readonly holdOutTrain?: boolean }
    readonly settings: Readonly<Record<string, unknown>> & { readonly learningRate: number }
  }
  readonly result: RunResult
}

export type StoredSweep = { readonly command: string; readonly runs: ReadonlyArray<StoredRun> }

export type Encoder = {
  /** the file in evaluation/results/ */
  readonly file: string
  readonly title: string
  /** whether a score was known while SaLoRA's defaults were chosen, so that it tests nothing */
  readonly wasSeen: (task: SweepTask, seed: number) => boolean
}

export const embedded: Encoder = { file: 'glue-embedded', title: 'The embedded model', wasSeen: () => false }
export const miniLm: Encoder = {
  file: 'glue-minilm',
  title: 'all-MiniLM-L6-v2',
  wasSeen: (task, seed) => task === 'cola' && seed < 2,
}
export const encoders: ReadonlyArray<Encoder> = [embedded, miniLm]

export const readSweep = (read: ReadResults, { file }: Pick<Encoder, 'file'>): StoredSweep => read(file) as StoredSweep

/** @throws if the sweep does not have this run */
export const runOf = ({ runs }: StoredSweep, task: string, row: string, seed: number): StoredRun => {
  const id = cellId({ task: task as SweepTask, row, seed })
  const run = runs.find(({ cell }) => cell === id)
  if (run === undefined) throw new Error(`results: expected a run ${id}, got none`)
  return run
}

/** Scores of the last epoch by seed, in percent. */
export const scoresOf = (sweep: StoredSweep, task: SweepTask, row: string): ReadonlyArray<number> =>
  seeds.map((seed) => scoreOf(task, 'last', runOf(sweep, task, row, seed).result))

const metricTitles: Readonly<Record<string, string>> = { matthews: 'Matthews', pearson: 'Pearson' }

/** `cola (Matthews)` */
export const taskTitle = (task: SweepTask): string => {
  const { paperMetric } = GLUE_TASKS[task]
  return `${task} (${metricTitles[paperMetric] ?? paperMetric})`
}

/** A row's mean over the tasks' means. */
export const averageOf = (sweep: StoredSweep, row: string): number => mean(tasks.map((task) => mean([...scoresOf(sweep, task, row)])))

export type TaskDifference = {
  readonly task: SweepTask
  readonly pairs: ReadonlyArray<number>
  readonly mean: number
  readonly interval: Interval | null
}

/**
 * `row` minus `other`, pairs of one seed, by task. Pairs that were seen while SaLoRA's defaults were chosen are left out if one of the rows is
 * SaLoRA.
 */
export const taskDifferences = (
  sweep: StoredSweep,
  encoder: Encoder,
  row: string,
  other: string,
  on: ReadonlyArray<SweepTask> = tasks,
): ReadonlyArray<TaskDifference> => {
  const hasSalora = row.startsWith('salora') || other.startsWith('salora')
  return on.map((task) => {
    const [first, second] = [scoresOf(sweep, task, row), scoresOf(sweep, task, other)]
    const pairs = seeds.flatMap((seed) => (hasSalora && encoder.wasSeen(task, seed) ? [] : [(first[seed] ?? NaN) - (second[seed] ?? NaN)]))
    return { task, pairs, mean: mean(pairs), interval: tInterval(pairs) }
  })
}

/** The difference over all tasks, its error clustered by task. */
export const overallDifference = (differences: ReadonlyArray<Pick<TaskDifference, 'pairs'>>): ClusteredDifference =>
  clusteredDifference(differences.map(({ pairs }) => pairs)) as ClusteredDifference

/** The same over both encoders with a task on one encoder as unit: as many clusters as there are tasks and encoders. */
export const overTasksAndEncoders = (byEncoder: ReadonlyArray<ReadonlyArray<TaskDifference>>): ClusteredDifference =>
  overallDifference(byEncoder.flat())

/** Over both encoders: each encoder's effect on a task is one observation of that task, so the clusters are the tasks. */
export const overBoth = (byEncoder: ReadonlyArray<ReadonlyArray<TaskDifference>>): ClusteredDifference =>
  clusteredDifference(
    tasks.map((task) => byEncoder.flatMap((differences) => differences.filter((one) => one.task === task).map((one) => one.mean))),
  ) as ClusteredDifference

/** Parameters that a run ends with, without its head. */
export const sizeOf = ({ retainedParameters, trainableParameters }: RunResult): number =>
  retainedParameters ?? Object.entries(trainableParameters).reduce((sum, [name, count]) => (name === 'head' ? sum : sum + count), 0)
