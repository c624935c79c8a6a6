/** Compares two arrays of numbers and reports the quantity, the index and the size of the largest error. */

export interface Closeness {
  /** the quantity's name, for the message */
  readonly name?: string
  /** bound on the error as a share of the largest |expected| of the array */
  readonly relative: number
  /** bound on the error even if all of `expected` is small */
  readonly absolute?: number
}

/** Throws unless every |actual − expected| ≤ absolute + relative · max |expected|. NaN is never close. */
export const assertClose = (
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  { relative, absolute = 0, name = 'values' }: Closeness,
): void => {
  if (actual.length !== expected.length) throw new Error(`${name}: expected ${expected.length} numbers, actual ${actual.length}`)
  const indices = Array.from(expected, (_, index) => index)
  const bound = absolute + relative * indices.reduce((most, index) => Math.max(most, Math.abs(expected[index]!)), 0)
  const error = (index: number): number => {
    const difference = Math.abs(actual[index]! - expected[index]!)
    return Number.isNaN(difference) ? Infinity : difference
  }
  const worst = indices.reduce((most, index) => (error(index) > error(most) ? index : most), 0)
  if (indices.length > 0 && !(error(worst) <= bound)) {
    throw new Error(
      `${name}: at index ${worst} of ${expected.length} expected ${expected[worst]}, actual ${actual[worst]}, ` +
        `difference ${error(worst)} exceeds ${bound}`,
    )
  }
}
