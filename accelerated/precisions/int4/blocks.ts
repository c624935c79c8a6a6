/**
 * int4 for generation: the matrices of the layers in the values that training has, and the head over the vocabulary in int8. The runtime multiplies
 * single rows by packed blocks, which takes the time of reading them once.
 */
import { blockSize } from '../../graph/quantizedOperators.js'
import { layoutPrecision } from '../int8/layoutPrecision.js'
import type { Precision } from '../precision.js'
import { fourBitBlockLayout } from './blockLayout.js'

export const int4Blocks: Precision = {
  ...layoutPrecision('int4', fourBitBlockLayout),
  summary: 'frozen matrices in blocks of four bits, the head in eight, the rest in float32',
  weightBytes: ({ model, frozen }) => {
    const { matrices } = fourBitBlockLayout({ model })
    const layers = new Set(model.spec.matrices.map(({ name }) => `${name}.weight`))
    return [...frozen].reduce((sum, [name, { shape }]) => {
      const numbers = shape.reduce((a, b) => a * b, 1)
      return sum + numbers * (layers.has(name) ? 0.5 + 4 / blockSize : matrices.has(name) ? 1 + 4 / blockSize : 4)
    }, 0)
  },
  wrap: (host) => host, // lowering multiplies in blocks
}
