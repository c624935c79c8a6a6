/** What a list shows of a run's metrics.jsonl: the newest step, the evaluations, the time of a step, and the remaining time. */
import { plannedSteps as stepsOfSettings } from '../../accelerated/training/runLength.js'
import type { RunConfig } from '../../finetuning/runs/run.js'

export type Evaluation = {
  readonly step: number
  readonly scores: Readonly<Record<string, number>>
  /** the metric whose score selects the best checkpoint; absent: it is a mean of several */
  readonly selectedBy?: string
}

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
  const scores = scoresOf(fields['scores'])
  const selection = numberOf(fields['selection'])
  const selectedBy = Object.keys(scores).find((metric) => selection !== null && Math.abs(scores[metric] ?? NaN) === Math.abs(selection)) // −loss
  const evaluation = { step, scores, ...(selectedBy === undefined ? {} : { selectedBy }) }
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

/** Steps of the whole run; null if it counts epochs and has not logged a step yet. */
export const plannedSteps = ({ settings }: Pick<RunConfig, 'settings'>, stepsPerEpoch: number | null): number | null => {
  const { maxSteps, epochs } = settings // of a file, which may hold anything
  if (typeof maxSteps === 'number') return maxSteps
  return stepsPerEpoch === null || (epochs !== null && typeof epochs !== 'number')
    ? null
    : stepsOfSettings({ maxSteps: null, epochs }, stepsPerEpoch)
}

export type EtaEstimator = {
  /** @param now time of the step in milliseconds */
  readonly observe: (step: number, now: number) => void
  /** seconds for `steps` more steps; null if no speed is known */
  readonly secondsFor: (steps: number, metrics: Pick<MetricsSummary, 'secondsPerStep'>) => number | null
}

/** Milliseconds of the longest observation, and of the shortest one that is used. */
const [maxSpan, minSpan] = [600_000, 20_000]
/** Fewest steps of an observation that is used. */
const minSteps = 5
/** Maximum number of observations. */
const maxObservations = 120

export const etaEstimator = (): EtaEstimator => {
  let observations: ReadonlyArray<{ readonly step: number; readonly now: number }> = []
  return {
    observe: (step, now) => {
      const last = observations.at(-1)
      if (last !== undefined && step < last.step) observations = [] // resumed from an earlier step
      if (last?.step === step || (last !== undefined && step >= last.step && now - last.now < maxSpan / maxObservations)) return
      observations = [...observations, { step, now }].filter((one) => now - one.now <= maxSpan)
    },
    secondsFor: (steps, { secondsPerStep }) => {
      const [first, last] = [observations[0], observations.at(-1)]
      if (first !== undefined && last !== undefined && last.now - first.now >= minSpan && last.step - first.step >= minSteps)
        return (steps * (last.now - first.now)) / (last.step - first.step) / 1000
      return secondsPerStep === null ? null : steps * secondsPerStep
    },
  }
}
