/** What the leader of a run holds: its lease in Redis, and what it knows of its workers. */
import type { Redis } from 'ioredis'
import type { FloatType } from '../../accelerated/graph/expression.js'
import type { Exchange } from './exchange.js'
import type { Work } from './frame.js'
import type { Pace } from './pace.js'

export type Leadership = {
  readonly client: Redis
  /** the run's id in Redis */
  readonly id: string
  /** names this process, as workers see it */
  readonly leader: string
  readonly dtype: FloatType
  readonly exchange: Exchange
  /** parts of steps and of evaluations take other times */
  readonly paces: Readonly<Record<Work, Pace>>
  /** workers whose first part of a work was checked */
  readonly trusted: Readonly<Record<Work, Set<string>>>
  /** workers whose parts are no longer accepted */
  readonly refused: Set<string>
  /** Reports a message once. */
  readonly warn: (message: string) => void
  /** Takes the lead, or keeps it. @throws InputError if another process has it */
  readonly lead: () => Promise<void>
  /** Milliseconds that the lead is kept without a sign of life. */
  readonly lease: () => number
  /** The result; null: Redis is down, full, or refuses. @throws TrainingError if another process leads the run by now */
  readonly attempt: <T>(work: () => Promise<T>) => Promise<T | null>
}
