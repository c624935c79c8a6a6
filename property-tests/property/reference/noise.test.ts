import { describe, expect, it } from 'vitest'
import {
  drawGateNoise,
  drawNoise,
  dropoutMask,
  dropoutSites,
  initialAdapters,
  initialState,
  normal,
  probabilityNonZero,
  sampleGate,
  squaredNorm,
  sum,
  tensor,
  uniform,
  type Tensor,
} from '../../../reference/index.js'
import { tiny } from '../../support/arbitraries/encoders.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

const n = 100_000
const mean = (x: Tensor): number => sum(x) / x.data.length
const { config, settings, batch, parameters } = tiny({ family: 'roberta', taskType: 'classification', seed: SEED })

describe(`random draws (seed ${SEED})`, () => {
  it('are uniform on the open interval: mean 1/2, variance 1/12, and a tenth in each tenth', () => {
    const [u] = uniform([n])(SEED)
    expect(u.data.every((x) => x > 0 && x < 1)).toBe(true)
    assertClose([mean(u), squaredNorm(u) / n - mean(u) ** 2], [1 / 2, 1 / 12], { relative: 0, absolute: 0.005 })
    const tenths = Array.from({ length: 10 }, (_, i) => u.data.filter((x) => Math.floor(10 * x) === i).length / n)
    assertClose(tenths, new Float64Array(10).fill(0.1), { relative: 0, absolute: 0.004, name: 'tenths' })
  })

  it('are uncorrelated from one to the next', () => {
    const [u] = uniform([n])(SEED)
    const products =
      u.data
        .slice(1)
        .map((x, i) => (x - 0.5) * (u.data[i]! - 0.5))
        .reduce((a, b) => a + b, 0) / n
    assertClose([products], [0], { relative: 0, absolute: 0.0012, name: 'covariance' })
  })

  it('are normal: mean 0, variance 1, and 68.27 % within one deviation', () => {
    const [z] = normal([n])(SEED)
    assertClose([mean(z), squaredNorm(z) / n], [0, 1], { relative: 0, absolute: 0.02 })
    assertClose([z.data.filter((x) => Math.abs(x) < 1).length / n], [0.6827], { relative: 0, absolute: 0.006 })
  })

  it('drop values with the given probability and keep the mean', () => {
    const mask = dropoutMask(0.25)(uniform([n])(SEED)[0])
    assertClose([mask.data.filter((x) => x === 0).length / n, mean(mask)], [0.25, 1], { relative: 0, absolute: 0.008 })
    expect(new Set(mask.data)).toEqual(new Set([0, 1 / 0.75]))
    // Below p a value goes, from p on it stays: p itself is the first u that stays.
    expect([...dropoutMask(0.2)(tensor([4], [0, 0.1999999, 0.2, 0.9])).data]).toEqual([0, 0, 1 / 0.8, 1 / 0.8])
    expect([...dropoutMask(0)(tensor([2], [0, 0.5])).data]).toEqual([1, 1])
  })

  it('repeat from the same seed, and continue from the seed they return', () => {
    const [first, seed] = uniform([3])(SEED)
    const [second] = uniform([3])(seed)
    expect(uniform([3])(SEED)).toEqual([first, seed])
    expect([...first.data, ...second.data]).toEqual([...uniform([6])(SEED)[0].data])
  })
})

describe(`a step's noise (seed ${SEED})`, () => {
  it('is new in every step: frozen noise would freeze the gates', () => {
    const draw = drawNoise(config)(parameters.adapters, batch)
    const [first, seed] = draw(SEED)
    const [second] = draw(seed)
    Object.keys(first.gates).forEach((module) => expect(second.gates[module]!.data).not.toEqual(first.gates[module]!.data))
    expect(second.dropout['embeddings']).not.toEqual(first.dropout['embeddings'])
  })

  it('opens every gate with the probability of equation (8)', () => {
    const [module, { logTheta }] = Object.entries(parameters.adapters)[0]!
    const steps = 4000
    const { open } = Array.from({ length: steps }).reduce<{ open: readonly number[]; seed: number }>(
      ({ open, seed }) => {
        const [gates, next] = drawGateNoise({ [module]: parameters.adapters[module]! })(seed)
        const g = sampleGate(settings)(logTheta, gates[module]!)
        return { open: open.map((count, j) => count + (g.data[j]! > 0 ? 1 : 0)), seed: next }
      },
      { open: [...logTheta.data].map(() => 0), seed: SEED },
    )
    assertClose(
      open.map((count) => count / steps),
      probabilityNonZero(settings)(logTheta).data,
      { relative: 0, absolute: 0.032, name: 'P(g > 0)' },
    )
  })

  it('has one mask for each dropout site of the family', () => {
    const roberta = dropoutSites(config, batch)
    expect(roberta['encoder.layer.1.attention.probabilities']!.shape).toEqual([3, 2, 3, 3])
    expect(Object.keys(roberta)).toHaveLength(1 + 2 * 3 + 2)
    expect(Object.keys(dropoutSites({ ...config, family: 'bert' }, batch))).toHaveLength(1 + 2 * 3 + 1)
    const tokens = dropoutSites({ ...config, taskType: 'tokens', headDropout: 0.3 }, batch)
    expect(Object.keys(tokens)).toHaveLength(1 + 2 * 3 + 1)
    expect(tokens['head.input']).toEqual({ ...tokens['embeddings'], probability: 0.3 })
    const without = { ...config, hiddenDropout: 0, attentionDropout: 0, headDropout: 0 }
    expect(Object.keys(drawNoise(without)(parameters.adapters, batch)(SEED)[0].dropout)).toEqual([])
  })
})

describe(`initial adapters (seed ${SEED})`, () => {
  it('have B = 0, and A within 1/√k, filling it', () => {
    const wide = { ...config, hiddenSize: 400, intermediateSize: 100 }
    Object.values(initialAdapters(wide, settings)(SEED)[0]).forEach(({ A, B, logTheta }) => {
      const bound = 1 / Math.sqrt(A.shape[1]!)
      const [least, most] = [A.data.reduce((x, y) => Math.min(x, y)), A.data.reduce((x, y) => Math.max(x, y))]
      assertClose([least, most], [-bound, bound], { relative: 0.05, name: 'range of A' })
      expect(-bound < least && most < bound).toBe(true)
      expect([...B.data, ...logTheta.data].every((x) => x === 0)).toBe(true)
    })
  })

  it('are gaussian of deviation 1/r with `gaussian`', () => {
    const wide = { ...config, hiddenSize: 400, intermediateSize: 400 }
    Object.values(initialAdapters(wide, { ...settings, rank: 4, initialization: 'gaussian' })(SEED)[0]).forEach(({ A }) =>
      assertClose([squaredNorm(A) / A.data.length], [1 / 16], { relative: 0.12, name: 'variance of A' }),
    )
  })

  it('start with λ = 0 and no step done', () => {
    const [state] = initialState(config, settings)(SEED)
    expect([state.lambda, state.step, state.gatedStep]).toEqual([0, 0, 0])
    expect(Object.keys(state.head)).toEqual(Object.keys(parameters.head).sort())
    const [biases, matrices] = [1, 2].map((axes) => Object.values(state.head).filter(({ shape }) => shape.length === axes))
    expect(biases?.length).toBeGreaterThan(0)
    expect(biases?.every(({ data }) => data.every((x) => x === 0))).toBe(true)
    expect(matrices?.every(({ data }) => data.every((x) => x !== 0 && Math.abs(x) < 0.02 * 6))).toBe(true)
  })
})
