/** Small sizes that are never all equal. */
import fc from 'fast-check'

/** A length of an axis: 1 is as likely as the others. */
export const length = (max = 5): fc.Arbitrary<number> => fc.integer({ min: 1, max })

export interface LowRankShape {
  /** Rows of x. */
  readonly n: number
  readonly d: number
  readonly k: number
  readonly r: number
}

export const lowRankShape: fc.Arbitrary<LowRankShape> = fc.record({ n: length(), d: length(6), k: length(6), r: length(4) })
