/** Fixed allocations of ranks: within the budget, equal up to one, on the matrices that they name. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { allocation, allocations, budgetOf, costOf, randomAllocation } from '../../../evaluation/studies/allocations.js'
import { SEED } from '../../support/seed.js'

const kinds = {
  'attention.self.query': [384, 384],
  'attention.self.key': [384, 384],
  'attention.self.value': [384, 384],
  'attention.output.dense': [384, 384],
  'intermediate.dense': [1536, 384],
  'output.dense': [384, 1536],
} as const
const matricesOf = (layers: number) =>
  Array.from({ length: layers }, (_, layer) =>
    Object.entries(kinds).map(([kind, [d, k]]) => ({ name: `encoder.layer.${layer}.${kind}`, d, k })),
  ).flat()

describe(`allocations of a budget, seed ${SEED}`, () => {
  it.each(Object.entries(allocations))('%s costs at most the budget, and no rank more fits equally', (_, uses) => {
    fc.assert(
      fc.property(fc.constantFrom(2, 6, 12), fc.double({ min: 0.25, max: 8, noNaN: true }), (layers, average) => {
        const matrices = matricesOf(layers)
        const budget = budgetOf(matrices, average)
        const ranks = allocation(matrices, uses, budget)
        const used = matrices.filter(({ name }) => {
          const [, , layer = '', ...kind] = name.split('.')
          return uses(kind.join('.'), Number(layer), layers)
        })
        const cost = matrices.reduce((sum, matrix) => sum + costOf(matrix) * (ranks[matrix.name] ?? NaN), 0)
        expect(cost).toBeLessThanOrEqual(budget)
        expect(matrices.every((matrix) => used.includes(matrix) || ranks[matrix.name] === 0)).toBe(true)
        const of = used.map(({ name }) => ranks[name] ?? NaN)
        const [least, most] = [Math.min(...of), Math.max(...of)]
        expect(most - least).toBeLessThanOrEqual(1)
        for (const matrix of used) if (ranks[matrix.name] === least) expect(cost + costOf(matrix), matrix.name).toBeGreaterThan(budget)
      }),
      { seed: SEED, numRuns: 50 },
    )
  })

  it('has the numbers of the settled points: uniform rank 1, attention of rank 2, three layers of rank 2', () => {
    const matrices = matricesOf(6)
    expect(budgetOf(matrices, 1)).toBe(41_472)
    expect(new Set(Object.values(allocation(matrices, allocations['uniform']!, 41_472)))).toEqual(new Set([1]))
    const attention = allocation(matrices, allocations['attention']!, 36_864)
    expect(matrices.map(({ name }) => attention[name])).toEqual(matrices.map(({ name }) => (/attention/.test(name) ? 2 : 0)))
    const last = allocation(matrices, allocations['last-layers']!, 41_472)
    expect(matrices.map(({ name }) => last[name])).toEqual(matrices.map(({ name }) => (/layer\.[345]/.test(name) ? 2 : 0)))
  })

  it('random ranks fill the budget, repeat for a seed, and are on average as dense on every matrix', () => {
    const matrices = matricesOf(6)
    const budget = budgetOf(matrices, 1)
    const draws = Array.from({ length: 200 }, (_, seed) => randomAllocation(matrices, budget, 8, seed))
    for (const ranks of draws) {
      const cost = matrices.reduce((sum, matrix) => sum + costOf(matrix) * (ranks[matrix.name] ?? NaN), 0)
      expect(cost).toBeLessThanOrEqual(budget)
      expect(cost).toBeGreaterThan(budget - 768) // nothing that costs least is left out while it fits
      expect(Math.max(...Object.values(ranks))).toBeLessThanOrEqual(8)
    }
    expect(randomAllocation(matrices, budget, 8, 3)).toEqual(draws[3])
    // hypergeometric: about 36 of 288 triplets, 8 at a time, so a mean of 1 with a variance of about 0.85 for each matrix
    for (const { name } of matrices) {
      const average = draws.reduce((sum, ranks) => sum + (ranks[name] ?? NaN), 0) / draws.length
      expect(Math.abs(average - 1), name).toBeLessThan(4 * Math.sqrt(0.85 / draws.length))
    }
  })
})
