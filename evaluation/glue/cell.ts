/** A cell of a sweep: one run with its row, task and seed. */
import type { RunOptions } from '../../finetuning/runs/run.js'
import type { GlueName } from '../../finetuning/data/glueTasks.js'

export type Cell = {
  /** names the run's folder and its lines in logs: `mrpc.salora.seed-0` */
  readonly id: string
  /** the table's row: a method, or a method with changed settings */
  readonly row: string
  readonly task: GlueName
  readonly seed: number
  readonly options: Omit<RunOptions, 'output' | 'resume'>
}
