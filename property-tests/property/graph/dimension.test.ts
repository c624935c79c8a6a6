/** Dimensions: what their texts mean, against the numbers that they were made of. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { factors, product, resolveDimension, sum, terms } from '../../../accelerated/graph/dimension.js'
import type { Dimension } from '../../../accelerated/graph/expression.js'
import { SEED } from '../../support/seed.js'

const sizes = { batch: 2, sequence: 5, tokens: 7, 'pool(0.1)': 11 }

/** A dimension of any depth, and the number that it is to be in a run with these sizes. */
type Made = { readonly dimension: Dimension; readonly size: number }
const { made } = fc.letrec<{ made: Made }>((tie) => {
  const several = fc.array(tie('made'), { minLength: 1, maxLength: 3 })
  const of = (parts: readonly Made[]): readonly Dimension[] => parts.map(({ dimension }) => dimension)
  return {
    made: fc.oneof(
      { maxDepth: 3 },
      fc.integer({ min: 1, max: 9 }).map((size) => ({ dimension: size, size })),
      fc.constantFrom(...Object.entries(sizes)).map(([dimension, size]) => ({ dimension, size })),
      several.map((parts) => ({ dimension: sum(of(parts)), size: parts.reduce((total, { size }) => total + size, 0) })),
      several.map((parts) => ({ dimension: product(of(parts)), size: parts.reduce((total, { size }) => total * size, 1) })),
    ),
  }
})

describe(`dimensions (seed ${SEED})`, () => {
  it('have the size of their parts, however sums and products nest', () =>
    fc.assert(
      fc.property(made, ({ dimension, size }) => {
        expect(resolveDimension(dimension, sizes)).toBe(size)
      }),
      { seed: SEED, numRuns: 500 },
    ))

  it('multiply to a text with the number first, names in order and sums in parentheses', () => {
    expect(product([2, 3])).toBe(6)
    expect(product([])).toBe(1)
    expect(product(['batch', 12, 'sequence', 2])).toBe('24*batch*sequence')
    expect(product([product([4, 'a']), 3])).toBe('12*a')
    expect(product([1, 'tokens+1'])).toBe('tokens+1')
    expect(product([12, 'batch', 'sequence', '3+sequence'])).toBe('12*batch*sequence*(3+sequence)')
    expect(product(['pool(0.1)', 2])).toBe('2*pool(0.1)')
  })

  it('add to a text with neighboring numbers added and the rest in order', () => {
    expect(sum([2, 3])).toBe(5)
    expect(sum([])).toBe(0)
    expect(sum(['tokens', 1])).toBe('tokens+1')
    expect(sum([2, sum([3, 'sequence', 4]), 0, 1])).toBe('5+sequence+5')
    expect(sum([product(['batch', '5+sequence']), 1])).toBe('batch*(5+sequence)+1')
  })

  it('split into their terms or factors', () => {
    expect(terms('2*(3+a)+b+4')).toEqual(['2*(3+a)', 'b', 4])
    expect(factors('2*(3+a)*b')).toEqual([2, '3+a', 'b'])
    expect(factors('3+a*b')).toEqual(['3+a*b'])
    expect([terms('pool(1e+5*2)'), factors('pool(1e+5*2)')]).toEqual([['pool(1e+5*2)'], ['pool(1e+5*2)']])
  })

  it('are looked up by their full name before they are split', () => {
    expect(resolveDimension('batch*sequence', { 'batch*sequence': 6 })).toBe(6)
    expect(resolveDimension(4, {})).toBe(4)
  })

  it('report the name that has no size', () => {
    expect(() => resolveDimension('2*(3+rows)', { tokens: 1, batch: 2 })).toThrow(
      'resolveDimension: expected a size for dimension rows, got tokens, batch',
    )
    expect(() => resolveDimension('toString', {}, 'dropoutOffsets')).toThrow('dropoutOffsets: expected a size for dimension toString, got ')
  })
})
