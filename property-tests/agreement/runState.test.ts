/** What T_start and T_end do to a run's state, number by number. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { numberBackend, deterministicGateOn } from '../../accelerated/methods/salora/hardConcrete.js'
import type { SaloraPhase } from '../../accelerated/methods/salora/phase.js'
import { closeGates, openGates, withoutNoise } from '../../accelerated/methods/salora/transitions.js'
import { viewTensor } from '../../accelerated/parameters/vectors.js'
import { uniforms } from '../../accelerated/parameters/random.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { layoutFor, phaseIn, buildInitialState } from '../../evaluation/agreement/acceleratedSide.js'
import { rootMeanSquareGate, tensor } from '../../reference/index.js'
import { SEED } from '../support/seed.js'
import { someOptions } from './modelOptions.js'

const model = drawModel(someOptions({ rank: 3 }))
const settings = { tau: 1, gamma: -0.1, zeta: 1.1 }
const buildLayout = (phase: SaloraPhase) => layoutFor(model, phase)
const relayout = (state: RunState) => ({ vectors: state, buildLayout, dtype: 'float64' as const })
const gateOf = (logTheta: number): number => deterministicGateOn(numberBackend)(settings)([logTheta])[0] ?? NaN
const noisy = (state: RunState, seed: number): RunState => {
  const size = buildLayout(phaseIn(state)).size
  const draw = (place: number, low: number, high: number) => uniforms(seed, 'split', place, size).map((u) => low + (high - low) * u)
  return { ...state, parameters: draw(0, -2, 2), firstMoment: draw(1, -1, 1), secondMoment: draw(2, 0, 1) }
}
const vectors = ['parameters', 'firstMoment', 'secondMoment'] as const
type Moved = Pick<RunState, (typeof vectors)[number] | 'phase'>
const part = (state: Moved, vector: (typeof vectors)[number], name: string): readonly number[] => [
  ...viewTensor(buildLayout(phaseIn(state)), state[vector], name),
]
const opened = (state: RunState): RunState => {
  const { phase, vectors: moved } = openGates(phaseIn(state), { ...settings, control: 'ramp' }, state.step, relayout(state))
  return { ...state, ...moved, phase }
}
const closed = (state: RunState, rules: Omit<Parameters<typeof closeGates>[1], 'tau' | 'gamma' | 'zeta' | 'seed'>): RunState => {
  const { phase, vectors: moved } = closeGates(phaseIn(state), { ...settings, ...rules, seed: 0 }, state.step, relayout(state))
  return { ...state, ...moved, phase }
}

describe(`the state of a run (seed ${SEED})`, () => {
  const plain = noisy(buildInitialState(model, 'open', 'float64'), SEED)
  const gated = noisy(opened(plain), SEED + 1)
  const { matrices } = phaseIn(plain)

  it('the state gains log θ and λ at T_start, with moments of 0, and keeps every other number', () => {
    const after = opened(plain)
    buildLayout(phaseIn(plain)).entries.forEach(({ name }) =>
      vectors.forEach((vector) => expect(part(after, vector, name)).toEqual(part(plain, vector, name))),
    )
    vectors.forEach((vector) => expect(part(after, vector, 'logTheta')).toEqual(new Array(18).fill(0)))
    vectors.forEach((vector) => expect(part(after, vector, 'lambda')).toEqual([0]))
    expect([after.step, phaseIn(after).stage]).toEqual([plain.step, 'gated'])
    expect(phaseIn(after).opened?.density).toBeCloseTo(11 / 12, 12)
  })

  it("the state at T_end keeps rows of A, B's columns times ĝ with moments over √E[g²], all other moments and the head", () =>
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 1e6 }),
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.constantFrom('soft', 'binary', 'kept'),
        fc.constantFrom('budget', 'paper', 'random'),
        (seed, density, gateAfter, retain) => {
          const state = noisy(gated, seed)
          const after = closed(state, { density, gateAfter, retain })
          const phase = phaseIn(after)
          const logTheta = part(state, 'parameters', 'logTheta')
          expect(phase.stage).toBe('after')
          expect(phase.retained?.ranks).toEqual(
            Object.fromEntries(matrices.map(({ name }) => [name, phase.matrices.find((m) => m.name === name)?.r ?? 0])),
          )
          buildLayout(phase)
            .entries.filter(({ name }) => !/\.[AB]$/.test(name))
            .forEach(({ name }) => vectors.forEach((vector) => expect(part(after, vector, name)).toEqual(part(state, vector, name))))
          matrices.forEach(({ name, r, d, k }, i) => {
            const left = phase.matrices.find((m) => m.name === name)?.r ?? 0
            if (left === 0) return
            const rowsOf = (of: Moved, count: number) =>
              Array.from({ length: count }, (_, j) =>
                part(of, 'parameters', `${name}.A`)
                  .slice(j * k, (j + 1) * k)
                  .join(),
              )
            const before = rowsOf(state, r) // rows of A are all different, so each identifies its triplet
            const kept = rowsOf(after, left).map((row) => before.indexOf(row))
            expect(kept.every((j, at) => j > (kept[at - 1] ?? -1))).toBe(true)
            kept.forEach((j, at) => {
              const location = logTheta[3 * i + j] ?? NaN
              const size = rootMeanSquareGate(settings)(tensor([1], [Math.max(location, -Math.log(11))])).data[0] ?? NaN
              const factors = { parameters: gateOf(location), firstMoment: 1 / size, secondMoment: 1 / size ** 2 }
              vectors.forEach((vector) => {
                const [old, now] = [part(state, vector, `${name}.B`), part(after, vector, `${name}.B`)]
                for (let row = 0; row < d; row++) {
                  const expected = (old[row * r + j] ?? NaN) * (gateAfter === 'soft' ? factors[vector] : 1)
                  expect(Math.abs((now[row * left + at] ?? NaN) - expected)).toBeLessThanOrEqual(1e-9 * Math.abs(expected))
                }
              })
              const constant = phase.gates?.[phase.matrices.findIndex((m) => m.name === name)]?.[at]
              expect(constant).toBe(gateAfter === 'kept' ? gateOf(location) : undefined)
            })
          })
        },
      ),
      { seed: SEED, numRuns: 60 },
    ))

  it('the state at T_end has the triplets of the largest ‖Bⱼ‖ ‖Aⱼ‖ if retention goes by magnitude', () =>
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 1e6 }), fc.double({ min: 0.1, max: 0.9, noNaN: true }), (seed, density) => {
        const state = noisy(plain, seed)
        const triplets = matrices.flatMap(({ name, r, d, k }) => {
          const [A, B] = [part(state, 'parameters', `${name}.A`), part(state, 'parameters', `${name}.B`)]
          return Array.from({ length: r }, (_, j) => ({
            name,
            row: A.slice(j * k, (j + 1) * k),
            cost: d + k,
            size: Math.hypot(...B.filter((__, i) => i % r === j)) * Math.hypot(...A.slice(j * k, (j + 1) * k)),
          }))
        })
        let left = density * triplets.reduce((sum, { cost }) => sum + cost, 0)
        const expected = [...triplets]
          .sort((a, b) => b.size - a.size)
          .filter(({ cost }) => {
            if (cost > left) return false
            left -= cost
            return true
          })
        const after = closed(state, { density, gateAfter: 'binary', retain: 'magnitude' })
        const kept = phaseIn(after).matrices.flatMap(({ name, r, k }) =>
          Array.from({ length: r }, (_, j) => part(after, 'parameters', `${name}.A`).slice(j * k, (j + 1) * k)),
        )
        expect(new Set(kept.map(String))).toEqual(new Set(expected.map(({ row }) => String(row))))
      }),
      { seed: SEED, numRuns: 60 },
    ))

  it("the state without noise is the function of ĝ: only B's columns change, and nothing in a state without gates", () => {
    const folded = withoutNoise(phaseIn(gated), settings, 1, gated.parameters, relayout(gated))
    const logTheta = part(gated, 'parameters', 'logTheta')
    buildLayout(folded.phase).entries.forEach(({ name, shape: [, r = 1] }) => {
      const matrix = matrices.findIndex((m) => `${m.name}.B` === name)
      const expected = part(gated, 'parameters', name).map((x, i) => (matrix < 0 ? x : x * gateOf(logTheta[3 * matrix + (i % r)] ?? NaN)))
      expect([...viewTensor(buildLayout(folded.phase), folded.parameters, name)]).toEqual(expected)
    })
    expect(withoutNoise(phaseIn(plain), settings, 1, plain.parameters, relayout(plain)).parameters).toBe(plain.parameters)
  })

  it('exports B times its kept gates, and half of B if it began at ĝ(0)', () => {
    const kept = closed(gated, { density: 0.5, gateAfter: 'kept', retain: 'budget' })
    const handed = withoutNoise(phaseIn(kept), settings, 1, kept.parameters, relayout(kept))
    const { matrices: left, gates } = phaseIn(kept)
    left.forEach(({ name, r }, i) => {
      const expected = part(kept, 'parameters', `${name}.B`).map((x, at) => x * (gates?.[i]?.[at % r] ?? NaN))
      expect([...viewTensor(buildLayout(handed.phase), handed.parameters, `${name}.B`)]).toEqual(expected)
    })
    const early = withoutNoise(phaseIn(plain), settings, 0.5, plain.parameters, relayout(plain))
    const [first] = matrices
    const B = part(plain, 'parameters', `${first?.name}.B`)
    expect([...viewTensor(buildLayout(early.phase), early.parameters, `${first?.name}.B`)]).toEqual(B.map((x) => x / 2))
  })

  it('keeps only the head with a budget of 0', () => {
    const after = closed(gated, { density: 1e-6, gateAfter: 'soft', retain: 'budget' })
    const phase = phaseIn(after)
    expect([phase.matrices, phase.retained?.retainedDensity]).toEqual([[], 0])
    expect(buildLayout(phase).entries.map(({ name }) => name)).toEqual([
      'classifier.dense.weight',
      'classifier.out_proj.weight',
      'classifier.dense.bias',
      'classifier.out_proj.bias',
    ])
  })
})
