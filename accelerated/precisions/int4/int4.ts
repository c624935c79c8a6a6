/**
 * int4: the frozen matrices of the layers in four bits, the sensitive ones and everything else as in int8. This is QLoRA (Dettmers et al., 2023) with products of int8. Each
 * product expands the levels of its matrix for itself: kept, they would take the memory of int8. A session holds the expanded levels of one
 * matrix at a time, and none in float32. It is a wrap of the host, so models and methods do not know about it.
 */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { blockSize, fourBitMatMul, fourBitOf } from '../../graph/quantizedOperators.js'
import { withBias } from '../../models/host.js'
import { int8 } from '../int8/int8.js'
import { layoutPrecision } from '../int8/layoutPrecision.js'
import type { Precision } from '../precision.js'
import { int4Blocks } from './blocks.js'
import { fourBitLayout, hasFourBits } from './fourBitLayout.js'

export const int4: Precision = {
  ...layoutPrecision('int4', fourBitLayout),
  summary: 'frozen matrices in four and eight bits, the rest in float32, for models too large for int8',

  weightBytes: ({ model, frozen }) => {
    const { matrices } = model.spec
    const quantized = matrices.reduce((sum, { d, k }) => sum + d * (4 + (hasFourBits([d, k]) ? bytesOfFourBits(k) : k)), 0)
    return quantized + 4 * (numbersOf(frozen) - matrices.reduce((sum, { d, k }) => sum + d * k, 0))
  },

  speedup: async (device) => (await import('../speedup.js')).int4Speedup(device),

  decoding: int4Blocks,

  wrap: (host) => {
    const eight = int8.wrap(host)
    return {
      ...host,
      linear: (name, x) => {
        const matrix = fourBitOf(host.tensor(`${name}.weight`))
        return matrix === null ? eight.linear(name, x) : withBias(fourBitMatMul(x, matrix), host.bias(name))
      },
    }
  },
}

/** Of a row: two levels a byte, and a byte for the scale of each block. */
const bytesOfFourBits = (columns: number): number => Math.ceil(columns / blockSize) * (blockSize / 2 + 1)

const numbersOf = (frozen: ModelFolder['frozen']): number =>
  [...frozen.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
