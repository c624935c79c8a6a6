/** The matrices of the layers with one scale per row, for training: a large model's in one orientation, others in both. */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { dequantize, transposedView } from '../../graph/quantizedOperators.js'
import { largeLevels, rowLevels, rowScales, transposedOf } from './quantize.js'
import type { MatrixLayout } from './quantizedFile.js'

/** Names of the parts of a matrix. */
export const rowParts = (name: string) => ({ levels: `${name}.levels`, transposed: `${name}.transposed`, scales: `${name}.scales` })

/** A change of the layout changes it. */
const version = 2

/** @param largeFrom bytes of levels from which on matrices are stored in one orientation only */
export const rowLayout = ({ model }: Pick<ModelFolder, 'model'>, largeFrom = largeLevels): MatrixLayout => {
  const { matrices } = model.spec
  const bothOrientations = inBothOrientations({ model }, largeFrom)
  return {
    precision: 'int8',
    version: [version, largeFrom],
    matrices: new Set(matrices.map(({ name }) => `${name}.weight`)),
    declare: (name, [rows = 0, columns = 0]) => {
      const { levels, transposed, scales } = rowParts(name)
      return [
        { name: scales, dtype: 'F32', shape: [rows] },
        { name: levels, dtype: 'I8', shape: [rows, columns] },
        ...(bothOrientations ? [{ name: transposed, dtype: 'I8' as const, shape: [columns, rows] }] : []),
      ]
    },
    parts: function* (W, shape) {
      const scales = rowScales(W, shape)
      const levels = rowLevels(W, scales)
      yield scales
      yield levels
      if (bothOrientations) yield transposedOf(levels, shape)
    },
    matrix: (name, _, stored) => {
      const parts = rowParts(name)
      const levels = stored(parts.levels)
      const transposed = bothOrientations ? stored(parts.transposed) : transposedView(levels)
      return dequantize({ levels, transposed, scales: stored(parts.scales) })
    },
  }
}

/** Only small matrices are stored in both orientations. */
const inBothOrientations = ({ model }: Pick<ModelFolder, 'model'>, largeFrom = largeLevels): boolean =>
  model.spec.matrices.reduce((sum, { d, k }) => sum + d * k, 0) < largeFrom
