/** Which triplets stay: two implementations, on any log θ, budget and rule. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { numberBackend } from '../../accelerated/methods/salora/hardConcrete.js'
import { densityOn, gateCosts } from '../../accelerated/methods/salora/lagrangian.js'
import { retain, smallestBudget, type RetentionRule } from '../../accelerated/methods/salora/retention.js'
import { encoderModel } from '../../accelerated/models/bert/bert.js'
import { permutation, uniforms } from '../../accelerated/parameters/random.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import * as reference from '../../reference/index.js'
import { assertClose } from '../support/assertClose.js'
import { SEED } from '../support/seed.js'
import { someOptions } from './modelOptions.js'

type Matrix = { readonly d: number; readonly k: number; readonly logTheta: readonly number[] }

/** Locations with ties, as they are before any gradient, and saturated ones. */
const location = fc.oneof(fc.constantFrom(0, -Math.log(11), 40, -40), fc.double({ min: -6, max: 6, noNaN: true }))
const matrix: fc.Arbitrary<Matrix> = fc.record({
  d: fc.integer({ min: 1, max: 9 }),
  k: fc.integer({ min: 1, max: 9 }),
  logTheta: fc.array(location, { minLength: 1, maxLength: 6 }),
})
const settings = { tau: 1, gamma: -0.1, zeta: 1.1 }
const modulesOf = (matrices: readonly Matrix[]) => matrices.map(({ d, k, logTheta }, i) => ({ name: `m${i}`, d, k, r: logTheta.length }))
const adaptersOf = (matrices: readonly Matrix[]): reference.Adapters =>
  Object.fromEntries(
    matrices.map(({ d, k, logTheta }, i) => [
      `m${i}`,
      {
        A: reference.tensor([logTheta.length, k], uniforms(i, 'split', 0, logTheta.length * k)),
        B: reference.tensor([d, logTheta.length], uniforms(i, 'split', 1, logTheta.length * d)),
        logTheta: reference.tensor([logTheta.length], logTheta),
      },
    ]),
  )
const all = (matrices: readonly Matrix[]): readonly number[] => matrices.flatMap(({ logTheta }) => logTheta)
const norm = (numbers: readonly number[]): number => Math.hypot(...numbers)
/** What T_end finds of them: their factors are those of adaptersOf. */
const tripletsOf = (matrices: readonly Matrix[]) => ({
  logTheta: all(matrices),
  magnitudes: Object.values(adaptersOf(matrices)).flatMap(({ A, B, logTheta }) =>
    [...logTheta.data].map((_, j) => {
      const [r, k] = A.shape as readonly [number, number]
      return norm([...A.data].slice(j * k, (j + 1) * k)) * norm([...B.data].filter((_x, i) => i % r === j))
    }),
  ),
  permutation: [...permutation(3, 'split', 9, all(matrices).length)],
})
const drawn = fc.record({
  matrices: fc.array(matrix, { minLength: 1, maxLength: 5 }),
  budget: fc.double({ min: 0.01, max: 1, noNaN: true }),
  rule: fc.constantFrom<RetentionRule[]>('budget', 'paper', 'random', 'magnitude'),
})

