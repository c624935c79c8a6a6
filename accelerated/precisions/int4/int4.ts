/**
 * int4: the frozen matrices of the layers in four bits, the sensitive ones and everything else as in int8. This is QLoRA (Dettmers et al., 2023) with products of int8. Each
 * product expands the levels of its matrix for itself: kept, they would take the memory of int8. A session holds the expanded levels of one
 * matrix at a time, and none in float32. It is a wrap of the host, so models and methods do not know about it.
 */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { blockSize, fourBitMatMul, matchFourBit, blockDequantize, fourBitDequantize, zeroScale } from '../../graph/quantizedOperators.js'
import { withBias } from '../../models/host.js'
import { int8 } from '../int8/int8.js'
import { layoutPrecision, blockLayout, blockParts, rowLayout, type LevelsType } from '../int8/matrixLayouts.js'
import type { Precision } from '../precision.js'
import type { MatrixLayout } from '../int8/quantizedFile.js'
import type { Expression } from '../../graph/expression.js'
import { weight } from '../../graph/operators.js'
import { roundRows, rowScales } from '../int8/quantize.js'

// The matrices of the layers in four bits, for training, and the sensitive ones in eight: one copy serves both directions of a layer.
/** Names of the parts of a matrix. */
const fourBitParts = (name: string) => ({ levels: `${name}.levels`, blockScales: `${name}.blockScales`, scales: `${name}.scales` })

/**
 * A matrix with fewer outputs than inputs keeps eight bits: above all the one that a feed-forward ends with. Of what four bits cost SmolLM2-135M in
 * every matrix, rounding these costs more than half. shape: [outputs, inputs]
 */
export const hasFourBits = ([outputs = 0, inputs = 0]: readonly number[]): boolean => outputs >= inputs

/** Names of the tensors in four bits. */
const fourBitMatrices = ({ model }: Pick<ModelFolder, 'model'>): ReadonlySet<string> =>
  new Set(model.spec.matrices.filter(({ d, k }) => hasFourBits([d, k])).map(({ name }) => `${name}.weight`))

/** A change of the layout changes it. */
const version = 2

const fourBitLayout = (base: Pick<ModelFolder, 'model'>, type: LevelsType): MatrixLayout => {
  const eight = rowLayout(base, type, 0)
  return {
    precision: 'int4',
    version: ['rows', version, blockSize, ...eight.version],
    matrices: eight.matrices,
    declare: (name, shape) => {
      if (!hasFourBits(shape)) return eight.declare(name, shape)
      const [[rows = 0, columns = 0], { levels, blockScales, scales }] = [shape, fourBitParts(name)]
      const blocks = Math.ceil(columns / blockSize)
      return [
        { name: scales, dtype: 'F32', shape: [rows] },
        { name: blockScales, dtype: 'U8', shape: [rows, blocks] },
        { name: levels, dtype: 'U8', shape: [rows, blocks, blockSize / 2] },
      ]
    },
    parts: (W, shape, name) => {
      if (!hasFourBits(shape)) return eight.parts(W, shape, name)
      const { levels, blockScales, scales } = fourBits(W, shape)
      return [scales, blockScales, levels]
    },
    matrix: (name, shape, stored) => {
      if (!hasFourBits(shape)) return eight.matrix(name, shape, stored)
      const { levels, blockScales, scales } = fourBitParts(name)
      return fourBitDequantize({
        levels: inFourBits(stored(levels)),
        blockScales: stored(blockScales),
        scales: stored(scales),
        columns: shape[1] ?? 0,
      })
    },
  }
}

/** The same bytes as numbers of four bits. */
const inFourBits = ({ shape: [rows, blocks], attributes: { name = '', external } }: Expression): Expression => {
  if (external === undefined) throw new Error(`int4: expected levels in a file, got ${name}`)
  return weight(name, [Number(rows), Number(blocks), blockSize], 'uint4', external)
}

// Quantization of a matrix to four bits: W ≈ diag(s) L. A level of L is kq, with q from −8 to 7 in four bits. Each block of 32 values of a row
// has its scale k, from −15 to 15: its sign chooses the side that reaches 8. So scales are quantized too, as in QLoRA (Dettmers et al., 2023), but to whole
// numbers. Then every kq is a level of int8, and products are those of int8.
/** Of q. */
const [leastLevel, largestLevel] = [-8, 7]
/** Of |k|: 8 · 15 = 120 fits int8. */
const largestScale = 15
/** The level of 0 as stored. */
const fourBitZero = 8

