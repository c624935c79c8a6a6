/** Philox against its authors' known answers, and what training relies on in the numbers drawn from it. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Stream } from '../../../accelerated/parameters/random.js'
import { normals, permutation, philox, streams, uniforms } from '../../../accelerated/parameters/random.js'
import { SEED } from '../../support/seed.js'

const options = { seed: SEED, numRuns: 50 }
const stream = fc.constantFrom(...(Object.keys(streams) as Stream[]))
const seed = fc.integer({ min: 0, max: Number.MAX_SAFE_INTEGER })
const step = fc.integer({ min: 0, max: 2 ** 40 })
const count = fc.integer({ min: 1, max: 40 })

const words = (counter: readonly [number, number, number, number], key: readonly [number, number]): string => {
  const out = new Uint32Array(4)
  philox(...counter, ...key, out)
  return [...out].map((word) => word.toString(16).padStart(8, '0')).join(' ')
}
const mean = (x: ArrayLike<number>): number => Array.from(x).reduce((a, b) => a + b, 0) / x.length
const variance = (x: ArrayLike<number>): number => {
  const center = mean(x)
  return mean(Array.from(x, (value) => (value - center) ** 2))
}

describe(`random numbers (seed ${SEED})`, () => {
  it.each([
    // Random123, tests/kat_vectors, philox4x32 with 10 rounds
    ['zeros', [0, 0, 0, 0], [0, 0], '6627e8d5 e169c58d bc57ac4c 9b00dbd8'],
    ['ones', [0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff], [0xffffffff, 0xffffffff], '408f276d 41c83b0e a20bc7c6 6d5451fd'],
    ['the digits of π', [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], [0xa4093822, 0x299f31d0], 'd16cfe09 94fdcceb 5001e420 24126ea1'],
  ] as const)('are Philox 4×32-10: known answer for %s', (_, counter, key, expected) => {
    expect(words(counter, key)).toBe(expected)
  })

  it('are strictly between 0 and 1', () => {
    fc.assert(
      fc.property(seed, stream, step, count, (s, name, t, n) => {
        const u = uniforms(s, name, t, n)
        expect(u.length).toBe(n)
        expect(u.every((x) => x > 0 && x < 1)).toBe(true)
      }),
      options,
    )
  })

  it('do not depend on the number of draws', () => {
    fc.assert(
      fc.property(seed, stream, step, count, count, (s, name, t, n, m) => {
        expect(uniforms(s, name, t, n + m).slice(0, n)).toEqual(uniforms(s, name, t, n))
      }),
      options,
    )
  })

  it('differ between seeds, streams and steps, in the high words of seeds and steps too', () => {
    const draws = [
      ...[0, 1, 2 ** 32, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER].map((s) => uniforms(s, 'gates', 3, 8)),
      ...(Object.keys(streams) as Stream[]).filter((name) => name !== 'gates').map((name) => uniforms(0, name, 3, 8)),
      ...[0, 1, 2, 2 ** 32, 2 ** 32 + 1].map((t) => uniforms(0, 'gates', t, 8)),
    ]
    const all = draws.flatMap((draw) => [...draw])
    expect(new Set(all).size).toBe(all.length)
  })

  it('never share a number between two purposes', () => {
    expect(new Set(Object.values(streams)).size).toBe(Object.values(streams).length)
  })

  it('have the mean, the variance and the uncorrelated neighbors of a uniform distribution', () => {
    const n = 40_000 // standard errors: mean 1/√(12n) = 0.0014, variance 1/√(180n) = 0.0004, correlation 1/√n = 0.005; bounds are five of them
    const u = uniforms(SEED, 'dropoutPool', 0, n)
    expect(Math.abs(mean(u) - 1 / 2)).toBeLessThan(0.0072)
    expect(Math.abs(variance(u) - 1 / 12)).toBeLessThan(0.0019)
    for (const lag of [1, 2, 4])
      expect(Math.abs(mean(u.slice(lag).map((x, i) => (x - 0.5) * ((u[i] ?? NaN) - 0.5) * 12)))).toBeLessThan(0.025)
  })

  it('have the first four moments of a normal distribution, and independent pairs', () => {
    const n = 40_001 // standard errors: mean 0.005, variance 0.007, fourth moment √(96/n) = 0.05
    const z = normals(SEED, 'initialization', 0, n)
    expect(z.length).toBe(n)
    expect(Math.abs(mean(z))).toBeLessThan(0.025)
    expect(Math.abs(variance(z) - 1)).toBeLessThan(0.036)
    expect(Math.abs(mean(z.map((x) => x ** 3)))).toBeLessThan(0.1)
    expect(Math.abs(mean(z.map((x) => x ** 4)) - 3)).toBeLessThan(0.25)
    expect(Math.abs(mean(z.slice(1).map((x, i) => x * (z[i] ?? NaN))))).toBeLessThan(0.025)
  })

  it('permute: every number from 0 to n − 1 occurs once', () => {
    fc.assert(
      fc.property(seed, step, fc.integer({ min: 0, max: 60 }), (s, t, n) => {
        expect([...permutation(s, 'order', t, n)].sort((a, b) => a - b)).toEqual(Array.from({ length: n }, (_, i) => i))
      }),
      options,
    )
  })

  it('permute uniformly: the 24 orders of four are equally frequent', () => {
    const runs = 4800 // 200 of each expected
    const counts = new Map<string, number>()
    for (let t = 0; t < runs; t++) {
      const order = permutation(SEED, 'order', t, 4).join()
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    const chiSquare = [...counts.values()].reduce((sum, count) => sum + (count - 200) ** 2 / 200, 0)
    expect(counts.size).toBe(24)
    expect(chiSquare).toBeLessThan(59) // 23 degrees of freedom: exceeded once in 20,000
  })
})
