import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  defaultSettings,
  deterministicGate,
  encoder,
  filled,
  increment,
  named,
  openGates,
  parameterCount,
  probabilityNonZero,
  prune,
  pruneState,
  scaleOf,
  selectRows,
  startFrom,
  tensor,
  trainingStep,
  tripletCost,
  type Adapters,
  type PruneSettings,
  type Tensors,
} from '../../reference/index.js'
import { tiny } from '../arbitraries/encoders.js'
import { lowRankShape } from '../arbitraries/shapes.js'
import { tensorOf } from '../arbitraries/tensors.js'
import { assertClose } from '../support/assertClose.js'
import { SEED } from '../support/seed.js'

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
const triplets = (all: Adapters, retained: Readonly<Record<string, ReadonlyArray<number>>>): ReadonlyArray<Triplet> =>
  Object.entries(all).flatMap(([module, one]) =>
    [...probabilityNonZero(settings)(one.logTheta).data].map((probability, j) => ({
      cost: tripletCost(one),
      probability,
      kept: retained[module]!.includes(j),
    })),
  )
const costOf = (list: ReadonlyArray<Triplet>): number => list.reduce((total, { cost }) => total + cost, 0)

describe(`pruning by the budget (seed ${SEED})`, () => {
  it('never spends more than b of the parameters, and leaves out nothing that would still fit', () => {
    fc.assert(
      fc.property(adapters, target, (all, targetDensity) => {
        const { retained } = prune({ ...settings, targetDensity })(all)
        const list = triplets(all, retained)
        const budget = targetDensity * parameterCount(all)
        const spent = costOf(list.filter(({ kept }) => kept))
        expect(spent).toBeLessThanOrEqual(budget * (1 + 1e-9))
        list.filter(({ kept }) => !kept).forEach(({ cost }) => expect(spent + cost).toBeGreaterThan(budget))
      }),
      options,
    )
  })

  it('gives a place to no triplet that is less probable and no cheaper than one it leaves out', () => {
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

  it('keeps exactly the share asked for when all triplets cost the same', () => {
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

  it('takes the most probable first, across modules', () => {
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

  it('leaves ΔW what it is with gates ĝ, when ĝ is folded in', () => {
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

describe(`a pruned state (seed ${SEED})`, () => {
  const model = tiny({ family: 'roberta', problem: 'classification', rank: 3, seed: SEED })
  const step = trainingStep(model.config, model.settings, model.base)
  const control = {
    gating: 'sampled',
    targetDensity: 0.5,
    learningRate: 0.01,
    controlLearningRate: 0.01,
    multiplierLearningRate: 0.01,
  } as const
  const [trained] = step(startFrom(model.parameters), model.batch, model.noise, control)

  it('computes what the gates ĝ of the retained triplets computed', () => {
    const [state, { retained }] = pruneState(settings)(trained)
    const run = encoder(model.config, { scale: scaleOf(model.settings) })
    const gates: Tensors = Object.fromEntries(
      Object.entries(trained.adapters).map(([module, { logTheta }]) => {
        const g = deterministicGate(settings)(logTheta)
        return [
          module,
          tensor(
            g.shape,
            g.data.map((value, j) => (retained[module]!.includes(j) ? value : 0)),
          ),
        ]
      }),
    )
    assertClose(
      run({ base: model.base, adapters: state.adapters, gates: {}, head: state.head }, model.batch).logits.data,
      run({ base: model.base, adapters: trained.adapters, gates, head: trained.head }, model.batch).logits.data,
      { relative: 1e-12, name: 'logits' },
    )
  })

  it("keeps each retained triplet's moments, the counters, λ and the head", () => {
    const [state, { retained }] = pruneState(settings)(trained)
    Object.entries(state.m.adapters).forEach(([module, { A }]) =>
      expect(A).toEqual(selectRows(trained.m.adapters[module]!.A, retained[module]!)),
    )
    expect(Object.keys(state.v.adapters)).toEqual(Object.keys(state.adapters))
    expect([state.step, state.gatedStep, state.lambda, state.head]).toEqual([1, 1, trained.lambda, trained.head])
  })

  it('goes on training, also when a budget below one triplet has left no adapter at all', () => {
    ;[0.5, 0.001].forEach((targetDensity) => {
      const [state, { ranks }] = pruneState({ ...settings, targetDensity })(trained)
      const [next, { loss }] = step(state, model.batch, { gates: {}, dropout: {} }, { ...control, gating: 'open' })
      expect(Number.isFinite(loss)).toBe(true)
      expect(named(next.head, 'classifier.out_proj.weight')).not.toEqual(named(state.head, 'classifier.out_proj.weight'))
      expect(Object.values(ranks).some((rank) => rank > 0)).toBe(targetDensity === 0.5)
    })
  })
})
