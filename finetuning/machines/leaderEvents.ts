/**
 * The leader as a run sees it. No type here is of bullmq or ioredis, which are optional: the declarations of the package compile without them.
 */
import type { AnswersExecutor, PartExecutor } from '../../accelerated/training/microBatchGradient.js'
import type { WorkersReport } from './pace.js'

/** The connection to Redis dropped or returned, or Redis refuses commands, with its reason. */
export type QueueEvent = { readonly kind: 'queue'; readonly connected: boolean; readonly refusal?: string }

export type LeaderEvent =
  | { readonly kind: 'warning'; readonly message: string }
  | QueueEvent
  | ({ readonly kind: 'workers'; readonly step: number } & WorkersReport)

export type Leader = {
  readonly executor: PartExecutor
  readonly answers: AnswersExecutor
  /** What happened since the last call. */
  readonly events: () => readonly LeaderEvent[]
  /** Ends the run in Redis and closes the connection. */
  readonly close: () => Promise<void>
}
