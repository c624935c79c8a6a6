/**
 * int4 for generation: the matrices in four bits have the values of training. The head over the vocabulary and the matrices in eight bits are in
 * blocks of int8. The runtime multiplies single rows by packed blocks, which takes the time of reading them once.
 */
import { blockSize } from '../../graph/quantizedOperators.js'
import { layoutPrecision } from '../int8/layoutPrecision.js'
import type { Precision } from '../precision.js'
import { fourBitBlockLayout } from './blockLayout.js'
import { fourBitMatrices } from './fourBitLayout.js'

export const int4Blocks: Precision = {
  ...layoutPrecision('int4', fourBitBlockLayout),
  summary: 'frozen matrices in blocks of four and eight bits, the rest in float32',
  weightBytes: ({ model, frozen }) => {
    const { matrices } = fourBitBlockLayout({ model })
    const four = fourBitMatrices({ model })
    return [...frozen].reduce((sum, [name, { shape }]) => {
      const numbers = shape.reduce((a, b) => a * b, 1)
      return sum + numbers * (four.has(name) ? 0.5 + 4 / blockSize : matrices.has(name) ? 1 + 4 / blockSize : 4)
    }, 0)
  },
  wrap: (host) => host, // lowering multiplies in blocks
}
