/** The matrices of the layers in four bits, for training: one copy serves both directions of a layer. */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import type { Expression } from '../../graph/expression.js'
import { weight } from '../../graph/operators.js'
import { blockSize, fourBitDequantize } from '../../graph/quantizedOperators.js'
import type { MatrixLayout } from '../int8/quantizedFile.js'
import { fourBits } from './quantize.js'

/** Names of the parts of a matrix. */
export const fourBitParts = (name: string) => ({ levels: `${name}.levels`, blockScales: `${name}.blockScales`, scales: `${name}.scales` })

/** A change of the layout changes it. */
const version = 1

export const fourBitLayout = ({ model }: Pick<ModelFolder, 'model'>): MatrixLayout => ({
  precision: 'int4',
  version: ['rows', version, blockSize],
  matrices: new Set(model.spec.matrices.map(({ name }) => `${name}.weight`)),
  declare: (name, [rows = 0, columns = 0]) => {
    const { levels, blockScales, scales } = fourBitParts(name)
    const blocks = Math.ceil(columns / blockSize)
    return [
      { name: scales, dtype: 'F32', shape: [rows] },
      { name: blockScales, dtype: 'U8', shape: [rows, blocks] },
      { name: levels, dtype: 'U8', shape: [rows, blocks, blockSize / 2] },
    ]
  },
  parts: (W, shape) => {
    const { levels, blockScales, scales } = fourBits(W, shape)
    return [scales, blockScales, levels]
  },
  matrix: (name, [, columns = 0], stored) => {
    const { levels, blockScales, scales } = fourBitParts(name)
    return fourBitDequantize({
      levels: inFourBits(stored(levels)),
      blockScales: stored(blockScales),
      scales: stored(scales),
      columns,
    })
  },
})

/** The same bytes as numbers of four bits. */
const inFourBits = ({ shape: [rows, blocks], attributes: { name = '', external } }: Expression): Expression => {
  if (external === undefined) throw new Error(`int4: expected levels in a file, got ${name}`)
  return weight(name, [Number(rows), Number(blocks), blockSize], 'uint4', external)
}