describe(`retention (seed ${SEED})`, () => {
  it('keeps the triplets that the reference keeps, with the same gates and the same density', () =>
    fc.assert(
      fc.property(drawn, ({ matrices, budget, rule }) => {
        const triplets = tripletsOf(matrices)
        const kept = retain(settings, modulesOf(matrices), triplets, budget, rule)
        const rules = { ...settings, retain: rule, gateAfter: 'kept', targetDensity: budget } as const
        const expected = reference.prune(rules)(adaptersOf(matrices), triplets.permutation)
        expect(kept.kept).toEqual(Object.values(expected.retained))
        assertClose([kept.retainedDensity], [expected.retainedDensity], { relative: 1e-14, name: 'retained density' })
        matrices.forEach((_, i) => {
          assertClose(kept.gates[i] ?? [], [...(expected.gates[`m${i}`]?.data ?? [])], { relative: 1e-14, name: 'gates' })
        })
      }),
      { seed: SEED, numRuns: 400 },
    ))

  it('gives a kept triplet whose gate is shut the size of the last gate that opens, and each other one its own', () => {
    const { tau, gamma, zeta } = settings
    /** √E[g²] as a mean over evenly spaced noise of equation (7) */
    const sizeOf = (logTheta: number): number => {
      const draws = 200_000
      let sum = 0
      for (let i = 0; i < draws; i++) {
        const u = (i + 0.5) / draws
        const s = 1 / (1 + Math.exp(-(Math.log(u / (1 - u)) + logTheta) / tau))
        sum += Math.min(1, Math.max(0, s * (zeta - gamma) + gamma)) ** 2
      }
      return Math.sqrt(sum / draws)
    }
    const shut = Math.log(-gamma / zeta)
    const matrices = [{ d: 2, k: 3, logTheta: [-40, shut - 1, shut, 0, 4] }]
    const { sizes } = retain(settings, modulesOf(matrices), tripletsOf(matrices), 1, 'budget')
    assertClose(sizes[0] ?? [], [shut, shut, shut, 0, 4].map(sizeOf), { relative: 1e-6, name: 'sizes' })
  })

  it('never exceeds the budget, and omits no triplet that would fit', () =>
    fc.assert(
      fc.property(drawn, ({ matrices, budget, rule }) => {
        if (rule === 'paper') return
        const { kept, retainedDensity } = retain(settings, modulesOf(matrices), tripletsOf(matrices), budget, rule)
        const total = matrices.reduce((sum, { d, k, logTheta }) => sum + (d + k) * logTheta.length, 0)
        expect(retainedDensity).toBeLessThanOrEqual(budget * (1 + 1e-9))
        matrices.forEach(({ d, k, logTheta }, i) => {
          if ((kept[i] ?? []).length < logTheta.length) expect((retainedDensity + (d + k) / total) * (1 + 1e-9)).toBeGreaterThan(budget)
        })
      }),
      { seed: SEED, numRuns: 200 },
    ))

  it('keeps a triplet if one fits the budget, and has the smallest possible budget of the reference', () =>
    fc.assert(
      fc.property(drawn, fc.constantFrom<RetentionRule[]>('budget', 'random', 'magnitude'), ({ matrices, budget }, rule) => {
        const least = smallestBudget(modulesOf(matrices))
        expect(least).toBe(reference.smallestBudget(adaptersOf(matrices)))
        const triplets = tripletsOf(matrices)
        for (const b of [budget, least, 0.999 * least]) {
          const rules = { ...settings, retain: rule, gateAfter: 'kept', targetDensity: b } as const
          const here = retain(settings, modulesOf(matrices), triplets, b, rule).kept.flat().length
          const expected = Object.values(reference.prune(rules)(adaptersOf(matrices), triplets.permutation).retained).flat().length
          expect([here > 0, expected]).toEqual([b >= least, here])
        }
      }),
      { seed: SEED, numRuns: 200 },
    ))

  it('never keeps a triplet of equal matrices instead of a more probable one', () =>
    fc.assert(
      fc.property(
        fc.array(location, { minLength: 2, maxLength: 12 }),
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        (logTheta, budget) => {
          const chosen = new Set(
            retain(settings, [{ name: 'm', d: 3, k: 4, r: logTheta.length }], tripletsOf([{ d: 3, k: 4, logTheta }]), budget, 'budget')
              .kept[0],
          )
          const [inside, outside] = [logTheta.filter((_, j) => chosen.has(j)), logTheta.filter((_, j) => !chosen.has(j))]
          if (inside.length > 0 && outside.length > 0) expect(Math.min(...inside)).toBeGreaterThanOrEqual(Math.max(...outside))
        },
      ),
      { seed: SEED, numRuns: 200 },
    ))

  it('lists the matrices in the order of the model in both derivations, which breaks ties', () => {
    const {
      config,
      settings: { rank },
    } = drawModel(someOptions({ layers: 11 }))
    const [adapters] = reference.initialAdapters(config, { ...reference.defaultSettings, rank })(SEED)
    expect(Object.keys(adapters)).toEqual(
      encoderModel({ ...config, embeddingSize: config.hiddenSize }).spec.matrices.map(({ name }) => name),
    )
  })

  it('computes the density that the reference computes', () =>
    fc.assert(
      fc.property(fc.array(matrix, { minLength: 1, maxLength: 5 }), (matrices) =>
        assertClose(
          densityOn(numberBackend)(settings, gateCosts(modulesOf(matrices)))(all(matrices)),
          [reference.density(settings)(adaptersOf(matrices))],
          {
            relative: 1e-13,
            name: 'C',
          },
        ),
      ),
      { seed: SEED, numRuns: 200 },
    ))
})
