/** The bytes of frozen weights in the low precisions, by counting, for small matrices and for large ones. */
import { expect, it } from 'vitest'
import type { ModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { int8 } from '../../../accelerated/precisions/int8/int8.js'
import { mixed } from '../../../accelerated/precisions/mixed.js'

/** A model with `count` matrices of [d, d] and a vector of 10 numbers. */
const modelOf = (count: number, d: number) => {
  const matrices = Array.from({ length: count }, (_, i) => ({ name: `m${i}`, d, k: d }))
  const frozen = new Map<string, { readonly shape: ReadonlyArray<number> }>(
    matrices.map(({ name }) => [`${name}.weight`, { shape: [d, d] }]),
  )
  frozen.set('bias', { shape: [10] })
  return { model: { spec: { matrices } }, frozen } as unknown as Pick<ModelFolder, 'model' | 'frozen'>
}

it.each([
  [2, 16, 2],
  [2, 2 ** 14, 1], // 2²⁹ levels: each matrix is in one orientation only
  [1, 2 ** 14, 2],
])('%i matrices of %i² numbers have %i bytes a number in int8, and two in mixed', (count, d, ofLevels) => {
  const numbers = count * d * d
  const base = modelOf(count, d)
  expect([int8.weightBytes(base), mixed.weightBytes(base)]).toEqual([ofLevels * numbers + 40, 2 * numbers + 40])
})