/** A smaller scale than this share of the one whose −8 reaches the block's largest magnitude cuts off too much to be the best. */
const smallestShare = 0.7

/** 1.5 · 2⁵²: adding it rounds half to even. */
const roundingShift = 1.5 * 2 ** 52

type FourBits = {
  /** q + 8, two a byte, the first in the lower bits: [rows, blocks, 16] */
  readonly levels: Uint8Array
  /** k + 16: [rows, blocks] */
  readonly blockScales: Uint8Array
  /** s: [rows] */
  readonly scales: Float32Array
}

/**
 * s is max |row| / 120. k and q give each block the least squared error; of equal errors, the smaller |k|. The last block of a row is filled with zeros.
 * W: row-major
 */
export const fourBits = (W: Float32Array, [rows = 0, columns = 0]: readonly number[]): FourBits => {
  const blocks = Math.ceil(columns / blockSize)
  const scales = rowScales(W, [rows, columns], -leastLevel * largestScale)
  const blockScales = new Uint8Array(rows * blocks)
  const levels = new Uint8Array((rows * blocks * blockSize) / 2).fill(fourBitZero | (fourBitZero << 4))
  const values = new Float64Array(blockSize)
  for (let row = 0; row < rows; row++)
    for (let block = 0; block < blocks; block++) {
      const start = row * columns + block * blockSize
      const size = Math.min(blockSize, (row + 1) * columns - start)
      values.fill(0) // which has no error
      for (let i = 0; i < size; i++) values[i] = W[start + i] ?? NaN
      const scale = scales[row] ?? NaN
      const k = scale === 0 ? 0 : bestScale(values, scale)
      const at = row * blocks + block
      blockScales[at] = zeroScale + k
      if (k !== 0)
        for (let i = 0; i < blockSize; i += 2)
          levels[(at * blockSize + i) >> 1] = stored(values, i, k * scale) | (stored(values, i + 1, k * scale) << 4)
    }
  return { levels, blockScales, scales }
}

const stored = (values: Float64Array, i: number, scale: number): number => fourBitZero + roundToLevel((values[i] ?? NaN) / scale)

/** Half to even. */
const roundToLevel = (x: number): number => Math.max(leastLevel, Math.min(largestLevel, x + roundingShift - roundingShift))

/** The k of least squared error of a block. */
const bestScale = (values: Float64Array, scale: number): number => {
  let largest = 0
  for (let i = 0; i < blockSize; i++) largest = Math.max(largest, Math.abs(values[i] ?? NaN))
  if (largest === 0) return 0
  const last = Math.min(largestScale, Math.ceil(largest / (largestLevel * scale)))
  let [best, least] = [last, Infinity]
  for (let size = Math.ceil((smallestShare * largest) / (-leastLevel * scale)); size <= last; size++)
    for (const k of [size, -size]) {
      const error = squaredError(values, k * scale, least)
      if (error < least) [best, least] = [k, error]
    }
  return best
}

/** Of a block at one scale; Infinity as soon as it is not below `limit`. */
const squaredError = (values: Float64Array, scale: number, limit: number): number => {
  let error = 0
  for (let i = 0; i < blockSize; i++) {
    const value = values[i] ?? NaN
    const difference = roundToLevel(value / scale) * scale - value
    error += difference * difference
    if (error >= limit) return Infinity
  }
  return error
}

/** The scale of each block in float32, s k: [rows, blocks] */
export const computeBlockScales = ({ blockScales, scales }: FourBits): Float32Array => {
  const blocks = blockScales.length / scales.length
  return Float32Array.from(blockScales, (k, i) => (k - zeroScale) * (scales[Math.floor(i / blocks)] ?? NaN))
}

/** The matrix that four bits stand for: s k q. W: [rows, columns] */
const roundToFourBits = (W: Float32Array, shape: readonly number[]): Float32Array => {
  const rounded = fourBits(W, shape)
  const [scales, columns = 1] = [computeBlockScales(rounded), shape[1]]
  const blocks = Math.ceil(columns / blockSize)
  return Float32Array.from(W, (_, i) => {
    const [row, column] = [Math.floor(i / columns), i % columns]
    const at = row * blocks + Math.floor(column / blockSize)
    const place = at * blockSize + (column % blockSize)
    const level = ((rounded.levels[place >> 1] ?? 0) >> (4 * (place & 1))) & 15
    return (level - fourBitZero) * (scales[at] ?? NaN)
  })
}

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

  round: (W, shape) => (hasFourBits(shape) ? roundToFourBits(W, shape) : roundRows(W, shape)),

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
