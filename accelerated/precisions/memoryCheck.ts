/** Whether a model's frozen weights fit into memory in a precision, and what fits instead. */
import { inGigabytes, layersThatFit, tooLarge, type ModelFolder } from '../checkpoints/modelFolder.js'
import { memoryLimit } from '../engines/inNode.js'
import { precisions } from './index.js'
import type { Precision } from './precision.js'

/** Checks sizes alone and reads no weight. @throws InputError that names a precision that fits, or the number of layers that do */
export const checkWeightsFit = ({ name, weightBytes }: Precision, base: ModelFolder, memory: number = memoryLimit()): void => {
  const bytes = weightBytes(base)
  if (bytes <= memory) return
  const other = precisions.find((precision) => precision.weightBytes(base) <= memory)
  const remedy =
    other === undefined
      ? layersThatFit(base.model.spec, base.frozen, memory)
      : `--precision ${other.name} takes ${inGigabytes(other.weightBytes(base))}`
  throw tooLarge(base.folder, memory, `${inGigabytes(bytes)} in ${name}`, remedy)
}
