/** A cell of a sweep over GLUE: a run, and its row, task and seed. */
import type { GlueName } from '../../finetuning/data/glueTasks.js'
import type { RunCell } from '../cells/cell.js'

export type Cell = RunCell & {
  /** the table's row: a method, or a method with changed settings */
  readonly row: string
  readonly task: GlueName
  readonly seed: number
}
