/** What T_start and T_end do to a run's state, number by number. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { uniforms } from '../../accelerated/training/random.js'
import { expectedGate } from '../../accelerated/methods/salora/retention.js'
import { tensorOf } from '../../accelerated/training/parameterVector.js'
import { closeGates, deterministicParameters, layoutOf, openGates, type RunState } from '../../accelerated/training/runState.js'
import { drawModel } from '../../evaluation/agreement/model.js'
import { startOf } from '../../evaluation/agreement/segment.js'
import { SEED } from '../support/seed.js'
import { someOptions } from './modelOptions.js'

const model = drawModel(someOptions({ rank: 3 }))
const { config } = model
const settings = { tau: 1, gamma: -0.1, zeta: 1.1 }
const noisy = (state: RunState, seed: number): RunState => {
  const size = state.parameters.length
  const draw = (place: number, low: number, high: number) => uniforms(seed, 'split', place, size).map((u) => low + (high - low) * u)
  return { ...state, parameters: draw(0, -2, 2), firstMoment: draw(1, -1, 1), secondMoment: draw(2, 0, 1) }
}
const vectors = ['parameters', 'firstMoment', 'secondMoment'] as const
const part = (state: RunState, vector: (typeof vectors)[number], name: string): ReadonlyArray<number> => [
  ...tensorOf(layoutOf(config, state), state[vector], name),
]

describe(`the state of a run (seed ${SEED})`, () => {
  const plain = noisy(startOf(model, 'open', 'float64'), SEED)
  const gated = noisy(openGates(config, plain, settings, 0, 'float64'), SEED + 1)

  it('at T_start gains log θ and λ, with moments of 0, and keeps every other number', () => {
    const opened = openGates(config, plain, settings, 0.25, 'float64')
    layoutOf(config, plain).entries.forEach(({ name }) =>
      vectors.forEach((vector) => expect(part(opened, vector, name)).toEqual(part(plain, vector, name))),
    )
    expect(part(opened, 'parameters', 'logTheta')).toEqual(new Array(18).fill(0.25))
    ;(['firstMoment', 'secondMoment'] as const).forEach((vector) =>
      ['logTheta', 'lambda'].forEach((name) => expect(part(opened, vector, name).every((x) => x === 0)).toBe(true)),
    )
    expect(part(opened, 'parameters', 'lambda')).toEqual([0])
    expect([opened.step, opened.gating]).toEqual([plain.step, 'sampled'])
    expect(openGates(config, plain, settings, 0, 'float64').initialDensity).toBeCloseTo(11 / 12, 12)
  })

  it('at T_end keeps rows of A, columns of B times ĝ, their moments as they were, and the head', () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1e6 }),
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.constantFrom('soft', 'binary'),
        fc.constantFrom('budget', 'paper'),
        (seed, density, gateAfter, retain) => {
          const state = noisy(gated, seed)
          const closed = closeGates(config, state, { ...settings, density, gateAfter, retain }, 'float64')
          const logTheta = part(state, 'parameters', 'logTheta')
          expect(closed.gating).toBe('open')
          expect(closed.retained?.ranks).toEqual(
            Object.fromEntries(state.modules.map(({ name }) => [name, closed.modules.find((m) => m.name === name)?.r ?? 0])),
          )
          ;[...layoutOf(config, closed).entries]
            .filter(({ name }) => !/\.[AB]$/.test(name))
            .forEach(({ name }) => vectors.forEach((vector) => expect(part(closed, vector, name)).toEqual(part(state, vector, name))))
          state.modules.forEach(({ name, r, d, k }, i) => {
            const left = closed.modules.find((m) => m.name === name)?.r ?? 0
            if (left === 0) return
            // Rows of A are all different, so each tells which triplet it was.
            const rows = Array.from({ length: r }, (_, j) =>
              part(state, 'parameters', `${name}.A`)
                .slice(j * k, (j + 1) * k)
                .join(),
            )
            const kept = Array.from({ length: left }, (_, j) =>
              rows.indexOf(
                part(closed, 'parameters', `${name}.A`)
                  .slice(j * k, (j + 1) * k)
                  .join(),
              ),
            )
            expect(kept.every((j, at) => j > (kept[at - 1] ?? -1))).toBe(true)
            vectors.forEach((vector) => {
              const [before, after] = [part(state, vector, `${name}.B`), part(closed, vector, `${name}.B`)]
              kept.forEach((j, at) =>
                Array.from({ length: d }, (_, row) => row).forEach((row) => {
                  const factor = vector === 'parameters' && gateAfter === 'soft' ? expectedGate(settings)(logTheta[3 * i + j] ?? NaN) : 1
                  expect(after[row * left + at]).toBe((before[row * r + j] ?? NaN) * factor)
                }),
              )
            })
          })
        },
      ),
      { seed: SEED, numRuns: 60 },
    ))

  it("without noise is the function of ĝ: nothing but B's columns changes, and of a state without gates nothing", () => {
    const folded = { ...gated, gating: 'open' as const, parameters: deterministicParameters(config, gated, settings, 'float64') }
    const logTheta = part(gated, 'parameters', 'logTheta')
    layoutOf(config, folded).entries.forEach(({ name, shape: [, r = 1] }) => {
      const module = gated.modules.findIndex((m) => `${m.name}.B` === name)
      const expected = part(gated, 'parameters', name).map((x, i) =>
        module < 0 ? x : x * expectedGate(settings)(logTheta[3 * module + (i % r)] ?? NaN),
      )
      expect(part(folded, 'parameters', name)).toEqual(expected)
    })
    expect(deterministicParameters(config, plain, settings, 'float64')).toBe(plain.parameters)
  })

  it('with a budget of nothing keeps no adapter, and the head', () => {
    const closed = closeGates(config, gated, { ...settings, density: 1e-6, gateAfter: 'soft', retain: 'budget' }, 'float64')
    expect([closed.modules, closed.retained?.retainedDensity]).toEqual([[], 0])
    expect(layoutOf(config, closed).entries.map(({ name }) => name)).toEqual([
      'classifier.dense.weight',
      'classifier.out_proj.weight',
      'classifier.dense.bias',
      'classifier.out_proj.bias',
    ])
  })
})
