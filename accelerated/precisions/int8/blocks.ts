/**
 * int8 for generation: each matrix, the head over the vocabulary included, in blocks of 32 values with a scale each. A step of generation multiplies
 * single rows, so its time is that of reading the weights once. The layout of training multiplies many rows, and needs the transpose too.
 */
import { blockSize } from '../../graph/quantizedOperators.js'
import type { Precision } from '../precision.js'
import { blockLayout } from './blockLayout.js'
import { layoutPrecision } from './layoutPrecision.js'

export const int8Blocks: Precision = {
  ...layoutPrecision('int8', blockLayout),
  summary: 'frozen matrices in blocks of eight bits, the rest in float32',
  weightBytes: ({ model, frozen }) => {
    const { matrices } = blockLayout({ model })
    return [...frozen].reduce((sum, [name, { shape }]) => {
      const numbers = shape.reduce((a, b) => a * b, 1)
      return sum + numbers * (matrices.has(name) ? 1 + 4 / blockSize : 4)
    }, 0)
  },
  wrap: (host) => host, // lowering multiplies in blocks
}
