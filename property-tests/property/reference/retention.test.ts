import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  defaultSettings,
  deterministicGate,
  filled,
  increment,
  openGates,
  parameterCount,
  probabilityNonZero,
  prune,
  selectRows,
  tensor,
  tripletCost,
  type Adapters,
  type PruneSettings,
  type RetentionRule,
} from '../../../reference/index.js'
import { lowRankShape } from '../../support/arbitraries/shapes.js'
import { tensorOf } from '../../support/arbitraries/tensors.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

const options = { seed: SEED, numRuns: 100 }
const settings: PruneSettings = defaultSettings
const adapter = lowRankShape.chain(({ d, k, r }) => fc.record({ A: tensorOf([r, k]), B: tensorOf([d, r]), logTheta: tensorOf([r], -4, 4) }))
const adapters: fc.Arbitrary<Adapters> = fc
  .array(adapter, { minLength: 1, maxLength: 4 })
  .map((list) => Object.fromEntries(list.map((one, i) => [`module${i}`, one])))
const target = fc.double({ min: 0.01, max: 1, noNaN: true })

interface Triplet {
  readonly cost: number
  readonly probability: number
  readonly kept: boolean
}
const triplets = (all: Adapters, retained: Readonly<Record<string, readonly number[]>>): readonly Triplet[] =>
  Object.entries(all).flatMap(([module, one]) =>
    [...probabilityNonZero(settings)(one.logTheta).data].map((probability, j) => ({
      cost: tripletCost(one),
      probability,
      kept: retained[module]!.includes(j),
    })),
  )
const countOf = (all: Adapters): number => Object.values(all).reduce((total, { logTheta }) => total + logTheta.data.length, 0)
const permutationOf = (n: number): fc.Arbitrary<readonly number[]> => {
  const places = Array.from({ length: n }, (_, i) => i)
  return fc.shuffledSubarray(places, { minLength: n })
}
const costOf = (list: readonly Triplet[]): number => list.reduce((total, { cost }) => total + cost, 0)

/** Adapters and an order of all their triplets. */
const shuffled = adapters.chain((all) => fc.tuple(fc.constant(all), permutationOf(countOf(all))))

describe(`pruning by the budget (seed ${SEED})`, () => {
  it('never keeps more than b of the parameters, and omits no triplet that would fit, in any order', () => {
    const rule = fc.constantFrom('budget', 'random', 'magnitude')
    fc.assert(
      fc.property(shuffled, target, rule, ([all, permutation], targetDensity, retain) => {
        const { retained } = prune({ ...settings, targetDensity, retain })(all, permutation)
        const list = triplets(all, retained)
        const budget = targetDensity * parameterCount(all)
        const spent = costOf(list.filter(({ kept }) => kept))
        expect(spent).toBeLessThanOrEqual(budget * (1 + 1e-9))
        list.filter(({ kept }) => !kept).forEach(({ cost }) => expect(spent + cost).toBeGreaterThan(budget))
      }),
      options,
    )
  })

  it('keeps no triplet that is less probable and not cheaper than an omitted one', () => {
    fc.assert(
      fc.property(adapters, target, (all, targetDensity) => {
        const list = triplets(all, prune({ ...settings, targetDensity })(all).retained)
        list
          .filter(({ kept }) => kept)
          .forEach((inside) =>
            list
              .filter(({ kept }) => !kept)
              .forEach((outside) => expect(inside.probability < outside.probability && inside.cost >= outside.cost).toBe(false)),
          )
      }),
      options,
    )
  })

  it('keeps exactly the fraction b when all triplets cost the same', () => {
    const all: Adapters = Object.fromEntries(
      ['a', 'b'].map((name, m) => [
        name,
        {
          A: filled([50, 3], 1),
          B: filled([4, 50], 1),
          logTheta: tensor(
            [50],
            Array.from({ length: 50 }, (_, j) => Math.sin(m + 7 * j)),
          ),
        },
      ]),
    )
    // 0.29 · 100 < 29 in float64.
    ;[0.01, 0.07, 0.29, 0.5, 0.57, 1].forEach((targetDensity) =>
      expect(prune({ ...settings, targetDensity })(all).retainedDensity).toBeCloseTo(targetDensity, 12),
    )
  })

  it('keeps the most probable triplets first, across modules', () => {
    const all: Adapters = {
      a: { A: tensor([2, 1], [1, 2]), B: tensor([1, 2], [3, 4]), logTheta: tensor([2], [-1, 2]) },
      b: { A: tensor([2, 1], [5, 6]), B: tensor([1, 2], [7, 8]), logTheta: tensor([2], [0, -3]) },
      c: { A: tensor([2, 1], [1, 1]), B: tensor([1, 2], [1, 1]), logTheta: tensor([2], [-4, -5]) },
    }
    const pruned = prune({ ...settings, gateAfter: 'binary', targetDensity: 0.34 })(all)
    expect(pruned.retained).toEqual({ a: [1], b: [0], c: [] })
    expect(pruned.ranks).toEqual({ a: 1, b: 1, c: 0 })
    expect(pruned.retainedDensity).toBeCloseTo(1 / 3, 14)
    expect(pruned.adapters).toEqual({
      a: { A: tensor([1, 1], [2]), B: tensor([1, 1], [4]), logTheta: tensor([1], [2]) },
      b: { A: tensor([1, 1], [5]), B: tensor([1, 1], [7]), logTheta: tensor([1], [0]) },
    })
  })
})

