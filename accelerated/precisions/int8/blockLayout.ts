/** The matrices of the layers and of the head in blocks of 32 values with a scale each: llama.cpp's Q8_0 with scales in float32. For generation. */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { blockDequantize, blockSize } from '../../graph/quantizedOperators.js'
import { quantizedBlocks } from './quantize.js'
import type { MatrixLayout } from './quantizedFile.js'

/** Names of the parts of a matrix. */
export const blockParts = (name: string) => ({ levels: `${name}.blocks`, scales: `${name}.blockScales` })

export const blockLayout = ({ model }: Pick<ModelFolder, 'model'>): MatrixLayout => {
  const words = model.causalHead?.().words
  return {
    precision: 'int8',
    version: ['blocks', 1, blockSize],
    matrices: new Set([...model.spec.matrices.map(({ name }) => `${name}.weight`), ...(words === undefined ? [] : [words])]),
    declare: (name, [rows = 0, columns = 0]) => {
      const { levels, scales } = blockParts(name)
      const blocks = Math.ceil(columns / blockSize)
      return [
        { name: scales, dtype: 'F32', shape: [rows, blocks] },
        { name: levels, dtype: 'U8', shape: [rows, blocks, blockSize] },
      ]
    },
    parts: (W, shape) => {
      const { levels, scales } = quantizedBlocks(W, shape, blockSize)
      return [scales, levels]
    },
    matrix: (name, [, columns = 0], stored) => {
      const { levels, scales } = blockParts(name)
      return blockDequantize(stored(levels), stored(scales), columns)
    },
  }
}
