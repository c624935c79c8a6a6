import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { adamw, filled, initMoments, tensor, type AdamWStep, type Moments, type Tensor } from '../../../reference/index.js'
import { number, tensorOf } from '../../support/arbitraries/tensors.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

const options = { seed: SEED, numRuns: 100 }
const settings = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
const update = adamw(settings)

describe(`AdamW (seed ${SEED})`, () => {
  it('moves each parameter by the learning rate against its gradient in the first step, for any size of the gradient', () => {
    const gradients = tensorOf([4], 0.01, 1000).map((g) =>
      tensor(
        [4],
        g.data.map((x, i) => (i % 2 ? x : -x)),
      ),
    )
    fc.assert(
      fc.property(tensorOf([4]), gradients, number(1e-4, 0.1), (p, gradient, learningRate) => {
        const [next] = update(p, gradient, initMoments(p), { learningRate, weightDecay: 0, step: 1 })
        const expected = p.data.map((x, i) => x - learningRate * Math.sign(gradient.data[i]!))
        assertClose(next.data, expected, { relative: 0, absolute: 2e-6 * learningRate + 1e-15 })
      }),
      options,
    )
  })

  it('matches two steps computed by hand', () => {
    // p = 1, gradients 0.5 and −0.25, η = 0.1, weight decay 0.1.
    // t = 1: p·(1 − 0.01) = 0.99, m = 0.05, v = 0.00025, m̂ = 0.5, v̂ = 0.25, so p = 0.99 − 0.1 · 0.5 / (0.5 + 1e-8).
    // t = 2: m = 0.045 − 0.025 = 0.02, v = 0.00024975 + 0.0000625 = 0.00031225; m̂ = 0.02 / 0.19, v̂ = 0.00031225 / 0.001999.
    const step = (t: number): AdamWStep => ({ learningRate: 0.1, weightDecay: 0.1, step: t })
    const [first, moments] = update(tensor([1], [1]), tensor([1], [0.5]), initMoments(tensor([1], [1])), step(1))
    const expectedFirst = 0.99 - (0.1 * 0.5) / (0.5 + 1e-8)
    assertClose(first.data, [expectedFirst], { relative: 1e-14, name: 'p after step 1' })
    const [second, last] = update(first, tensor([1], [-0.25]), moments, step(2))
    assertClose(last.m.data, [0.02], { relative: 1e-14, name: 'm' })
    assertClose(last.v.data, [0.00031225], { relative: 1e-14, name: 'v' })
    const expectedSecond = expectedFirst * 0.99 - (0.1 * (0.02 / 0.19)) / (Math.sqrt(0.00031225 / 0.001999) + 1e-8)
    assertClose(second.data, [expectedSecond], { relative: 1e-14, name: 'p after step 2' })
  })

  it('keeps moving at the learning rate under a constant gradient: bias correction is exact', () => {
    const walk = (t: number, p: Tensor, moments: Moments): Tensor => {
      const [next, after] = update(p, tensor([1], [3]), moments, { learningRate: 0.01, weightDecay: 0, step: t })
      return t === 50 ? next : walk(t + 1, next, after)
    }
    assertClose(walk(1, filled([1], 0), initMoments(filled([1], 0))).data, [-0.5], { relative: 1e-8 })
  })

  it('decays independently of the gradient: with gradient 0 a parameter shrinks by the factor 1 − η·wd', () => {
    fc.assert(
      fc.property(tensorOf([3]), number(0, 0.5), number(0, 0.5), (p, learningRate, weightDecay) => {
        const [next] = update(p, filled([3], 0), initMoments(p), { learningRate, weightDecay, step: 1 })
        assertClose(
          next.data,
          p.data.map((x) => x * (1 - learningRate * weightDecay)),
          { relative: 1e-14 },
        )
      }),
      options,
    )
  })

  it('refuses a gradient of another shape', () => {
    const wrong = () => update(filled([2], 0), filled([3], 0), initMoments(filled([2], 0)), { learningRate: 1, weightDecay: 0, step: 1 })
    expect(wrong).toThrow('expected shape [2], got [3]')
  })
})
