/** How the matrices of the layers are stored: with one scale per row, for training, or in blocks with a scale each, for generation. */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { dequantize, transposedView, blockDequantize, blockSize } from '../../graph/quantizedOperators.js'
import { largeLevels, largestLevel, rowLevels, rowScales, transposeLevels, unsignedLevels, quantizedBlocks } from './quantize.js'
import type { MatrixLayout } from './quantizedFile.js'
import { SettingsError } from '../../errors/expectedErrors.js'
import type { Precision } from '../precision.js'

/** Names of the parts of a matrix. */
const rowParts = (name: string) => ({ levels: `${name}.levels`, transposed: `${name}.transposed`, scales: `${name}.scales` })

/** A change of the layout changes it. */
const version = 3

/** Levels in int8, or in uint8 around 128: both stand for the same numbers, and have the same products. */
export type LevelsType = 'int8' | 'uint8'

/** @param largeFrom bytes of levels from which on matrices are stored in one orientation only */
export const rowLayout = ({ model }: Pick<ModelFolder, 'model'>, type: LevelsType, largeFrom = largeLevels): MatrixLayout => {
  const { matrices } = model.spec
  const bothOrientations = inBothOrientations({ model }, largeFrom)
  const dtype = type === 'int8' ? ('I8' as const) : ('U8' as const)
  const stored = (levels: Int8Array): Int8Array | Uint8Array => (type === 'int8' ? levels : unsignedLevels(levels))
  return {
    precision: 'int8',
    version: [version, largestLevel, largeFrom, type],
    matrices: new Set(matrices.map(({ name }) => `${name}.weight`)),
    declare: (name, [rows = 0, columns = 0]) => {
      const { levels, transposed, scales } = rowParts(name)
      return [
        { name: scales, dtype: 'F32', shape: [rows] },
        { name: levels, dtype, shape: [rows, columns] },
        ...(bothOrientations ? [{ name: transposed, dtype, shape: [columns, rows] }] : []),
      ]
    },
    parts: function* (W, shape) {
      const scales = rowScales(W, shape)
      const levels = rowLevels(W, scales)
      yield scales
      yield stored(levels)
      if (bothOrientations) yield stored(transposeLevels(levels, shape))
    },
    matrix: (name, _, read) => {
      const parts = rowParts(name)
      const levels = read(parts.levels)
      const transposed = bothOrientations ? read(parts.transposed) : transposedView(levels)
      return dequantize({ levels, transposed, scales: read(parts.scales) })
    },
  }
}

/** Only small matrices are stored in both orientations. */
const inBothOrientations = ({ model }: Pick<ModelFolder, 'model'>, largeFrom = largeLevels): boolean =>
  model.spec.matrices.reduce((sum, { d, k }) => sum + d * k, 0) < largeFrom

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

/** What the precisions of int8 and int4 share: the device's products, what they refuse, and weights whose matrices are in a layout. */
type Shared = Required<Pick<Precision, 'name' | 'dtype' | 'runsOn' | 'check' | 'open' | 'placeholders'>>

export const layoutPrecision = (
  name: MatrixLayout['precision'],
  buildLayout: (base: ModelFolder, type: LevelsType) => MatrixLayout,
): Shared => ({
  name,
  dtype: 'float32',
  runsOn: ({ quantizedMatMul }) => quantizedMatMul === true,
  check: (trained, { model }, method) => {
    if (model.spec.matrices.every((matrix) => trained.has(`${matrix.name}.weight`)))
      throw new SettingsError('precision', `float32 with method ${method}, which trains the matrices that ${name} would freeze`, name)
  },
  open: async function* (base, cache) {
    const [{ openQuantized }, { productsSaturate }] = await Promise.all([
      import('./quantizedFile.js'),
      import('../../engines/saturation.js'),
    ])
    return yield* openQuantized(base, buildLayout(base, (await productsSaturate()) ? 'uint8' : 'int8'), cache)
  },
  placeholders: async (base) => (await import('./quantizedFile.js')).quantizedPlaceholders(base, buildLayout(base, 'int8')),
})
