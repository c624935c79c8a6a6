/** Zero padding: sums of padded parts are the sums of their numbers, whether zeros were added or not. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { add, constant, expand, scalar, slice } from '../../../accelerated/graph/operators.js'
import { padded, addPadded } from '../../../accelerated/graph/padding.js'
import { evaluate, resultOf } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'

const length = 7
/** A part of a vector of seven numbers: ones, twos or threes. */
const part = fc
  .tuple(fc.nat(length - 1), fc.integer({ min: 1, max: length }), fc.integer({ min: 1, max: 3 }))
  .map(([start, size, value]) => ({ start, size: Math.min(size, length - start), value }))
type Part = { readonly start: number; readonly size: number; readonly value: number }

const expressionOf = ({ start, size, value }: Part): Expression =>
  padded(constant(new Array<number>(size).fill(value), [size], 'float64'), 0, start, length - start - size)
const numbersOf = ({ start, size, value }: Part): readonly number[] =>
  Array.from({ length }, (_, i) => (i >= start && i < start + size ? value : 0))

describe(`the sum of padded parts (seed ${SEED})`, () => {
  it('has the numbers of their sum, and adds no zeros where a part falls within the zeros of the others', () =>
    fc.assert(
      fc.asyncProperty(fc.array(part, { minLength: 2, maxLength: 4 }), async (parts) => {
        const [first, ...others] = parts as [Part, ...Part[]]
        const apart = (i: number): boolean =>
          parts.slice(0, i).every(({ start, size }) => {
            const own = parts[i] as Part
            return own.start >= start + size || own.start + own.size <= start
          })
        const sum = others.reduce((total, one, i) => {
          const joined = addPadded(total, expressionOf(one))
          if (parts.slice(0, i + 2).every((_, j) => apart(j))) expect(joined?.op).toBe('Concat')
          return joined ?? add(total, expressionOf(one))
        }, expressionOf(first))
        const expected = parts.map(numbersOf).reduce((total, one) => total.map((x, i) => x + (one[i] ?? NaN)))
        expect(sum.shape).toEqual([length])
        expect(resultOf(await evaluate({ sum }), 'sum')).toEqual(expected)
      }),
      { seed: SEED, numRuns: 60 },
    ))

  it('joins no other operator along the same axis, even a part of zeros', () => {
    const zeros = expand(scalar(0, 'float64'), [length + 2])
    expect(addPadded(slice(zeros, 0, 1, length), expressionOf({ start: 2, size: 3, value: 1 }))).toBeNull()
  })
})
