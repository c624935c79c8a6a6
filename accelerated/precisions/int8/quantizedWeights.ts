/** The frozen weights of a model in int8: matrices as levels and scales, all other tensors in float32. */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { weightSource } from '../../checkpoints/frozenWeights.js'
import { locateFiles } from '../../checkpoints/safetensors/weightFiles.js'
import type { Expression } from '../../graph/expression.js'
import { dequantize, transposedView, weight } from '../../graph/operators.js'
import type { TensorSource } from '../../models/host.js'
import type { Frozen } from '../precision.js'
import { inBothOrientations, partsOf, quantizedFile } from './quantizedFile.js'

/** Yields a line if the file must be made. @throws InputError */
export async function* openQuantized(base: ModelFolder, cache?: string): AsyncGenerator<string, Frozen> {
  const { folder, file, tensors } = yield* quantizedFile(base, cache)
  const files = await locateFiles(folder, [file], base.storage)
  const location = files.locations.get(file) ?? file
  const stored = (name: string): Expression => {
    const entry = tensors.get(name)
    if (entry === undefined) throw new Error(`int8: expected a tensor of the model, got ${name}`)
    return weight(name, entry.shape, entry.dtype === 'I8' ? 'int8' : 'float32', { location, offset: entry.offset, length: entry.length })
  }
  const matrix = (parts: ReturnType<typeof partsOf>): Expression => {
    const levels = stored(parts.levels)
    const transposed = tensors.has(parts.transposed) ? stored(parts.transposed) : transposedView(levels)
    return dequantize({ levels, transposed, scales: stored(parts.scales) })
  }
  return {
    weights: weightSource({ files }),
    tensor: memoized((name) => (tensors.has(partsOf(name).levels) ? matrix(partsOf(name)) : stored(name))),
  }
}

/** Tensors of the same shapes and types that are in no file. */
export const quantizedPlaceholders = (base: ModelFolder): TensorSource => {
  const { frozen, model } = base
  const bothOrientations = inBothOrientations(model.spec.matrices)
  const matrices = new Set(model.spec.matrices.map(({ name }) => `${name}.weight`))
  const placeholder = (name: string, shape: ReadonlyArray<number>, dtype: 'int8' | 'float32'): Expression =>
    weight(name, shape, dtype, { location: '', offset: 0, length: shape.reduce((a, b) => a * b, dtype === 'int8' ? 1 : 4) })
  const matrix = (name: string, [rows = 0, columns = 0]: ReadonlyArray<number>): Expression => {
    const parts = partsOf(name)
    const levels = placeholder(parts.levels, [rows, columns], 'int8')
    const transposed = bothOrientations ? placeholder(parts.transposed, [columns, rows], 'int8') : transposedView(levels)
    return dequantize({ levels, transposed, scales: placeholder(parts.scales, [rows], 'float32') })
  }
  return memoized((name) => {
    const shape = frozen.get(name)?.shape ?? []
    return matrices.has(name) ? matrix(name, shape) : placeholder(name, shape, 'float32')
  })
}

/** One expression per name: graphs share their subexpressions by identity. */
const memoized = (tensor: TensorSource): TensorSource => {
  const made = new Map<string, Expression>()
  return (name) => {
    const expression = made.get(name) ?? tensor(name)
    made.set(name, expression)
    return expression
  }
}
