/** What a sweep over GLUE is asked for, and the events that it emits. */
import type { ExecutorEvent } from '../cells/executor.js'
import type { Grid, SweepRequest } from './plan.js'
import type { Reported } from './score.js'

export type GlueSweepOptions = SweepRequest & {
  readonly output: string
  readonly jobs: number
  readonly reported: Reported
  /** the row that others are compared with; null: lora, if the table has it */
  readonly baseline: string | null
  /** learning rates to choose from, for each task and row, with a seed of its own; null: the recipe's rate */
  readonly grid: Grid | null
  /** a zip with one row's predictions for the test files (null: the last row); null: no zip. An aborted sweep writes none */
  readonly submission: { readonly file: string; readonly row: string | null } | null
}

export type OnSweepEvent = (
  event:
    | ExecutorEvent
    | { readonly kind: 'message'; readonly text: string }
    | { readonly kind: 'planned'; readonly stage: 'grid' | 'table'; readonly cells: number },
) => void
