/** Frozen weights: each is an initializer that points into the checkpoint's own file, so a graph is a few hundred kilobytes. */
import { headTensor, type ModelFolder } from './modelFolder.js'
import { readTensor, storedShape, type TensorEntry } from './safetensors/safetensors.js'
import { checkUnchanged } from './safetensors/weightFiles.js'
import { joinPath } from '../storage/paths.js'
import { withFile } from '../storage/storage.js'
import type { DType, Expression, FloatType } from '../graph/expression.js'
import { cast, transpose, weight } from '../graph/operators.js'
import type { TensorSource } from '../models/host.js'
import type { WeightSource } from '../engines/engine.js'
import type { CheckpointNumbers } from '../parameters/layout.js'

const dtypes: Readonly<Record<string, DType>> = { F32: 'float32', F64: 'float64', F16: 'float16', BF16: 'bfloat16' }

/** The model's frozen tensors by canonical name, cast to the graph's dtype where the file has another. */
export const frozenWeights = (model: ModelFolder, dtype: FloatType): TensorSource => {
  const known = new Map<string, Expression>()
  return (name) => {
    const entry = model.frozen.get(name)
    if (entry === undefined) throw new Error(`frozenWeights: expected a tensor of the model, got ${name}`)
    const expression = known.get(name) ?? frozenTensor(model, name, entry, dtype)
    known.set(name, expression)
    return expression
  }
}

const frozenTensor = ({ files }: ModelFolder, name: string, entry: TensorEntry, dtype: FloatType): Expression => {
  const location = files.locations.get(entry.file) ?? entry.file
  const { offset, length } = entry
  const stored = cast(weight(name, storedShape(entry), dtypes[entry.dtype] ?? 'float32', { location, offset, length }), dtype)
  return entry.transposed === true ? transpose(stored, [1, 0]) : stored
}

/** The files that those weights point into. Every session of a run finds in them what the first one did. */
export const weightSource = ({ files }: Pick<ModelFolder, 'files'>): WeightSource => {
  const { storage, folder } = files
  return async () => {
    await checkUnchanged(files)
    return (
      (await storage.mapped?.(folder)) ?? ((location) => withFile(storage, joinPath(folder, location), ({ size, read }) => read(0, size)))
    )
  }
}

/** The numbers of the model's tensors and of the heads that its files have. */
export const checkpointNumbers =
  (model: ModelFolder): CheckpointNumbers =>
  async (name, shape) => {
    const entry = model.tensors.get(name) ?? headTensor(model, name, shape)
    return entry === undefined ? undefined : readTensor(entry)
  }
