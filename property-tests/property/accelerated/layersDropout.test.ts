/** Dropout whose masks are slices of a pool: which slice, and what flows back. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Feed, NumericArray } from '../../../accelerated/engines/feeds.js'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { gradient } from '../../../accelerated/graph/gradient.js'
import { add, input, mul, reduceSum, tanh } from '../../../accelerated/graph/operators.js'
import { plainHost } from '../../../accelerated/models/host.js'
import { offsetName, poolName, pooledDropout } from '../../../accelerated/models/layers/dropout.js'
import { dropoutOffsets, dropoutPools, slack } from '../../../accelerated/training/dropoutFeeds.js'
import { uniforms } from '../../../accelerated/parameters/random.js'
import { evenlyMany } from '../../support/arbitraries/graphNumbers.js'
import { assertClose } from '../../support/assertClose.js'
import { float32, float64, int64, resultOf, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'
import { sameFormulaFloat64 } from '../../support/tolerance.js'

const close = (name: string, actual: readonly number[], expected: readonly number[]): void =>
  assertClose(actual, expected, { relative: sameFormulaFloat64, absolute: sameFormulaFloat64, name })
const numbers = (count: number): fc.Arbitrary<number[]> => evenlyMany(-1.5, 1.5)(count)
const bytesOf = ({ buffer, byteOffset, byteLength }: NumericArray): Buffer => Buffer.from(buffer, byteOffset, byteLength)
const plain = plainHost(() => {
  throw new Error('dropout asks for no tensor')
})

describe(`dropout (seed ${SEED})`, () => {
  it('has the pools of its seed, probability and precision, whatever was drawn before', () => {
    const held = [] // as a run holds its pools
    for (const [seed, probability, rows, dtype] of [
      [1, 0.25, 3, 'float64'],
      [1, 0.25, 2, 'float64'],
      [1, 0.25, 4, 'float64'],
      [2, 0.25, 2, 'float64'],
      [1, 0.5, 2, 'float64'],
      [1, 0.25, 2, 'float32'],
    ] as const) {
      const size = slack + 7 * rows
      const pools = dropoutPools(seed, [{ site: 'embeddings', probability, shape: ['rows', 7] }], { rows }, dtype)
      held.push(pools)
      const { data, shape } = pools[poolName(probability)] as Feed
      const rule = uniforms(seed, 'dropoutPool', 0, size).map((u) => (u < probability ? 0 : 1 / (1 - probability)))
      expect(shape).toEqual([size])
      expect(bytesOf(data).equals(bytesOf(dtype === 'float64' ? rule : Float32Array.from(rule)))).toBe(true)
    }
    expect(held.length).toBe(6)
  })

  it("multiplies by the slice of the pool at the site's offset, and so does its gradient", () => {
    const { wrap, sites } = pooledDropout('float64')
    const { dropout } = wrap(plain)
    const x = input('x', ['tokens', 3], 'float64')
    const scores = input('scores', ['batch', 2, 'tokens', 'tokens'], 'float64')
    const masked = dropout('embeddings', tanh(x), 0.1)
    const untouched = dropout('silent', x, 0)
    const maskedScores = dropout('probabilities', scores, 0.5)
    const twice = dropout('output', masked, 0.1) // an offset of its own, the first pool
    const [xBar, scoresBar] = gradient(add(reduceSum(mul(twice, input('yBar', ['tokens', 3], 'float64'))), reduceSum(maskedScores)), [
      x,
      scores,
    ])
    expect(untouched).toBe(x)
    expect(sites().map(({ site, probability, shape }) => [site, probability, shape])).toEqual([
      ['embeddings', 0.1, ['tokens', 3]],
      ['probabilities', 0.5, ['batch', 2, 'tokens', 'tokens']],
      ['output', 0.1, ['tokens', 3]],
    ])
    const drawn = fc
      .record({
        tokens: fc.integer({ min: 1, max: 4 }),
        batch: fc.integer({ min: 1, max: 2 }),
        offsets: fc.tuple(fc.nat(20), fc.nat(20), fc.nat(20)),
      })
      .chain((sizes) =>
        fc.tuple(fc.constant(sizes), numbers(3 * sizes.tokens), numbers(3 * sizes.tokens), numbers(2 * sizes.batch * sizes.tokens ** 2)),
      )
    const pools = {
      [poolName(0.1)]: Array.from({ length: 40 }, (_, i) => (i % 3 === 0 ? 0 : 1 / 0.9 + i)),
      [poolName(0.5)]: Array.from({ length: 90 }, (_, i) => (i % 2 === 0 ? 0 : 2 + i)),
    }
    return withGraph({ masked, maskedScores, xBar: xBar as Expression, scoresBar: scoresBar as Expression }, (run) =>
      fc.assert(
        fc.asyncProperty(drawn, async ([{ tokens, batch, offsets }, xs, yBar, scoreValues]) => {
          const results = await run({
            x: float64(xs, [tokens, 3]),
            yBar: float64(yBar, [tokens, 3]),
            scores: float64(scoreValues, [batch, 2, tokens, tokens]),
            ...Object.fromEntries(sites().map(({ site }, i) => [offsetName(site), int64([offsets[i] ?? NaN])])),
            ...Object.fromEntries(Object.entries(pools).map(([name, pool]) => [name, float64(pool)])),
          })
          const mask = (pool: number, offset: number, count: number): readonly number[] =>
            (pools[poolName(pool)] ?? []).slice(offset, offset + count)
          const first = mask(0.1, offsets[0], xs.length)
          const second = mask(0.5, offsets[1], scoreValues.length)
          close(
            'masked',
            resultOf(results, 'masked'),
            xs.map((value, i) => Math.tanh(value) * (first[i] ?? NaN)),
          )
          close(
            'masked scores',
            resultOf(results, 'maskedScores'),
            scoreValues.map((value, i) => value * (second[i] ?? NaN)),
          )
          const third = mask(0.1, offsets[2], xs.length)
          close(
            'gradient of x',
            resultOf(results, 'xBar'),
            xs.map((value, i) => (yBar[i] ?? NaN) * (third[i] ?? NaN) * (first[i] ?? NaN) * (1 - Math.tanh(value) ** 2)),
          )
          close('gradient of the scores', resultOf(results, 'scoresBar'), second)
        }),
        { seed: SEED, numRuns: 20 },
      ),
    )
  })

  it('adds no node if the probability is 0 or the host has no dropout', () => {
    const { wrap, sites } = pooledDropout('float32')
    const { dropout } = wrap(plain)
    const x = input('x', [2], 'float32')
    expect([dropout('a', x, 0), dropout('a', x, 0), plain.dropout('a', x, 0.1)].every((y) => y === x)).toBe(true)
    expect(sites()).toEqual([])
  })

  it('refuses a site that is used twice, because both would get one mask', () => {
    const { dropout } = pooledDropout('float32').wrap(plain)
    const x = dropout('b', dropout('a', input('x', [2], 'float32'), 0.1), 0.1)
    expect(() => dropout('a', x, 0.1)).toThrow('dropout: expected each site once, got a twice')
    expect(() => dropout('a', x, 0.2)).toThrow('dropout: expected each site once, got a twice')
  })
})

describe(`where the sites of a step read their pool (seed ${SEED})`, () => {
  const sites = ['a', 'b', 'c', 'd'].map((site) => ({ site, probability: 0.1, shape: ['tokens', 2] as const }))
  const placesOf = (draw: number, size: number): readonly number[] => {
    const offsets = dropoutOffsets(SEED, draw, sites, { [poolName(0.1)]: float32(new Array<number>(size).fill(1)) }, { tokens: 3 })
    return sites.map(({ site }) => Number(offsets[offsetName(site)]?.data[0]))
  }

  it('is another place for each site and each draw, anywhere in the pool', () => {
    const draws = Array.from({ length: 400 }, (_, draw) => placesOf(draw, 100_006))
    for (const places of draws) {
      expect(new Set(places).size).toBe(sites.length)
      expect(Math.min(...places)).toBeGreaterThanOrEqual(0)
      expect(Math.max(...places)).toBeLessThanOrEqual(100_000)
    }
    sites.forEach((_, i) => {
      const places = draws.map((ofDraw) => ofDraw[i] ?? NaN)
      expect(new Set(places).size).toBeGreaterThan(390)
      const mean = places.reduce((a, b) => a + b, 0) / places.length
      expect(Math.abs(mean / 100_000 - 0.5)).toBeLessThan(5 / Math.sqrt(12 * places.length)) // five standard errors
    })
  })

  it('reaches the first and the last place at which a mask fits', () => {
    const places = new Set(Array.from({ length: 100 }, (_, draw) => placesOf(draw, 7)).flat())
    expect([...places].sort()).toEqual([0, 1])
    expect(new Set(placesOf(0, 6))).toEqual(new Set([0]))
    expect(() => placesOf(0, 5)).toThrow('expected a pool that holds 6 entries for a, got 1 too few')
  })
})
