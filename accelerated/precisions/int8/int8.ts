/**
 * int8: the frozen matrices of the layers in int8, forward and backward; everything else in float32. This is SwitchBack (Wortsman et al., 2023)
 * without its third product, the gradient of the matrix, which a frozen matrix does not need. It is a wrap of the host, so models and methods do not
 * know about it.
 */
import { quantizedMatMul, matchQuantized, blockSize } from '../../graph/quantizedOperators.js'
import { withBias } from '../../models/host.js'
import { layoutPrecision, rowLayout, blockLayout } from './matrixLayouts.js'
import { largeLevels, roundRows } from './quantize.js'
import type { Precision } from '../precision.js'

/**
 * int8 for generation: each matrix, the head over the vocabulary included, in blocks of 32 values with a scale each. A step of generation multiplies
 * single rows, so its time is that of reading the weights once. The layout of training multiplies many rows, and needs the transpose too.
 */
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

export const int8: Precision = {
  ...layoutPrecision('int8', (base, type) => rowLayout(base, type)),
  summary: 'frozen matrices in eight bits, the rest in float32, faster on a CPU with VNNI',

  weightBytes: ({ model, frozen }) => {
    const matrices = model.spec.matrices.reduce((sum, { d, k }) => sum + d * k, 0)
    const numbers = [...frozen.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
    return matrices * (matrices < largeLevels ? 2 : 1) + 4 * (numbers - matrices)
  },

  speedup: async (device) => (await import('../speedup.js')).int8Speedup(device),

  decoding: int8Blocks,

  round: roundRows,

  wrap: (host) => ({
    ...host,
    linear: (name, x) => {
      const matrix = matchQuantized(host.tensor(`${name}.weight`))
      return matrix === null ? host.linear(name, x) : withBias(quantizedMatMul(x, matrix), host.bias(name))
    },
  }),
}
