/** Merging the updates of one matrix: what must hold for all adapters. Numbers of PEFT and numpy are in golden/merging.test.ts. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type AdapterUpdate, type Factors, mergeMethods, mergeToFactors, mergeToUpdate } from '../../../accelerated/methods/mergeUpdates.js'
import { normals } from '../../../accelerated/parameters/random.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

type Size = { readonly name: string; readonly d: number; readonly k: number }

const product = ({ A, B, r }: Factors, { d, k }: Size, scale = 1): Float64Array =>
  Float64Array.from({ length: d * k }, (_, i) => {
    let sum = 0
    for (let c = 0; c < r; c++) sum += B[Math.floor(i / k) * r + c]! * A[c * k + (i % k)]!
    return scale * sum
  })

const sizes = fc.record({ name: fc.constant('m'), d: fc.integer({ min: 1, max: 12 }), k: fc.integer({ min: 1, max: 12 }) })
const ranks = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 4 })
const seed = fc.integer({ min: 0, max: 2 ** 40 })

const draw = (size: Size, adapterRanks: readonly number[], s: number): readonly AdapterUpdate[] =>
  adapterRanks.map((r, place) => {
    const [scale = 1, weight = 1] = normals(s, 'initialization', 100 + place, 2)
    const A = normals(s, 'initialization', 2 * place, r * size.k)
    const factors = { A, B: normals(s, 'initialization', 2 * place + 1, size.d * r), r, scale }
    return { place, weight, factors, whole: () => product(factors, size, scale) }
  })

const sum = (updates: readonly AdapterUpdate[], { d, k }: Size): Float64Array =>
  Float64Array.from({ length: d * k }, (_, i) => updates.reduce((total, { weight, whole }) => total + weight * whole()[i]!, 0))

const merge = { density: 1, seed: 3, place: 2 }
const squares = (x: ArrayLike<number>): number => Array.from(x).reduce((total, value) => total + value ** 2, 0)

const forAll = (check: (size: Size, updates: readonly AdapterUpdate[]) => void): void =>
  fc.assert(
    fc.property(sizes, ranks, seed, (size, adapterRanks, s) => check(size, draw(size, adapterRanks, s))),
    { seed: SEED, numRuns: 100 },
  )

describe(`merged updates (seed ${SEED})`, () => {
  it('by cat, and by svd at full rank, are the weighted sum of the updates', () => {
    forAll((size, updates) => {
      const expected = sum(updates, size)
      for (const method of ['cat', 'svd'] as const)
        for (const merged of [
          product(mergeToFactors(updates, size, { ...merge, method }, 100), size),
          mergeToUpdate(updates, size, { ...merge, method }),
        ])
          assertClose(merged, expected, { relative: 1e-12, absolute: 1e-14, name: method })
    })
  })

  it('by svd have the rank asked for and an error of just the share that is reported lost, from factors and from DoRA alike', () => {
    forAll((size, updates) => {
      const M = sum(updates, size)
      const asDora = updates.map((update) => ({ ...update, factors: null }))
      const [cut, whole] = [updates, asDora].map((all) => mergeToFactors(all, size, { ...merge, method: 'svd' }, 2))
      expect(cut!.r).toBeLessThanOrEqual(2)
      const near = product(cut!, size)
      assertClose([squares(M.map((x, i) => x - near[i]!))], [(1 - cut!.kept) * squares(M)], { relative: 1e-9, absolute: 1e-9 * squares(M) })
      assertClose(near, product(whole!, size), { relative: 1e-6, absolute: 1e-12 })
    })
  })

  it('with weights 1 and 0 are the first adapter, by every method that neither drops nor elects', () => {
    forAll((size, updates) => {
      const two = draw(size, [2, 2], 9).map((update, place) => ({ ...update, weight: place === 0 ? 1 : 0 }))
      for (const method of ['cat', 'svd', 'linear', 'magnitude-prune', 'magnitude-prune-svd', 'dare-linear', 'dare-linear-svd'] as const)
        assertClose(product(mergeToFactors(two, size, { ...merge, method }, 12), size), two[0]!.whole(), {
          relative: 1e-12,
          absolute: 1e-13,
        })
      expect(mergeToFactors(two, size, { ...merge, method: 'cat' }, 12).r).toBe(2)
      expect(updates.length).toBeGreaterThan(0)
    })
  })

  it('keep exactly the share of numbers, the first of equal ones', () => {
    const size = { name: 'm', d: 2, k: 5 }
    const update = { place: 0, weight: 1, factors: null, whole: () => Float64Array.from([1, -1, 2, 0, 1, 1, -3, 0, 1, 1]) }
    expect([...mergeToUpdate([update], size, { ...merge, method: 'magnitude-prune-svd', density: 0.49 })]).toEqual([
      1, -1, 2, 0, 0, 0, -3, 0, 0, 0,
    ])
  })

  it('by dare keep about the share, scaled, and others for each seed, adapter and matrix, and the same again', () => {
    const size = { name: 'm', d: 100, k: 100 }
    const ones = (place: number): AdapterUpdate => ({ place, weight: 1, factors: null, whole: () => new Float64Array(10_000).fill(1) })
    const at = (s: number, place: number, matrix: number): string =>
      mergeToUpdate([ones(place)], size, { method: 'dare-linear-svd', density: 0.25, seed: s, place: matrix }).join('')
    expect(new Set([at(0, 0, 0), at(1, 0, 0), at(0, 1, 0), at(0, 0, 1)]).size).toBe(4)
    expect(at(0, 0, 0)).toBe(at(0, 0, 0))
    expect(at(0, 0, 0).replaceAll('0', '')).toMatch(/^4{2300,2700}$/)
  })

  it('stay finite for updates that are zero or equal', () => {
    const size = { name: 'm', d: 4, k: 6 }
    const factors = { A: new Float64Array(12), B: new Float64Array(8), r: 2, scale: 1 }
    const zero = { place: 0, weight: 0.5, factors, whole: () => new Float64Array(24) }
    const [equal] = draw(size, [2], 1)
    for (const method of mergeMethods)
      for (const updates of [[zero], [zero, zero], [equal!, { ...equal!, place: 1 }]]) {
        const { A, B, kept } = mergeToFactors(updates, size, { ...merge, method, density: 0.5 }, 3)
        expect([...Array.from(A), ...Array.from(B), kept].every(Number.isFinite)).toBe(true)
      }
  })
})
