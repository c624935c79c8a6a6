/** The matrices of the layers in four bits, for training, and the sensitive ones in eight: one copy serves both directions of a layer. */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import type { Expression } from '../../graph/expression.js'
import { weight } from '../../graph/operators.js'
import { blockSize, fourBitDequantize } from '../../graph/quantizedOperators.js'
import type { MatrixLayout } from '../int8/quantizedFile.js'
import { rowLayout, type LevelsType } from '../int8/matrixLayouts.js'
import { fourBits } from './quantize.js'

/** Names of the parts of a matrix. */
const fourBitParts = (name: string) => ({ levels: `${name}.levels`, blockScales: `${name}.blockScales`, scales: `${name}.scales` })

/**
 * A matrix with fewer outputs than inputs keeps eight bits: above all the one that a feed-forward ends with. Of what four bits cost SmolLM2-135M in
 * every matrix, rounding these costs more than half. shape: [outputs, inputs]
 */
export const hasFourBits = ([outputs = 0, inputs = 0]: readonly number[]): boolean => outputs >= inputs

/** Names of the tensors in four bits. */
export const fourBitMatrices = ({ model }: Pick<ModelFolder, 'model'>): ReadonlySet<string> =>
  new Set(model.spec.matrices.filter(({ d, k }) => hasFourBits([d, k])).map(({ name }) => `${name}.weight`))

/** A change of the layout changes it. */
const version = 2

export const fourBitLayout = (base: Pick<ModelFolder, 'model'>, type: LevelsType): MatrixLayout => {
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
