/** What a list shows of a run's metrics.jsonl: the newest step, the evaluations, the time of a step, and the remaining time. */
import { mean } from 'd3-array'
import { plannedSteps as stepsOfSettings } from '../../accelerated/training/runLength.js'
import type { RunConfig } from '../../finetuning/run/run.js'

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

export const metricsSummarizer = () => {
  let [summary, seconds]: [MetricsSummary, readonly number[]] = [noMetrics, []]
  return {
    /** forgets all lines */
    onReset: (): void => {
      ;[summary, seconds] = [noMetrics, []]
    },
    summary: (): MetricsSummary => ({ ...summary, secondsPerStep: mean(seconds) ?? null }),
    onLine: (line: Buffer): void => {
      const fields = fieldsIn(line)
      if (fields === null) summary = { ...summary, invalidLines: summary.invalidLines + 1 }
      else if (fields['kind'] === 'evaluation') {
        const last = evaluationIn(fields)
        summary = { ...summary, last, best: fields['best'] === true ? last : summary.best }
      } else if (fields['kind'] === 'step') {
        summary = { ...summary, ...stepIn(fields), stepsPerEpoch: stepsPerEpochIn(fields) ?? summary.stepsPerEpoch }
        const tokens = asNumber(fields['tokens'])
        if (tokens !== null && (summary.tokensPerSecond ?? 0) > 0)
          seconds = [...seconds.slice(1 - timedSteps), tokens / (summary.tokensPerSecond ?? 1)]
      }
    },
  }
}

type Fields = Readonly<Record<string, unknown>> & { readonly step: number }

/** null for a line that is no event of a run */
const fieldsIn = (line: Buffer): Fields | null => {
  try {
    const fields: unknown = JSON.parse(line.toString())
    if (typeof fields !== 'object' || fields === null || !('step' in fields) || !Number.isSafeInteger(fields.step)) return null
    return Number(fields.step) < 0 ? null : (fields as Fields)
  } catch {
    return null
  }
}

const asNumber = (value: unknown): number | null => (typeof value === 'number' && Number.isFinite(value) ? value : null)

const stepIn = ({ step, ...fields }: Fields) => ({
  step,
  loss: asNumber(fields['taskLoss']),
  density: asNumber(fields['density']),
  lambda: asNumber(fields['lambda']),
  tokensPerSecond: asNumber(fields['tokensPerSecond']),
})

const stepsPerEpochIn = ({ step, epoch: value }: Fields): number | null => {
  const epoch = asNumber(value)
  return epoch !== null && epoch > 0 ? Math.max(1, Math.round(step / epoch)) : null
}

const evaluationIn = ({ step, scores: found, selection: value }: Fields): Evaluation => {
  const entries = typeof found === 'object' && found !== null ? Object.entries(found).slice(0, metricLimit) : []
  const scores = Object.fromEntries(entries.filter(([, score]) => asNumber(score) !== null)) as Evaluation['scores']
  const selection = asNumber(value)
  const selectedBy = Object.keys(scores).find((metric) => selection !== null && Math.abs(scores[metric] ?? NaN) === Math.abs(selection)) // −loss
  return { step, scores, ...(selectedBy === undefined ? {} : { selectedBy }) }
}

/** Steps of the whole run; null if it counts epochs and has not logged a step yet. */
export const plannedSteps = ({ settings }: Pick<RunConfig, 'settings'>, stepsPerEpoch: number | null): number | null => {
  const { maxSteps, epochs } = settings // of a file, which may hold anything
  if (typeof maxSteps === 'number') return maxSteps
  return stepsPerEpoch === null || (epochs !== null && typeof epochs !== 'number')
    ? null
    : stepsOfSettings({ maxSteps: null, epochs }, stepsPerEpoch)
}

/** Milliseconds of the longest observation, and of the shortest one that is used. */
const [maxSpan, minSpan] = [600_000, 20_000]
/** Fewest steps of an observation that is used. */
const minSteps = 5
/** Maximum number of observations. */
const maxObservations = 120

export const etaEstimator = () => {
  let observations: readonly { readonly step: number; readonly now: number }[] = []
  return {
    /** @param now time of the step in milliseconds */
    observe: (step: number, now: number): void => {
      const last = observations.at(-1)
      if (last !== undefined && step < last.step) observations = [] // resumed from an earlier step
      if (last?.step === step || (last !== undefined && step >= last.step && now - last.now < maxSpan / maxObservations)) return
      observations = [...observations, { step, now }].filter((one) => now - one.now <= maxSpan)
    },
    /** seconds for `steps` more steps; null if no speed is known */
    secondsFor: (steps: number, { secondsPerStep }: Pick<MetricsSummary, 'secondsPerStep'>): number | null => {
      const [first, last] = [observations[0], observations.at(-1)]
      if (first !== undefined && last !== undefined && last.now - first.now >= minSpan && last.step - first.step >= minSteps)
        return (steps * (last.now - first.now)) / (last.step - first.step) / 1000
      return secondsPerStep === null ? null : steps * secondsPerStep
    },
  }
}
