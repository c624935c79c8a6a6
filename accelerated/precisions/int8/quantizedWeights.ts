/** The frozen weights of a model in int8 or int4: matrices in a layout of levels and scales, all other tensors in float32. */
import type { ModelFolder } from '../../checkpoints/modelFolder.js'
import { weightSource } from '../../checkpoints/frozenWeights.js'
import { locateFiles } from '../../checkpoints/safetensors/weightFiles.js'
import type { DType } from '../../graph/expression.js'
import { weight } from '../../graph/operators.js'
import type { TensorSource } from '../../models/host.js'
import type { Frozen } from '../precision.js'
import { declarationsOf, quantizedFile, type MatrixLayout } from './quantizedFile.js'

const dtypes: Readonly<Record<string, DType>> = { F32: 'float32', I8: 'int8', U8: 'uint8' }

/** Yields a line if the file must be made. @throws InputError */
export async function* openQuantized(base: ModelFolder, layout: MatrixLayout, cache?: string): AsyncGenerator<string, Frozen> {
  const { folder, file, digest, tensors } = yield* quantizedFile(base, layout, cache)
  const files = { ...(await locateFiles(folder, [file], base.storage)), digests: new Map([[file, digest]]) }
  const location = files.locations.get(file) ?? file
  const stored: TensorSource = (name) => {
    const entry = tensors.get(name)
    if (entry === undefined) throw new Error(`${layout.precision}: expected a tensor of the model, got ${name}`)
    return weight(name, entry.shape, dtypes[entry.dtype] ?? 'float32', { location, offset: entry.offset, length: entry.length })
  }
  return { weights: weightSource({ files }), tensor: tensorsOf(base, layout, stored) }
}

/** Tensors of the same shapes and types that are in no file. */
export const quantizedPlaceholders = (base: ModelFolder, layout: MatrixLayout): TensorSource => {
  const declared = new Map(declarationsOf(base, layout).map((declaration) => [declaration.name, declaration]))
  return tensorsOf(base, layout, (name) => {
    const { shape, dtype } = declared.get(name) ?? { shape: [], dtype: 'F32' }
    const length = shape.reduce((a, b) => a * b, dtype === 'F32' ? 4 : 1)
    return weight(name, shape, dtypes[dtype] ?? 'float32', { location: '', offset: 0, length })
  })
}

/** One expression per name: graphs share their subexpressions by identity. */
const tensorsOf = ({ frozen }: Pick<ModelFolder, 'frozen'>, { matrices, matrix }: MatrixLayout, stored: TensorSource): TensorSource => {
  const known = memoized(stored)
  return memoized((name) => (matrices.has(name) ? matrix(name, frozen.get(name)?.shape ?? [], known) : known(name)))
}

const memoized = (tensor: TensorSource): TensorSource => {
  const made = new Map<string, ReturnType<TensorSource>>()
  return (name) => {
    const expression = made.get(name) ?? tensor(name)
    made.set(name, expression)
    return expression
  }
}
