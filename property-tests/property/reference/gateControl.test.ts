/** The control of the gate window: its formulas at points worked by hand, and the density that it reaches in a simulated run. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  type Adapters,
  type GateWindow,
  type Tensor,
  adamw,
  defaultSettings,
  density,
  densityVjp,
  filled,
  gateControl,
  gateSteps,
  initMoments,
  named,
  normal,
  penaltySlope,
  slice,
  tensor,
  violation,
} from '../../../reference/index.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

const window: GateWindow = {
  control: 'ramp',
  steps: 20,
  gates: 3,
  initialDensity: 0.5,
  targetDensity: 0.2,
  controlLearningRate: 0.01,
}
const scalars = (change: Partial<GateWindow>, steps: readonly number[]) => {
  const controls = steps.map(gateControl({ ...window, ...change }))
  return {
    targets: controls.map(({ targetDensity }) => targetDensity),
    ofTheta: controls.map(({ controlLearningRate }) => controlLearningRate),
    ofLambda: controls.map(({ multiplierLearningRate }) => multiplierLearningRate),
  }
}

describe('the ramp', () => {
  it('lowers the target along a straight line in log-odds over the first 0.9 of the window, and is b after that', () => {
    // Odds of 1 fall to odds of 1/4 in 18 steps. They fall by a factor of 2 in nine, and by √2 more in half of the rest.
    const { targets } = scalars({}, [9, 13.5, 18, 19, 20])
    assertClose(targets, [1 / 3, 1 / (1 + 2 * Math.SQRT2), 0.2, 0.2, 0.2], { relative: 1e-14, name: 'target' })
    expect(targets.slice(2)).toEqual([0.2, 0.2, 0.2])
    assertClose(scalars({}, [1]).targets, [1 / (1 + 4 ** (1 / 18))], { relative: 1e-14, name: 'first target' })
  })

  it('raises the target where b is above the density, and to exactly 1 at the end though its path is bounded at 0.999', () => {
    const { targets } = scalars({ targetDensity: 1 }, [9, 18])
    assertClose(targets, [1 / (1 + (1 / 999) ** (1 / 2)), 1], { relative: 1e-14, name: 'target' })
  })

  it('moves Θ by three times the distance over N steps, and after 0.9 N linearly less, down to 1 / 0.1 N of it', () => {
    const peak = (3 * (1 + Math.log(4))) / 20
    assertClose(scalars({}, [1, 10, 19, 20]).ofTheta, [peak, peak, peak, peak / 2], { relative: 1e-13, name: 'η_Θ' })
    const long = (3 * (1 + Math.log(4))) / 200
    assertClose(scalars({ steps: 200 }, [1, 181, 191, 200]).ofTheta, [long, long, long / 2, long / 20], { relative: 1e-12, name: 'η_Θ' })
  })

  it("moves Θ at the paper's 0.01 if that covers the distance", () =>
    assertClose(scalars({ steps: 20_000 }, [1, 18_000, 19_001]).ofTheta, [0.01, 0.01, 0.005], { relative: 1e-11, name: 'η_Θ' }))

  it('raises λ from 10⁻⁴ to 10⁵ per gate at a constant relative speed, and then keeps its speed', () => {
    const speed = Math.log(1e9) / 18
    assertClose(scalars({}, [6, 18, 20]).ofLambda, [3e-1 * speed, 3e5 * speed, 3e5 * speed], { relative: 1e-12, name: 'η_λ' })
    const { ofLambda } = scalars(
      { steps: 10_000 },
      Array.from({ length: 9000 }, (_, t) => t + 1),
    )
    assertClose([ofLambda.reduce((a, b) => a + b, 0)], [3e5], { relative: 2e-3, name: 'λ after 0.9 N steps' })
  })
})

describe(`the paper's control (seed ${SEED})`, () => {
  it('is b and η_c in every step: a constant target, and one rate for Θ and for λ', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 5000 }), fc.constantFrom('adam', 'descent'), fc.nat(), (steps, control, at) => {
        const scalars = gateControl({ ...window, control, steps })(1 + (at % steps))
        expect(scalars).toEqual({ targetDensity: 0.2, controlLearningRate: 0.01, multiplierLearningRate: 0.01 })
      }),
      { seed: SEED, numRuns: 100 },
    )
  })
})

// --- A closed loop: gates whose task wants most of them open, some more than others, under a noise three times what it wants. ---

const rank = 8
const sizes = Array.from({ length: 6 }, (_, i) => ({ d: i % 6 === 4 ? 64 : 16, k: i % 6 === 5 ? 64 : 16 }))
const gates = rank * sizes.length
const adaptersOf = (logTheta: Tensor): Adapters =>
  Object.fromEntries(
    sizes.map(({ d, k }, i) => [
      `module${i}`,
      { A: filled([rank, k], 0), B: filled([d, rank], 0), logTheta: slice(logTheta, [i * rank], [(i + 1) * rank]) },
    ]),
  )

interface Loop {
  readonly logTheta: Tensor
  readonly lambda: Tensor
  readonly moments: readonly [ReturnType<typeof initMoments>, ReturnType<typeof initMoments>]
  readonly seed: number
  readonly lambdaFell: boolean
}

const closedLoop = (steps: number, targetDensity: number, force: number, seed: number): { readonly density: number } & Loop => {
  const start = filled([gates], 0)
  const [wishes, first] = normal([gates], force)(seed)
  const control = gateControl({
    ...window,
    steps,
    gates,
    targetDensity,
    initialDensity: density(defaultSettings)(adaptersOf(start)),
  })
  const step = ({ logTheta, lambda, moments, seed, lambdaFell }: Loop, t: number): Loop => {
    const { targetDensity: b, controlLearningRate, multiplierLearningRate } = control(t)
    const adapters = adaptersOf(logTheta)
    const c = density(defaultSettings)(adapters)
    const [noise, next] = normal([gates], 3 * force)(seed)
    const constraint = densityVjp(defaultSettings)(adapters, penaltySlope(lambda.data[0]!, c, b))
    const budget = Object.keys(adapters).flatMap((name) => [...named(constraint, name).data])
    const gradient = tensor(
      [gates],
      budget.map((x, j) => x + noise.data[j]! - force - wishes.data[j]!),
    )
    const now = (learningRate: number) => ({ learningRate, weightDecay: 0, step: t })
    const [theta, ofTheta] = adamw(defaultSettings.gateAdam)(logTheta, gradient, moments[0], now(controlLearningRate))
    const risen = tensor([1], [-lambda.data[0]!])
    const [minus, ofLambda] = adamw(defaultSettings)(risen, tensor([1], [violation(c, b)]), moments[1], now(multiplierLearningRate))
    return {
      logTheta: theta,
      lambda: tensor([1], [-minus.data[0]!]),
      moments: [ofTheta, ofLambda],
      seed: next,
      lambdaFell: lambdaFell || -minus.data[0]! < lambda.data[0]!,
    }
  }
  const lambda = tensor([1], [0])
  const begin: Loop = { logTheta: start, lambda, moments: [initMoments(start), initMoments(lambda)], seed: first, lambdaFell: false }
  const end = Array.from({ length: steps }, (_, i) => i + 1).reduce(step, begin)
  return { ...end, density: density(defaultSettings)(adaptersOf(end.logTheta)) }
}

describe(`the density after a simulated window (seed ${SEED})`, () => {
  const cases = [100, 300, 1000].flatMap((steps) =>
    [0.25, 0.5, 0.75].flatMap((b) => [1e-6, 1e-4, 1e-2].map((force) => [steps, b, force] as const)),
  )
  it.each(cases)('is within 0.02 of b, and λ never falls: %d gated steps, b = %d, a force of %d', (steps, b, force) => {
    const reached = closedLoop(steps, b, force, SEED)
    assertClose([reached.density], [b], { relative: 0, absolute: 0.02, name: 'C' })
    expect(reached.lambdaFell).toBe(false)
  })
})

describe('the gate window', () => {
  it('has 30 of 100 steps at the defaults, from step 20 on', () =>
    expect(gateSteps({ gateStart: 0.2, gateEnd: 0.5, steps: 100 })).toEqual({ start: 20, end: 50 }))

  it('begins and ends at the first step at or after T_start and T_end, despite rounded products', () => {
    expect(0.07 * 100).toBeGreaterThan(7)
    expect(gateSteps({ gateStart: 0.07, gateEnd: 0.7, steps: 100 })).toEqual({ start: 7, end: 70 })
    expect(gateSteps({ gateStart: 0, gateEnd: 0.7, steps: 10 })).toEqual({ start: 0, end: 7 })
    expect(gateSteps({ gateStart: 0.2, gateEnd: 1, steps: 7 })).toEqual({ start: 2, end: 7 })
  })

  // The user's fraction is a pair of whole numbers: 0.07 is 7 / 100, although float64 rounds it.
  const hundredths = Array.from({ length: 101 }, (_, i) => [i, 100] as const)
  const others = [
    [1, 3],
    [2, 3],
    [1, 7],
    [5, 9],
    [1, 1000],
    [999, 1000],
    [1, 1001],
  ] as const
  it('is the set of t with T_start ≤ t < T_end in exact arithmetic, in runs of up to 3,000 steps', () => {
    const wrong = [...hundredths, ...others].flatMap(([p, q]) =>
      Array.from({ length: 3000 }, (_, i) => i + 1).filter((steps) => {
        // The least t with p · steps ≤ t · q.
        const exact = (BigInt(p) * BigInt(steps) + BigInt(q) - 1n) / BigInt(q)
        const asStart = gateSteps({ gateStart: p / q, gateEnd: 1, steps })
        const asEnd = gateSteps({ gateStart: 0, gateEnd: p / q, steps })
        return BigInt(asStart.start) !== exact || asStart.end !== steps || BigInt(asEnd.end) !== exact || asEnd.start !== 0
      }),
    )
    expect(wrong).toEqual([])
  })
})
