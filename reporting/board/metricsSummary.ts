/** What a list shows of a run's metrics.jsonl: the newest step, the evaluations, and the time of a step. */

export type Evaluation = { readonly step: number; readonly scores: Readonly<Record<string, number>> }

export type MetricsSummary = {
  readonly step: number
  readonly loss: number | null
  readonly density: number | null
  readonly lambda: number | null
  readonly tokensPerSecond: number | null
  readonly stepsPerEpoch: number | null
  /** mean of the newest steps */
  readonly secondsPerStep: number | null
  /** the newest evaluation that was the best one at its time */
  readonly best: Evaluation | null
  readonly last: Evaluation | null
  /** number of lines that are not events of a run */
  readonly invalidLines: number
}

export type MetricsSummarizer = {
  readonly onLine: (line: Buffer) => void
  /** forgets all lines */
  readonly onReset: () => void
  readonly summary: () => MetricsSummary
}

/** Of a file without a line. */
export const noMetrics: MetricsSummary = {
  step: 0,
  loss: null,
  density: null,
  lambda: null,
  tokensPerSecond: null,
  stepsPerEpoch: null,
  secondsPerStep: null,
  best: null,
  last: null,
  invalidLines: 0,
}

/** Number of steps in the mean time of a step. */
const timedSteps = 32
/** Maximum number of metrics in one evaluation. */
const metricLimit = 100

export const metricsSummarizer = (): MetricsSummarizer => {
  let summary = noMetrics
  let seconds: ReadonlyArray<number> = []
  return {
    onReset: () => {
      ;[summary, seconds] = [noMetrics, []]
    },
    summary: () => ({ ...summary, secondsPerStep: seconds.length === 0 ? null : seconds.reduce((a, b) => a + b, 0) / seconds.length }),
    onLine: (line) => {
      const event = eventOf(line)
      if (event === null) summary = { ...summary, invalidLines: summary.invalidLines + 1 }
      if (event?.fields['kind'] === 'evaluation') summary = withEvaluation(summary, event)
      if (event?.fields['kind'] !== 'step') return
      summary = withStep(summary, event)
      const duration = secondsOf(event)
      if (duration !== null) seconds = [...seconds.slice(1 - timedSteps), duration]
    },
  }
}

type MetricsEvent = { readonly step: number; readonly fields: Readonly<Record<string, unknown>> }

const withEvaluation = (summary: MetricsSummary, { step, fields }: MetricsEvent): MetricsSummary => {
  const evaluation = { step, scores: scoresOf(fields['scores']) }
  return { ...summary, last: evaluation, ...(fields['best'] === true ? { best: evaluation } : {}) }
}

const withStep = (summary: MetricsSummary, { step, fields }: MetricsEvent): MetricsSummary => {
  const epoch = numberOf(fields['epoch'])
  return {
    ...summary,
    step,
    loss: numberOf(fields['taskLoss']),
    density: numberOf(fields['density']),
    lambda: numberOf(fields['lambda']),
    tokensPerSecond: numberOf(fields['tokensPerSecond']),
    stepsPerEpoch: epoch !== null && epoch > 0 ? Math.max(1, Math.round(step / epoch)) : summary.stepsPerEpoch,
  }
}

const secondsOf = ({ fields }: MetricsEvent): number | null => {
  const [tokens, tokensPerSecond] = [numberOf(fields['tokens']), numberOf(fields['tokensPerSecond'])]
  return tokens !== null && tokensPerSecond !== null && tokensPerSecond > 0 ? tokens / tokensPerSecond : null
}

const numberOf = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null)

const eventOf = (line: Buffer): MetricsEvent | null => {
  try {
    const fields: unknown = JSON.parse(line.toString())
    if (typeof fields !== 'object' || fields === null || !('step' in fields) || !Number.isSafeInteger(fields.step)) return null
    const step = Number(fields.step)
    return step < 0 ? null : { step, fields: fields as MetricsEvent['fields'] }
  } catch {
    return null
  }
}

const scoresOf = (scores: unknown): Evaluation['scores'] => {
  if (typeof scores !== 'object' || scores === null) return {}
  const finite = Object.entries(scores)
    .slice(0, metricLimit)
    .flatMap(([metric, value]) => (numberOf(value) === null ? [] : [[metric, Number(value)] as const]))
  return Object.fromEntries(finite)
}
