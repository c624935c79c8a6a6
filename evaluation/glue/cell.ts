/** A cell of a sweep: one run, by what it is and where it stands in the table. */
import type { FinetuneOptions } from '../../finetuning/runs/run.js'
import type { GlueName } from '../../finetuning/data/glueTasks.js'

export type Cell = {
  /** of its folder, and of its line in logs: `mrpc.salora.seed-0` */
  readonly id: string
  /** the line of the table: a method, or a method with something changed */
  readonly row: string
  readonly task: GlueName
  readonly seed: number
  readonly options: Omit<FinetuneOptions, 'output' | 'resume'>
}
