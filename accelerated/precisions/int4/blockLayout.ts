/** For generation: matrices of the layers in four bits with a float32 scale for each block. The head and the sensitive ones are in blocks of int8. */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { blockDequantize, blockSize } from '../../graph/quantizedOperators.js'
import { blockLayout, blockParts } from '../int8/blockLayout.js'
import type { MatrixLayout } from '../int8/quantizedFile.js'
import { fourBitMatrices } from './fourBitLayout.js'
import { fourBits, scalesOfBlocks } from './quantize.js'

export const fourBitBlockLayout = (base: Pick<ModelFolder, 'model'>): MatrixLayout => {
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
      return [scalesOfBlocks(rounded), rounded.levels]
    },
    matrix: (name, [, columns = 0], stored) => {
      const { levels, scales } = blockParts(name)
      return blockDequantize(stored(levels), stored(scales), columns)
    },
  }
}
