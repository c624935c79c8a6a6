/** A training event as a line of metrics.jsonl. */
import type { TrainingEvent } from '../../accelerated/training/events.js'

type LoggedEvent = Exclude<TrainingEvent, { readonly kind: 'start' | 'checkpoint' | 'evaluating' | 'sampling' }>

export const lineOf = (event: LoggedEvent): { readonly kind: string; readonly step: number } => {
  if (event.kind === 'phase') return { kind: event.name, step: event.step, ...event.facts }
  if (event.kind !== 'step') return event
  const { columns, ...common } = event
  return { ...common, ...columns }
}
