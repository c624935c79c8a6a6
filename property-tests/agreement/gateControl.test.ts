/** The controller's laws, and the density that it reaches in a simulated run. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { numberBackend, probabilityNonZeroOn } from '../../accelerated/methods/salora/hardConcrete.js'
import { gateAdam, gateControl, type ControlledWindow, gateSchedule } from '../../accelerated/methods/salora/gateControl.js'
import { densityOn, gateCosts } from '../../accelerated/methods/salora/lagrangian.js'
import { normals } from '../../accelerated/parameters/random.js'
import { toControl } from '../../evaluation/agreement/acceleratedSide.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import * as reference from '../../reference/index.js'
import { SEED } from '../support/seed.js'

const windows: fc.Arbitrary<ControlledWindow> = fc.record({
  control: fc.constant('ramp'),
  steps: fc.integer({ min: 1, max: 5000 }),
  gates: fc.integer({ min: 1, max: 2000 }),
  initialDensity: fc.double({ min: 0.6, max: 0.99, noNaN: true }),
  targetDensity: fc.double({ min: 0.02, max: 0.95, noNaN: true }),
  controlLearningRate: fc.constantFrom(0.01, 0.003),
})
const settings = { tau: 1, gamma: -0.1, zeta: 1.1 }
const adam = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
const densityOf = (modules: Parameters<typeof gateCosts>[0], logTheta: ArrayLike<number>): number =>
  densityOn(numberBackend)(settings, gateCosts(modules))(Array.from(logTheta))[0] ?? NaN

describe(`the gate window's control (seed ${SEED})`, () => {
  it('has positive, finite scalars, and ends at the budget', () =>
    fc.assert(
      fc.property(windows, fc.nat(), (window, at) => {
        const control = gateControl(window)(1 + (at % window.steps))
        Object.values(control).forEach((value) => expect(Number.isFinite(value) && value > 0).toBe(true))
        const [low, high] = [Math.min(window.initialDensity, window.targetDensity), Math.max(window.initialDensity, window.targetDensity)]
        expect(control.targetDensity).toBeGreaterThanOrEqual(low - 1e-12)
        expect(control.targetDensity).toBeLessThanOrEqual(high + 1e-12)
        expect(gateControl(window)(window.steps).targetDensity).toBe(window.targetDensity)
      }),
      { seed: SEED, numRuns: 300 },
    ))

  it("lowers the target, raises λ's step and ends Θ's, each monotonically", () =>
    fc.assert(
      fc.property(
        windows.filter(({ steps }) => steps > 1),
        fc.nat(),
        (window, at) => {
          const t = 1 + (at % (window.steps - 1))
          const [now, next] = [gateControl(window)(t), gateControl(window)(t + 1)]
          if (window.targetDensity <= window.initialDensity) expect(next.targetDensity).toBeLessThanOrEqual(now.targetDensity + 1e-12)
          expect(next.multiplierLearningRate).toBeGreaterThanOrEqual(now.multiplierLearningRate)
          expect(next.controlLearningRate).toBeLessThanOrEqual(now.controlLearningRate)
        },
      ),
      { seed: SEED, numRuns: 300 },
    ))

  it("moves Θ at the paper's 0.01 in long windows, until it ends", () => {
    const long = gateControl({
      control: 'ramp',
      steps: 20_000,
      gates: 576,
      initialDensity: 0.9167,
      targetDensity: 0.5,
      controlLearningRate: 0.01,
    })
    expect([1, 5000, 12_000].map((t) => long(t).controlLearningRate)).toEqual([0.01, 0.01, 0.01])
    expect(long(20_000).controlLearningRate).toBeLessThan(1e-5)
  })

  it('equals the reference, scalar by scalar, for every rule', () =>
    fc.assert(
      fc.property(windows, fc.constantFrom('ramp', 'adam', 'descent', 'constant'), fc.nat(), (window, control, at) => {
        const t = 1 + (at % window.steps)
        const actual = gateControl({ ...window, control: toControl(control, 0.3) })(t)
        const expected = reference.gateControl({ ...window, control })(t)
        for (const name of ['targetDensity', 'controlLearningRate', 'multiplierLearningRate'] as const)
          expect(Math.abs(actual[name] - expected[name]), name).toBeLessThanOrEqual(1e-12 * Math.abs(expected[name]))
      }),
      { seed: SEED, numRuns: 300 },
    ))

  it('opens and closes in the same steps as the reference, in runs of up to 3,000 steps', () => {
    for (const [gateStart, gateEnd] of [
      [0.2, 0.5],
      [0, 1],
      [0.07, 0.29],
      [1 / 3, 2 / 3],
    ] as const)
      for (let steps = 1; steps <= 3000; steps++)
        expect(gateSchedule({ gateStart, gateEnd }, steps), `${steps} steps`).toEqual(reference.gateSteps({ gateStart, gateEnd, steps }))
  })

  it('opens after 2 % of the steps and closes after 15 % by default', () => {
    expect(resolveSettings({ method: 'salora' })).toMatchObject({ gateStart: 0.02, gateEnd: 0.15 })
  })

  it('keeps a budget of 1 finite, and ends at 1', () => {
    const window: ControlledWindow = {
      control: 'ramp',
      steps: 100,
      gates: 10,
      initialDensity: 0.9167,
      targetDensity: 1,
      controlLearningRate: 0.01,
    }
    expect(gateControl(window)(100).targetDensity).toBe(1)
    Array.from({ length: 100 }, (_, t) => gateControl(window)(t + 1)).forEach((control) =>
      Object.values(control).forEach((x) => expect(Number.isFinite(x)).toBe(true)),
    )
  })
})

/** G gates of unequal cost whose task wants most of them open, some more than others, under a noise much greater than what it wants. */
const simulate = ({
  steps,
  budget,
  force,
  seed,
}: {
  readonly steps: number
  readonly budget: number
  readonly force: number
  readonly seed: number
}) => {
  const modules = Array.from({ length: 12 }, (_, i) => ({ name: `m${i}`, d: i % 6 === 4 ? 64 : 16, k: i % 6 === 5 ? 64 : 16, r: 8 }))
  const costs = modules.flatMap(({ d, k, r }) => new Array<number>(r).fill(d + k))
  const total = costs.reduce((a, b) => a + b, 0)
  const gates = costs.length
  const wishes = normals(seed, 'gates', 0, gates).map((x) => force * (1 + x))
  const start = new Float64Array(gates)
  const control = gateControl({
    control: 'ramp',
    steps,
    gates,
    initialDensity: densityOf(modules, start),
    targetDensity: budget,
    controlLearningRate: 0.01,
  })
  const tensor = (x: ArrayLike<number>) => reference.tensor([x.length], x)
  let [theta, moments, lambda, lambdaMoments, never] = [
    tensor(start),
    reference.initMoments(tensor(start)),
    tensor([0]),
    reference.initMoments(tensor([0])),
    true,
  ]
  for (let t = 1; t <= steps; t++) {
    const { targetDensity, controlLearningRate, multiplierLearningRate } = control(t)
    const c = densityOf(modules, theta.data)
    const noise = normals(seed, 'gates', t, gates)
    const gradient = tensor(
      theta.data.map((x, j) => {
        const p = probabilityNonZeroOn(numberBackend)(settings)([x])[0] ?? NaN
        return (
          -(wishes[j] ?? 0) +
          3 * force * (noise[j] ?? 0) +
          2 * (lambda.data[0] ?? NaN) * (c - targetDensity) * ((costs[j] ?? 0) / total) * p * (1 - p)
        )
      }),
    )
    const before = lambda.data[0] ?? NaN
    ;[theta, moments] = reference.adamw(gateAdam)(theta, gradient, moments, { learningRate: controlLearningRate, weightDecay: 0, step: t })
    const ascent = reference.adamw(adam)(tensor([-before]), tensor([(c - targetDensity) ** 2]), lambdaMoments, {
      learningRate: multiplierLearningRate,
      weightDecay: 0,
      step: t,
    })
    ;[lambda, lambdaMoments] = [tensor([Math.max(0, -(ascent[0].data[0] ?? NaN))]), ascent[1]]
    never &&= (lambda.data[0] ?? NaN) >= before
  }
  return { density: densityOf(modules, theta.data), lambdaNeverFell: never }
}

describe(`the density after a simulated window (seed ${SEED})`, () => {
  it.each([100, 300, 1000])(
    'the density after %d window steps is within 0.02 of the budget however strongly the task pulls, and λ never falls',
    (steps) => {
      for (const budget of [0.5, 0.25, 0.75]) {
        for (const force of [1e-6, 1e-4, 1e-2]) {
          const { density, lambdaNeverFell } = simulate({ steps, budget, force, seed: SEED })
          expect(Math.abs(density - budget), `b ${budget}, force ${force}: C ${density}`).toBeLessThanOrEqual(0.02)
          expect(lambdaNeverFell).toBe(true)
        }
      }
    },
  )
})
