/** The remaining time of a run. It comes from the board's own observations, which include evaluations, or at first from the times of the steps. */
import { plannedSteps as stepsOfSettings } from '../../accelerated/training/runLength.js'
import type { RunConfig } from '../../finetuning/runs/run.js'
import type { MetricsSummary } from './metricsSummary.js'

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
