/** A cell: one run, and in a sweep its row, task and seed. */
import type { RunOptions } from '../../finetuning/runs/run.js'
import type { GlueName } from '../../finetuning/data/glueTasks.js'

/** One run of a sweep or of a search. */
export type RunCell = {
  /** names the run's folder and its lines in logs: `mrpc.salora.seed-0` */
  readonly id: string
  readonly options: Omit<RunOptions, 'output' | 'resume'>
}

export type Cell = RunCell & {
  /** the table's row: a method, or a method with changed settings */
  readonly row: string
  readonly task: GlueName
  readonly seed: number
}
