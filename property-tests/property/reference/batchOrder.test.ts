import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { planEpoch } from '../../../reference/index.js'
import { SEED } from '../../support/seed.js'

const range = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)
const permutationOf = (n: number): fc.Arbitrary<readonly number[]> => fc.shuffledSubarray([...range(n)], { minLength: n })
const epochs = fc
  .record({ lengths: fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 320, size: 'max' }), batchSize: fc.integer({ min: 1, max: 3 }) })
  .chain(({ lengths, batchSize }) =>
    fc.record({
      lengths: fc.constant(lengths),
      batchSize: fc.constant(batchSize),
      examples: permutationOf(lengths.length),
      batches: permutationOf(Math.ceil(lengths.length / batchSize)),
    }),
  )

describe(`the order of an epoch (seed ${SEED})`, () => {
  it('matches an example computed by hand', () => {
    const lengths = [4, 9, 4, 7, 9, 1, 4]
    // Permuted: rows 6, 5, 4, 3, 2, 1, 0 of lengths 4, 1, 9, 7, 4, 9, 4. Sorted: 4 1 3 6 2 0 5; in threes: [4 1 3] [6 2 0] [5].
    const order = { examples: [6, 5, 4, 3, 2, 1, 0], batches: [1, 2, 0] }
    expect(planEpoch(lengths, 3, order)).toEqual([[6, 2, 0], [5], [4, 1, 3]])
    expect(planEpoch(lengths, 3, { ...order, examples: range(7) })).toEqual([[0, 2, 6], [5], [1, 4, 3]])
  })

  it('has every example once, and at most one batch that is not full', () => {
    fc.assert(
      fc.property(epochs, ({ lengths, batchSize, examples, batches }) => {
        const epoch = planEpoch(lengths, batchSize, { examples, batches })
        expect([...epoch.flat()].sort((a, b) => a - b)).toEqual(range(lengths.length))
        expect(epoch.filter((batch) => batch.length !== batchSize).length).toBeLessThanOrEqual(lengths.length % batchSize === 0 ? 0 : 1)
      }),
      { seed: SEED, numRuns: 200 },
    )
  })

  it('groups the examples of a chunk of 50 batches by length, longest first, and keeps ties in permuted order', () => {
    fc.assert(
      fc.property(epochs, ({ lengths, batchSize, examples, batches }) => {
        const epoch = planEpoch(lengths, batchSize, { examples, batches })
        const inTurn = range(epoch.length).flatMap((n) => epoch[batches.indexOf(n)]!)
        const place = (row: number): number => examples.indexOf(row)
        const stretch = (row: number): number => Math.floor(place(row) / (50 * batchSize))
        inTurn.slice(1).forEach((row, i) => {
          const before = inTurn[i]!
          const steps = [stretch(row) - stretch(before), lengths[before]! - lengths[row]!, place(row) - place(before)]
          expect(steps.find((difference) => difference !== 0)).toBeGreaterThan(0)
        })
      }),
      { seed: SEED, numRuns: 200 },
    )
  })

  it('sorts exactly 50 batches at a time', () => {
    const rising = range(101)
    const falling = [...rising.slice(0, 50)].reverse()
    const epoch = planEpoch(rising, 1, { examples: rising, batches: rising })
    expect(epoch.flat()).toEqual([...falling, ...falling.map((row) => row + 50), 100])
  })

  it('depends only on the two permutations: the same permutations give the same epoch', () => {
    const order = { examples: [2, 0, 1], batches: [1, 0] }
    expect(planEpoch([3, 3, 3], 2, order)).toEqual([[1], [2, 0]])
    expect(planEpoch([3, 3, 3], 2, { ...order, batches: [0, 1] })).toEqual([[2, 0], [1]])
    expect(planEpoch([3, 3, 3], 2, { ...order, examples: [0, 1, 2] })).toEqual([[2], [0, 1]])
  })

  it('refuses a list that is not a permutation', () => {
    const order = { examples: [2, 0, 1], batches: [1, 0] }
    expect(() => planEpoch([3, 3, 3], 2, { ...order, examples: [2, 0, 0] })).toThrow('a permutation of 3 examples, got [2, 0, 0]')
    expect(() => planEpoch([3, 3, 3], 2, { ...order, batches: [0, 1, 2] })).toThrow('a permutation of 2 batches, got [0, 1, 2]')
  })
})
