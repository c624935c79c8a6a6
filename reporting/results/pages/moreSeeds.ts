/** What more seeds would change: the error of a mean over sets, whose part that comes from seeds falls with their number. */
import { mean, sampleVariance as variance } from 'simple-statistics'
import { clusteredDifference } from '../../../evaluation/glue/statistics.js'
import { markdown, type Region } from '../page.js'

type ErrorBySeeds = {
  /** of the variance of the mean, from 0 to 1 */
  readonly shareOfSeeds: number
  readonly error: number
  /** the expected error with the asked number of seeds for each set */
  readonly errorThen: number
}

/**
 * The variance of a mean over S sets is Var(means of the sets) / S. Seeds make Σ_s (w_s / n_s) / S² of it, where w_s is the variance of a set's n_s
 * differences. With n seeds each, that part is Σ_s (w_s / n) / S².
 * @param differences of each set by seed, two or more each, of two sets or more
 */
const errorBySeeds = (differences: ReadonlyArray<ReadonlyArray<number>>, seeds: number): ErrorBySeeds => {
  const sets = differences.length
  const error = clusteredDifference(differences)?.standardError ?? NaN
  const partWith = (numberOf: (ofSet: ReadonlyArray<number>) => number): number =>
    mean(differences.map((ofSet) => variance([...ofSet]) / numberOf(ofSet))) / sets
  const ofSeeds = partWith((ofSet) => ofSet.length)
  return {
    shareOfSeeds: Math.min(1, ofSeeds / error ** 2),
    error,
    errorThen: Math.sqrt(Math.max(0, error ** 2 - ofSeeds) + partWith(() => seeds)),
  }
}

/** One sentence for a page. @param of what the mean is over: `set` @param digits of the errors */
export const moreSeeds = (differences: ReadonlyArray<ReadonlyArray<number>>, seeds: number, of: string, digits: number): Region => {
  const { shareOfSeeds, error, errorThen } = errorBySeeds(differences, seeds)
  return markdown(
    `Seeds make ${Math.round(100 * shareOfSeeds)} % of the variance of this mean, and the ${of}s make the rest. ` +
      `With ${seeds} seeds for each ${of}, the expected error is ${errorThen.toFixed(digits)}, in place of ${error.toFixed(digits)}.`,
  )
}
