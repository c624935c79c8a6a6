/** Means, deviations and intervals as the results pages show them, derived here once more. */
import { expect } from 'vitest'

export const sum = (numbers: ReadonlyArray<number>): number => numbers.reduce((a, b) => a + b, 0)
export const mean = (numbers: ReadonlyArray<number>): number => sum(numbers) / numbers.length
export const deviation = (numbers: ReadonlyArray<number>): number =>
  Math.sqrt(sum(numbers.map((x) => (x - mean(numbers)) ** 2)) / (numbers.length - 1))
/** t of 0.975 by degrees of freedom, from a printed table. */
export const t = [NaN, 12.7062, 4.30265, 3.18245, 2.77645, 2.57058, 2.44691, 2.36462]
export const signed = (value: number, digits = 1): string => {
  const text = Math.abs(value).toFixed(digits)
  return Number(text) === 0 ? text : `${value > 0 ? '+' : '−'}${text}`
}
export const spread = (scores: ReadonlyArray<number>, digits = 1): string =>
  `${mean(scores).toFixed(digits)} ± ${Math.max(...scores.map((score) => Math.abs(score - mean(scores)))).toFixed(digits)}`
export const interval = (numbers: ReadonlyArray<number>): readonly [number, number] => {
  const radius = (t[numbers.length - 1]! * deviation(numbers)) / Math.sqrt(numbers.length)
  return [mean(numbers) - radius, mean(numbers) + radius]
}
export const shown = ([low, high]: readonly [number, number], digits = 1): string =>
  `${signed(low, digits)}\u00a0…\u00a0${signed(high, digits)}`
/** A mean over tasks with its clustered error, and what its interval shows. */
export const overall = (effects: ReadonlyArray<number>, digits = 1): readonly [string, string] => {
  const [low, high] = interval(effects)
  const error = deviation(effects) / Math.sqrt(effects.length)
  return [
    `${signed(mean(effects), digits)} ± ${error.toFixed(digits)} (${shown([low, high], digits)})`,
    low > 0 ? 'ahead' : high < 0 ? 'behind' : 'no difference shown',
  ]
}

/** Whether the page says what more seeds would change, by components of variance: `Seeds make 9 % …`. */
export const expectMoreSeeds = (text: string, differences: ReadonlyArray<ReadonlyArray<number>>, digits: number, most = 8): void => {
  const [share, seeds, then, now] = (/(\d+) % of the variance .* With (\d+) seeds .* is ([\d.]+), in place of ([\d.]+)\./.exec(text) ?? [])
    .slice(1)
    .map(Number)
  const between = deviation(differences.map(mean)) ** 2 - mean(differences.map((ofSet) => deviation(ofSet) ** 2 / ofSet.length))
  const errorWith = (count: (ofSet: ReadonlyArray<number>) => number): number =>
    Math.sqrt((between + mean(differences.map((ofSet) => deviation(ofSet) ** 2 / count(ofSet)))) / differences.length)
  const error = errorWith((ofSet) => ofSet.length)
  expect(seeds).toBe(most)
  expect(now).toBeCloseTo(error, digits)
  expect(then).toBeCloseTo(
    errorWith(() => most),
    digits,
  )
  expect(share).toBe(Math.round(100 * (1 - between / differences.length / error ** 2)))
}
