/**
 * int4: the frozen matrices of the layers in four bits, the sensitive ones and everything else as in int8. This is QLoRA (Dettmers et al., 2023) with products of int8. Each
 * product expands the levels of its matrix for itself: kept, they would take the memory of int8. A session holds the expanded levels of one
 * matrix at a time, and none in float32. It is a wrap of the host, so models and methods do not know about it.
 */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { blockSize, fourBitMatMul, matchFourBit, blockDequantize } from '../../graph/quantizedOperators.js'
import { withBias } from '../../models/host.js'
import { int8 } from '../int8/int8.js'
import { layoutPrecision } from '../int8/layoutPrecision.js'
import type { Precision } from '../precision.js'
import { fourBitLayout, hasFourBits, fourBitMatrices } from './fourBitLayout.js'
import { blockLayout, blockParts } from '../int8/matrixLayouts.js'
import type { MatrixLayout } from '../int8/quantizedFile.js'
import { fourBits, computeBlockScales } from './quantize.js'

/** For generation: matrices of the layers in four bits with a float32 scale for each block. The head and the sensitive ones are in blocks of int8. */
const fourBitBlockLayout = (base: Pick<ModelFolder, 'model'>): MatrixLayout => {
  const eight = blockLayout(base)
  const four = fourBitMatrices(base)
  return {
    precision: 'int4',
    version: ['blocks', 2, blockSize],
    matrices: eight.matrices,
    declare: (name, shape) => {
      if (!four.has(name)) return eight.declare(name, shape)
      const [[rows = 0, columns = 0], { levels, scales }] = [shape, blockParts(name)]
      const blocks = Math.ceil(columns / blockSize)
      return [
        { name: scales, dtype: 'F32', shape: [rows, blocks] },
        { name: levels, dtype: 'U8', shape: [rows, blocks, blockSize / 2] },
      ]
    },
    parts: (W, shape, name) => {
      if (!four.has(name)) return eight.parts(W, shape, name)
      const rounded = fourBits(W, shape)
      return [computeBlockScales(rounded), rounded.levels]
    },
    matrix: (name, [, columns = 0], stored) => {
      const { levels, scales } = blockParts(name)
      return blockDequantize(stored(levels), stored(scales), columns)
    },
  }
}

/**
 * int4 for generation: the matrices in four bits have the values of training. The head over the vocabulary and the matrices in eight bits are in
 * blocks of int8. The runtime multiplies single rows by packed blocks, which takes the time of reading them once.
 */
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

export const int4: Precision = {
  ...layoutPrecision('int4', fourBitLayout),
  summary: 'frozen matrices in four and eight bits, the rest in float32, for models too large for int8',

  weightBytes: ({ model, frozen }) => {
    const { matrices } = model.spec
    const quantized = matrices.reduce((sum, { d, k }) => sum + d * (4 + (hasFourBits([d, k]) ? countFourBitBytes(k) : k)), 0)
    return quantized + 4 * (countNumbers(frozen) - matrices.reduce((sum, { d, k }) => sum + d * k, 0))
  },

  speedup: async (device) => (await import('../speedup.js')).int4Speedup(device),

  decoding: int4Blocks,

  wrap: (host) => {
    const eight = int8.wrap(host)
    return {
      ...host,
      linear: (name, x) => {
        const matrix = matchFourBit(host.tensor(`${name}.weight`))
        return matrix === null ? eight.linear(name, x) : withBias(fourBitMatMul(x, matrix), host.bias(name))
      },
    }
  },
}

/** Of a row: two levels a byte, and a byte for the scale of each block. */
const countFourBitBytes = (columns: number): number => Math.ceil(columns / blockSize) * (blockSize / 2 + 1)

const countNumbers = (frozen: ModelFolder['frozen']): number =>
  [...frozen.values()].reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0)
