import { describe, expect, it } from 'vitest'
import {
  adamw,
  defaultSettings,
  density,
  densityVjp,
  drawNoise,
  filled,
  initMoments,
  initialState,
  multiplierAscent,
  named,
  penaltySlope,
  probabilityNonZero,
  probabilityNonZeroVjp,
  tensor,
  trainingStep,
  violation,
  zipWith,
  type Adapters,
  type Moments,
  type Tensor,
  type TrainingState,
} from '../../../reference/index.js'
import { tiny } from '../../support/arbitraries/encoders.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

// min over Θ of ½ Σⱼ (Pⱼ − tⱼ)² subject to C = mean P = b. Stationarity of ½ Σ (Pⱼ − tⱼ)² + λ (C − b)² in Pⱼ reads
// Pⱼ − tⱼ + (2λ/n)(C − b) = 0: every P is shifted alike. So C = (t̄ + κb) / (1 + κ) with κ = 2λ/n, and Pⱼ = tⱼ − t̄ + C.
const wishes = tensor([4], [0.95, 0.85, 0.75, 0.65])
const mean = 0.8
const b = 0.5
const adaptersOf = (logTheta: Tensor): Adapters => ({ only: { A: filled([4, 3], 0), B: filled([2, 4], 0), logTheta } })

interface Game {
  readonly logTheta: Tensor
  readonly moments: Moments
  readonly lambda: number
}

const play =
  (rate: number) =>
  ({ logTheta, moments, lambda }: Game, step: number): Game => {
    const adapters = adaptersOf(logTheta)
    const now = density(defaultSettings)(adapters)
    const wish = probabilityNonZeroVjp(defaultSettings)(
      logTheta,
      zipWith((p, t) => p - t)(probabilityNonZero(defaultSettings)(logTheta), wishes),
    )
    const gradient = zipWith((x, y) => x + y)(wish, named(densityVjp(defaultSettings)(adapters, penaltySlope(lambda, now, b)), 'only'))
    const [next, after] = adamw(defaultSettings)(logTheta, gradient, moments, { learningRate: 0.02, weightDecay: 0, step })
    return { logTheta: next, moments: after, lambda: multiplierAscent(rate)(lambda, violation(now, b)) }
  }

const run = (steps: number, rate: number, lambda: number): Game =>
  Array.from({ length: steps }, (_, i) => i + 1).reduce(play(rate), {
    logTheta: filled([4], 0),
    moments: initMoments(filled([4], 0)),
    lambda,
  })

describe('a quadratic with a density constraint', () => {
  it.each([0, 1, 10, 100])('converges to the stationary point when the multiplier is fixed at %d', (lambda) => {
    const { logTheta } = run(4000, 0, lambda)
    const kappa = (2 * lambda) / 4
    const C = (mean + kappa * b) / (1 + kappa)
    assertClose([density(defaultSettings)(adaptersOf(logTheta))], [C], { relative: 1e-4, name: 'C' })
    assertClose(
      probabilityNonZero(defaultSettings)(logTheta).data,
      wishes.data.map((t) => t - mean + C),
      { relative: 1e-3, name: 'P' },
    )
  })

  it('reaches its target density, and the constrained optimum, when the multiplier ascends', () => {
    const { logTheta, lambda } = run(8000, 50, 0)
    assertClose([density(defaultSettings)(adaptersOf(logTheta))], [b], { relative: 0, absolute: 0.01, name: 'C' })
    assertClose(
      probabilityNonZero(defaultSettings)(logTheta).data,
      wishes.data.map((t) => t - mean + b),
      { relative: 0, absolute: 0.015, name: 'P' },
    )
    expect(lambda).toBeGreaterThan(50)
  })
})

interface Run {
  readonly state: TrainingState
  readonly seed: number
  readonly losses: readonly number[]
  readonly lambdas: readonly number[]
  readonly density: number
}

describe(`an encoder in training (seed ${SEED})`, () => {
  const model = tiny({ family: 'roberta', taskType: 'classification', layers: 1, seed: SEED })
  const config = { ...model.config, hiddenDropout: 0, attentionDropout: 0, headDropout: 0 }
  const step = trainingStep(config, model.settings, model.base)
  const rates = { targetDensity: 0.5, learningRate: 0.02, controlLearningRate: 0.05, multiplierLearningRate: 1 }
  const begin: Run = { state: initialState(config, model.settings)(SEED)[0], seed: SEED, losses: [], lambdas: [], density: 1 }
  const train = (steps: number, gating: 'sampled' | 'open'): Run =>
    Array.from({ length: steps }).reduce<Run>(({ state, seed, losses, lambdas }) => {
      const [noise, next] = drawNoise(config)(state.adapters, model.batch)(seed)
      const [after, { taskLoss, density }] = step(state, model.batch, noise, { ...rates, gating })
      return { state: after, seed: next, losses: [...losses, taskLoss], lambdas: [...lambdas, after.lambda], density }
    }, begin)

  it('overfits one batch, and moves B away from 0', () => {
    const { losses, state } = train(100, 'open')
    expect(losses.at(-1)! < 0.1 * losses[0]!).toBe(true)
    Object.values(state.adapters).forEach(({ B }) => expect(B.data.some((x) => x !== 0)).toBe(true))
  })

  it('reaches the target density with sampled gates, never lowers λ, and still learns', () => {
    const { losses, density: reached, lambdas } = train(150, 'sampled')
    assertClose([reached], [0.5], { relative: 0, absolute: 0.02, name: 'density' })
    expect(lambdas.every((lambda, i) => i === 0 || lambda >= lambdas[i - 1]!)).toBe(true)
    expect(losses.at(-1)! < 0.5 * losses[0]!).toBe(true)
  })
})
