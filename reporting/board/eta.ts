/** How long a run will go on: by what the board itself saw of it, evaluations included; until it has seen enough, by the steps' own times. */
import type { RunConfig } from '../../finetuning/runs/run.js'
import type { Digest } from './digest.js'

/** Steps of the whole run, as `salora train` plans them; null before its first step has told how many an epoch has. */
export const plannedSteps = ({ settings }: Pick<RunConfig, 'settings'>, stepsPerEpoch: number | null): number | null => {
  const { maxSteps, epochs } = settings
  if (typeof maxSteps === 'number') return maxSteps
  return stepsPerEpoch === null || typeof epochs !== 'number' ? null : Math.max(1, Math.round(epochs * stepsPerEpoch))
}

export type Pace = {
  /** @param now milliseconds */
  readonly see: (step: number, now: number) => void
  /** seconds for so many steps; null where nothing is known */
  readonly left: (steps: number, digest: Pick<Digest, 'secondsPerStep'>) => number | null
}

/** Milliseconds that are looked back on, and from which on they tell more than the steps' own times. */
const [longest, shortest] = [600_000, 20_000]
/** Steps that they must hold. */
const fewest = 5
/** Looks that are kept. */
const kept = 120

export const openPace = (): Pace => {
  let seen: ReadonlyArray<{ readonly step: number; readonly now: number }> = []
  return {
    see: (step, now) => {
      const last = seen.at(-1)
      if (last !== undefined && step < last.step) seen = [] // resumed at an earlier step
      if (last?.step === step || (last !== undefined && step >= last.step && now - last.now < longest / kept)) return
      seen = [...seen, { step, now }].filter((one) => now - one.now <= longest)
    },
    left: (steps, { secondsPerStep }) => {
      const [first, last] = [seen[0], seen.at(-1)]
      if (first !== undefined && last !== undefined && last.now - first.now >= shortest && last.step - first.step >= fewest)
        return (steps * (last.now - first.now)) / (last.step - first.step) / 1000
      return secondsPerStep === null ? null : steps * secondsPerStep
    },
  }
}
