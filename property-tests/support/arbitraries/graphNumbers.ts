/**
 * Numbers that are spread evenly over an interval. `fc.double` is even over bit patterns, so most of its numbers are below 1e-100. For these
 * inputs, a wrong gradient and a right one are both zero.
 */
import fc from 'fast-check'

const steps = 2 ** 30

export const evenly = (min: number, max: number): fc.Arbitrary<number> =>
  fc.noBias(fc.integer({ min: 0, max: steps })).map((i) => min + ((max - min) * i) / steps)

/** `count` of them. */
export const evenlyMany =
  (min: number, max: number) =>
  (count: number): fc.Arbitrary<number[]> =>
    fc.array(evenly(min, max), { minLength: count, maxLength: count })
