/** Slices that together are a whole axis are parts of one Split; others stay slices. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { topologicalOrder, type Expression } from '../../../accelerated/graph/expression.js'
import { lower } from '../../../accelerated/graph/lowering.js'
import { input, mul, slice } from '../../../accelerated/graph/operators.js'
import { float32, resultOf, withGraph } from '../../support/runGraph.js'
import { SEED } from '../../support/seed.js'

const counts = (outputs: Readonly<Record<string, Expression>>, op: string): number =>
  topologicalOrder(Object.values(lower(outputs))).filter((node) => node.op === op).length

/** A slice of each size, one after another, of [n, 2] or [2, n]. */
const slicesOf = (sizes: readonly number[], axis: number, whole = sizes.reduce((a, b) => a + b, 0)) => {
  const x = input('x', axis === 0 ? [whole, 2] : [2, whole], 'float32')
  const starts = sizes.map((_, i) => sizes.slice(0, i).reduce((a, b) => a + b, 0))
  return { x, parts: sizes.map((size, i) => slice(x, axis, starts[i] ?? 0, size)), starts }
}

const named = (parts: readonly Expression[]) => Object.fromEntries(parts.map((part, i) => [`part${i}`, mul(part, 3)]))

describe('slices of a whole axis', () => {
  it('are one Split with the numbers of the slices, in any order', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 8, maxLength: 20 }),
        fc.constantFrom(0, 1),
        fc.boolean(),
        async (sizes, axis, reversed) => {
          const { x, parts, starts } = slicesOf(sizes, axis)
          const outputs = named(reversed ? [...parts].reverse() : parts)
          expect([counts(outputs, 'Split'), counts(outputs, 'Slice')]).toEqual([1, 0])
          const [rows = 1, columns = 1] = x.shape.map(Number)
          const data = Float32Array.from({ length: rows * columns }, (_, i) => i)
          const whole = axis === 0 ? rows : columns
          await withGraph(outputs, async (run) => {
            const results = await run({ x: float32(data, [rows, columns]) })
            sizes.forEach((size, i) => {
              const at = [...data].filter((_, place) => {
                const along = axis === 0 ? Math.floor(place / columns) : place % whole
                return along >= (starts[i] ?? 0) && along < (starts[i] ?? 0) + size
              })
              expect([...resultOf(results, `part${reversed ? sizes.length - 1 - i : i}`)]).toEqual(at.map((value) => 3 * value))
            })
          })
        },
      ),
      { seed: SEED, numRuns: 20 },
    ))

  it.each([
    ['seven slices', slicesOf([1, 1, 1, 1, 1, 1, 1], 0).parts],
    ['slices without the end of the axis', slicesOf([1, 1, 1, 1, 1, 1, 1, 1], 0, 9).parts],
    ['slices with a gap', slicesOf([1, 1, 1, 1, 1, 1, 1, 1, 1], 0).parts.filter((_, i) => i !== 4)],
  ])('%s stay slices', (_, parts) => {
    expect([counts(named(parts), 'Split'), counts(named(parts), 'Slice')]).toEqual([0, parts.length])
  })
})
