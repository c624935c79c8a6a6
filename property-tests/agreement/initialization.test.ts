/** Where training starts: the laws of A, B and a new head. */
import { describe, expect, it } from 'vitest'
import { factorA, factorB, modelInitial, normalInitial } from '../../accelerated/parameters/initialization.js'
import { weightGroups } from '../../accelerated/parameters/optimizerGroup.js'
import { parameterLayout } from '../../accelerated/parameters/layout.js'
import { SEED } from '../support/seed.js'

const [k, r, d] = [50, 40, 30]
const { decayed, undecayed } = weightGroups({ beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }, 0.01)
const layout = parameterLayout([
  { name: 'm.A', shape: [r, k], group: decayed, initial: factorA('kaiming') },
  { name: 'm.B', shape: [d, r], group: decayed, initial: factorB },
  { name: 'other.A', shape: [r, k], group: decayed, initial: factorA('gaussian') },
  { name: 'w', shape: [60, 50], group: decayed, initial: modelInitial },
  { name: 'b', shape: [60], group: undecayed, initial: modelInitial },
  { name: 'x.LayerNorm.weight', shape: [60], group: undecayed, initial: modelInitial },
])
const entry = (name: string) => layout.entries.find((e) => e.name === name) ?? expect.unreachable(name)
const mean = (x: ArrayLike<number>): number => Array.from(x).reduce((sum, value) => sum + value, 0) / x.length
const deviation = (x: ArrayLike<number>): number => Math.sqrt(mean(Array.from(x, (value) => value * value)))

describe(`initialization (seed ${SEED})`, () => {
  const A = Float64Array.from(factorA('kaiming').draw(SEED, entry('m.A')))

  it('draws A from U(−1/√k, 1/√k): within it, filling it, with mean 0 and its deviation, 1/√(3k)', () => {
    const bound = 1 / Math.sqrt(k)
    expect(A.every((x) => Math.abs(x) <= bound)).toBe(true)
    expect(Math.max(...A)).toBeGreaterThan(0.99 * bound)
    expect(Math.min(...A)).toBeLessThan(-0.99 * bound)
    expect(Math.abs(mean(A))).toBeLessThan((4 * bound) / Math.sqrt(3 * A.length))
    expect(deviation(A) / (bound / Math.sqrt(3))).toBeCloseTo(1, 1)
  })

  it('draws A from N(0, 1/r²) with gaussian, and starts B at 0', () => {
    expect(deviation(factorA('gaussian').draw(SEED, entry('m.A'))) * r).toBeCloseTo(1, 1)
    expect(factorB.draw(SEED, entry('m.B'))).toEqual(new Float64Array(d * r))
  })

  it('draws a new head from N(0, 0.02²) with biases of 0', () => {
    expect(deviation(modelInitial.draw(SEED, entry('w'))) / 0.02).toBeCloseTo(1, 1)
    expect(modelInitial.draw(SEED, entry('b'))).toEqual(new Float64Array(60))
    expect(modelInitial.draw(SEED, entry('x.LayerNorm.weight'))).toEqual(new Float64Array(60).fill(1))
  })

  it('draws the same numbers for the same seed, and others for another seed or tensor', () => {
    expect(factorA('kaiming').draw(SEED, entry('m.A'))).toEqual(A)
    expect(factorA('kaiming').draw(SEED + 1, entry('m.A'))).not.toEqual(A)
    expect(factorA('kaiming').draw(SEED, entry('other.A'))).not.toEqual(A)
    const initials = [factorA('kaiming'), factorA('gaussian'), normalInitial(0.02), modelInitial]
    for (const { draw } of initials) {
      const [one, other] = [entry('m.A'), entry('other.A')].map((tensor) => [...Array.from(draw(SEED, tensor))])
      expect(one?.filter((x) => other?.includes(x))).toEqual([])
    }
  })
})

describe('the layout of trained numbers', () => {
  it('gives each number of each tensor a place of its own, and each block one stretch, for small and large tensors', () => {
    const large = [1024, 300]
    const mixed = parameterLayout(
      [['a', [3, 4]] as const, ['large', large] as const, ['b', [5]] as const, ['c', [7]] as const, ['other', large] as const].map(
        ([name, shape], i) => ({ name, shape, group: i === 2 ? undecayed : decayed, initial: factorB }),
      ),
    )
    const places = mixed.entries.flatMap(({ offset, size }) => [offset, offset + size - 1])
    expect(places).toEqual([...places].sort((one, other) => one - other))
    expect(mixed.entries.reduce((sum, { size }) => sum + size, 0)).toBe(mixed.size)
    let end = 0
    for (const { offset, size, entries } of mixed.blocks) {
      expect([offset, entries[0]?.offset, entries.reduce((sum, entry) => sum + entry.size, 0)]).toEqual([end, end, size])
      end += size
    }
    expect(end).toBe(mixed.size)
    expect(mixed.blocks.map(({ name, entries }) => [name, entries.length])).toEqual([
      [decayed.name, 2],
      ['large', 1],
      ['other', 1],
      [undecayed.name, 1],
    ])
  })

  it('has a block for B of LoRA+, and gives every tensor the random numbers that it has in LoRA', () => {
    const trainables = (ratio: number) =>
      ['m', 'n'].flatMap((name) => [
        { name: `${name}.A`, shape: [r, k], group: decayed, initial: factorA('kaiming') },
        { name: `${name}.B`, shape: [d, r], group: { ...decayed, learningRateRatio: ratio }, initial: factorB },
      ])
    const draws = (ratio: number) =>
      Object.fromEntries(parameterLayout(trainables(ratio)).entries.map((tensor) => [tensor.name, tensor.initial.draw(SEED, tensor)]))
    expect(parameterLayout(trainables(4)).blocks.map(({ entries }) => entries.map(({ name }) => name))).toEqual([
      ['m.A', 'n.A'],
      ['m.B', 'n.B'],
    ])
    expect(draws(4)).toEqual(draws(1))
  })
})
