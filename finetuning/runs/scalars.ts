/** The numbers of a line of metrics.jsonl by their names in trackers: `train/taskLoss`, `evaluation/accuracy`. */

export type Scalars = ReadonlyArray<readonly [tag: string, value: number]>

/** A line of metrics.jsonl, from this run or from a file. */
export type MetricsLine = {
  readonly kind: string
  readonly step: number
  readonly scores?: Readonly<Record<string, unknown>> | undefined
  readonly [column: string]: unknown
}

/** Prefixes `train/` and `evaluation/`, since both may have a `loss`. NaN (null in JSON) has no point. */
export const scalarsOf = ({ kind, step: _, scores, ...columns }: MetricsLine): Scalars => {
  if (kind === 'step') return numbersOf('train', columns)
  return kind === 'evaluation' || kind === 'test' ? numbersOf(kind, scores ?? {}) : []
}

/** The numbers among the values, with their group's prefix. */
export const numbersOf = (group: string, values: Readonly<Record<string, unknown>>): Scalars =>
  Object.entries(values).flatMap(([name, value]) => (typeof value === 'number' ? [[`${group}/${name}`, value] as const] : []))
