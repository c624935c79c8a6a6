/** What the precisions of int8 and int4 share: the device's products, what they refuse, and weights whose matrices are in a layout. */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { SettingsError } from '../../errors/expectedErrors.js'
import type { Precision } from '../precision.js'
import type { MatrixLayout } from './quantizedFile.js'
import type { LevelsType } from './matrixLayouts.js'

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
