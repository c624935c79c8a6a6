/** The frozen weights of a model in int8: its matrices as levels and scales, everything else as it is. */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { checkUnchanged, locateFiles } from '../../checkpoints/safetensors/weightFiles.js'
import type { Expression } from '../../graph/expression.js'
import { dequantize, transposedView, weight } from '../../graph/operators.js'
import type { TensorSource } from '../../models/host.js'
import type { Frozen } from '../precision.js'
import { areBothWays, partsOf, quantizedFile } from './quantizedFile.js'

/** Yields a line where they have to be made. @throws Mistake */
export async function* openQuantized(base: ModelFolder, cache?: string): AsyncGenerator<string, Frozen> {
  const { folder, file, tensors } = yield* quantizedFile(base, cache)
  const files = await locateFiles(folder, [file])
  const stored = (name: string): Expression => {
    const entry = tensors.get(name)
    if (entry === undefined) throw new Error(`int8: expected a tensor of the encoder, got ${name}`)
    const location = files.locations.get(file) ?? file
    return weight(name, entry.shape, entry.dtype === 'I8' ? 'int8' : 'float32', { location, offset: entry.offset, length: entry.length })
  }
  const matrix = (parts: ReturnType<typeof partsOf>): Expression => {
    const levels = stored(parts.levels)
    const transposed = tensors.has(parts.transposed) ? stored(parts.transposed) : transposedView(levels)
    return dequantize({ levels, transposed, scales: stored(parts.scales) })
  }
  const known = new Map<string, Expression>()
  return {
    tensor: (name) => {
      const parts = partsOf(name)
      const found = known.get(name) ?? (tensors.has(parts.levels) ? matrix(parts) : stored(name))
      known.set(name, found)
      return found
    },
    weights: async () => {
      await checkUnchanged(files)
      return files.folder
    },
  }
}

/** Such tensors without the file that they would lie in. */
export const quantizedPlaceholders = (base: ModelFolder): TensorSource => {
  const { frozen: tensors, model } = base
  const bothWays = areBothWays(model.spec.matrices)
  const matrices = new Set(model.spec.matrices.map(({ name }) => `${name}.weight`))
  const nowhere = (name: string, shape: ReadonlyArray<number>, dtype: 'int8' | 'float32'): Expression =>
    weight(name, shape, dtype, { location: '', offset: 0, length: shape.reduce((a, b) => a * b, dtype === 'int8' ? 1 : 4) })
  const levelsOf = (name: string, [rows = 0, columns = 0]: ReadonlyArray<number>): Expression => {
    const parts = partsOf(name)
    const levels = nowhere(parts.levels, [rows, columns], 'int8')
    const transposed = bothWays ? nowhere(parts.transposed, [columns, rows], 'int8') : transposedView(levels)
    return dequantize({ levels, transposed, scales: nowhere(parts.scales, [rows], 'float32') })
  }
  const known = new Map<string, Expression>()
  return (name) => {
    const shape = tensors.get(name)?.shape ?? []
    const found = known.get(name) ?? (matrices.has(name) ? levelsOf(name, shape) : nowhere(name, shape, 'float32'))
    known.set(name, found)
    return found
  }
}
