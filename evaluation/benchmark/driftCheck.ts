/** Is a long run as fast at its end as at its beginning, and as large? Medians over the second hundred of its steps and over the last. */
import { median } from 'simple-statistics'

/** A measurement after a step. */
export type StepSample = { readonly tokensPerSecond: number; readonly residentBytes: number }

type Change = {
  readonly early: number
  readonly late: number
  /** late over early */
  readonly ratio: number
}
export type Flatness = Readonly<Record<keyof StepSample, Change>> & {
  /** medians of the tokens a second of each hundred steps: a trend shows where two of them may not */
  readonly hundreds: ReadonlyArray<number>
}

const stretch = 100
/** The first hundred, the second and the last must not be one. */
export const leastSteps = 3 * stretch

/** The first hundred steps open sessions and fill what is kept. @throws if there are fewer than `leastSteps` */
export const flatness = (samples: ReadonlyArray<StepSample>): Flatness => {
  if (samples.length < leastSteps) throw new Error(`flatness: expected at least ${leastSteps} steps, got ${samples.length}`)
  const change = (quantity: keyof StepSample): Change => {
    const [early, late] = [samples.slice(stretch, 2 * stretch), samples.slice(-stretch)].map((steps) =>
      median(steps.map((sample) => sample[quantity])),
    ) as [number, number]
    return { early, late, ratio: late / early }
  }
  const hundreds = Array.from({ length: Math.floor(samples.length / stretch) }, (_, i) =>
    median(samples.slice(i * stretch, (i + 1) * stretch).map(({ tokensPerSecond }) => tokensPerSecond)),
  )
  return { tokensPerSecond: change('tokensPerSecond'), residentBytes: change('residentBytes'), hundreds }
}
