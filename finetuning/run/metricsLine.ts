/** A line of metrics.jsonl: made from an event, and read as numbers for trackers. */
import type { TrainingEvent } from '../../accelerated/training/events.js'

type LoggedEvent = Exclude<TrainingEvent, { readonly kind: 'start' | 'checkpoint' | 'evaluating' | 'sampling' }>

export const toMetricsLine = (event: LoggedEvent): { readonly kind: string; readonly step: number } => {
  if (event.kind === 'phase') return { kind: event.name, step: event.step, ...event.facts }
  if (event.kind !== 'step') return event
  const { columns, ...common } = event
  return { ...common, ...columns }
}

/** Numbers by their names in trackers: `train/taskLoss`, `evaluation/accuracy`. */
export type Scalars = readonly (readonly [tag: string, value: number])[]

/** A line of metrics.jsonl, from this run or from a file. */
export type MetricsLine = {
  readonly kind: string
  readonly step: number
  readonly scores?: Readonly<Record<string, unknown>> | undefined
  readonly [column: string]: unknown
}

/** Prefixes `train/` and `evaluation/`, since both may have a `loss`. NaN (null in JSON) has no point. */
export const toScalars = ({ kind, step: _, scores, ...columns }: MetricsLine): Scalars => {
  if (kind === 'step') return pickNumbers('train', columns)
  return kind === 'evaluation' || kind === 'test' ? pickNumbers(kind, scores ?? {}) : []
}

/** The numbers among the values, with their group's prefix. */
export const pickNumbers = (group: string, values: Readonly<Record<string, unknown>>): Scalars =>
  Object.entries(values).flatMap(([name, value]) => (typeof value === 'number' ? [[`${group}/${name}`, value] as const] : []))
