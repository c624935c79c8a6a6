/** Discounts of modified Kneser-Ney smoothing from counts of counts (Chen & Goodman 1998, equation 26), and their fallback. */
import { inputError } from '../../accelerated/errors/inputError.js'
import type { Counted } from './counts.js'
import { unknownWord } from './vocabulary.js'

/** The discounts of adjusted counts 1, 2, and 3 or more. */
export type Discounts = readonly [number, number, number]

export type DiscountReport = {
  readonly order: number
  readonly discounts: Discounts
  /** why the fallback replaced the estimate; null if it did not */
  readonly replaced: string | null
}

/** lmplz's, for `--discount-fallback` without values. */
export const defaultFallback: Discounts = [0.5, 1, 1.5]

/** n₁ … n₄: how many n-grams have an adjusted count of 1, 2, 3 and 4. */
export type CountsOfCounts = readonly [number, number, number, number]

/**
 * As in lmplz. <unk> and <s> have a count of 0, and pruned n-grams count. At the end of its sorted corpus, lmplz still holds one n-gram of each order
 * below the highest. That n-gram counts by its raw count.
 */
export const countsOfCounts = ({ adjusted, raw, last }: Counted): CountsOfCounts => {
  const totals: [number, number, number, number, number] = [0, 0, 0, 0, 0]
  const add = (count: number, by: number): void => {
    if (count < 5) totals[count as 0] += by
  }
  for (const count of adjusted) add(count, 1)
  if (last !== null && last !== unknownWord) {
    add(adjusted[last] as number, -1)
    add(raw[last] as number, 1)
  }
  return [totals[1], totals[2], totals[3], totals[4]]
}

/** In float32 as lmplz: a discount that is 0 there may be negative in float64. */
const float32 = Math.fround

/** D₁, D₂, D₃₊: Dⱼ = j − (j + 1) Y nⱼ₊₁ / nⱼ with Y = n₁ / (n₁ + 2 n₂); or in words why there are none. Equation 26 of Chen & Goodman 1998. */
export const estimatedDiscounts = (n: CountsOfCounts): Discounts | string => {
  const absent = n.slice(0, 3).indexOf(0)
  if (absent !== -1) return `none with an adjusted count of ${absent + 1}`
  const y = float32(n[0] / float32(n[0] + 2 * n[1]))
  const discount = (j: 1 | 2 | 3): number => float32(j - float32(float32(float32((j + 1) * y) * n[j]) / (n[j - 1] as number)))
  const discounts: Discounts = [discount(1), discount(2), discount(3)]
  const wrong = discounts.findIndex((amount, i) => amount < 0 || amount > i + 1)
  return wrong === -1 ? discounts : `a discount of ${discounts[wrong]?.toFixed(3)} for an adjusted count of ${wrong + 1}`
}

/**
 * The discounts of one order. @throws InputError if they cannot be estimated and there is no fallback
 * @param name of the text, for the message
 */
export const discountsOf = (name: string, order: number, counted: Counted, fallback: Discounts | null): DiscountReport => {
  const estimated = estimatedDiscounts(countsOfCounts(counted))
  if (typeof estimated !== 'string') return { order, discounts: estimated, replaced: null }
  if (fallback !== null) return { order, discounts: fallback, replaced: estimated }
  throw inputError(
    name,
    `enough text for the discounts of ${order}-grams (--discount-fallback replaces them; is the text small, or artificial?)`,
    estimated,
  )
}