describe(`pruning in another order (seed ${SEED})`, () => {
  // Six triplets that cost 3 each, two a module; ‖Bⱼ‖·‖Aⱼ‖ is 6, 4, 10, 12, 2 and 12.
  const six: Adapters = {
    a: { A: tensor([2, 2], [3, 0, 0, 2]), B: tensor([1, 2], [2, -2]), logTheta: tensor([2], [5, 4]) },
    b: { A: tensor([2, 2], [3, 4, 0, -6]), B: tensor([1, 2], [2, 2]), logTheta: tensor([2], [3, 2]) },
    c: { A: tensor([2, 2], [0, 1, 8, 6]), B: tensor([1, 2], [-2, 1.2]), logTheta: tensor([2], [1, 0]) },
  }
  const kept = (retain: RetentionRule, targetDensity: number, permutation?: readonly number[]) =>
    prune({ ...settings, retain, targetDensity })(six, permutation).retained

  it('follows a permutation of all triplets, counted module by module', () => {
    expect(kept('random', 0.5, [4, 1, 2, 0, 3, 5])).toEqual({ a: [1], b: [0], c: [0] })
    expect(kept('random', 0.5, [5, 3, 4, 0, 1, 2])).toEqual({ a: [], b: [1], c: [0, 1] })
  })

  it('follows ‖Bⱼ‖·‖Aⱼ‖, the largest first, and keeps the order of ties', () => {
    expect(kept('magnitude', 0.17)).toEqual({ a: [], b: [1], c: [] })
    expect(kept('magnitude', 0.34)).toEqual({ a: [], b: [1], c: [1] })
    expect(kept('magnitude', 0.5)).toEqual({ a: [], b: [0, 1], c: [1] })
    expect(kept('magnitude', 0.9)).toEqual({ a: [0, 1], b: [0, 1], c: [1] })
  })

  it('pruning by magnitude leaves the factors unchanged: without sampled gates, all are 1', () => {
    ;(['soft', 'binary'] as const).forEach((gateAfter) =>
      expect(prune({ ...settings, retain: 'magnitude', gateAfter, targetDensity: 1 })(six).adapters).toEqual(six),
    )
  })

  it('requires a complete permutation when it is random', () => {
    expect(() => kept('random', 0.5)).toThrow('retained: expected a permutation of 6 triplets, got none')
    expect(() => kept('random', 0.5, [0, 1, 2, 3, 4])).toThrow('got [0, 1, 2, 3, 4]')
    expect(() => kept('random', 0.5, [0, 1, 2, 3, 4, 4])).toThrow('got [0, 1, 2, 3, 4, 4]')
    expect(() => kept('random', 0.5, [0, 1, 2, 3, 4, 6])).toThrow('expected places from 0 to 5, got 6')
  })

  it('keeps nothing within a budget below the cheapest triplet', () => {
    ;(['budget', 'random', 'magnitude'] as const).forEach((retain) =>
      expect(prune({ ...settings, retain, targetDensity: 0.16 })(six, [0, 1, 2, 3, 4, 5])).toEqual({
        retained: { a: [], b: [], c: [] },
        ranks: { a: 0, b: 0, c: 0 },
        retainedDensity: 0,
        adapters: {},
        gates: {},
      }),
    )
  })
})

describe(`pruning by the paper's rule (seed ${SEED})`, () => {
  const paper: PruneSettings = { ...settings, retain: 'paper' }

  it('keeps the triplets whose deterministic gate is open: log θ > −ln 11 at τ = 1', () => {
    fc.assert(
      fc.property(adapters, (all) => {
        const { retained } = prune(paper)(all)
        Object.entries(all).forEach(([module, { logTheta }]) =>
          expect(retained[module]).toEqual([...logTheta.data.keys()].filter((j) => logTheta.data[j]! > -Math.log(11))),
        )
      }),
      options,
    )
  })

  it('keeps the ΔW of gates ĝ when ĝ is folded in', () => {
    fc.assert(
      fc.property(adapters, (all) => {
        const pruned = prune({ ...paper, gateAfter: 'soft' })(all)
        Object.entries(all).forEach(([module, one]) => {
          const expected = increment(2)(one, deterministicGate(paper)(one.logTheta))
          const rest = pruned.adapters[module]
          const actual = rest === undefined ? filled(expected.shape, 0) : increment(2)(rest, openGates(rest))
          assertClose(actual.data, expected.data, { relative: 1e-14, absolute: 1e-15, name: 'ΔW' })
        })
      }),
      options,
    )
  })

  it('leaves the factors of a retained triplet untouched when gates become binary', () => {
    fc.assert(
      fc.property(adapters, (all) => {
        const { retained, adapters: rest } = prune({ ...paper, gateAfter: 'binary' })(all)
        Object.entries(rest).forEach(([module, { A }]) => expect(A).toEqual(selectRows(all[module]!.A, retained[module]!)))
      }),
      options,
    )
  })
})
