/** Frozen weights: each is an initializer that points into the checkpoint's own file, so a graph is a few hundred kilobytes. */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileError, reason } from './fileError.js'
import type { ModelFolder } from './modelFolder.js'
import type { TensorSource } from '../models/encoder.js'
import type { DType, Expression } from '../graph/expression.js'
import { cast, weight } from '../graph/operators.js'
import type { WeightFile } from '../runtime/session.js'
import type { Scalar } from '../training/trainingStep.js'

const dtypes: Readonly<Record<string, DType>> = { F32: 'float32', F64: 'float64', F16: 'float16', BF16: 'bfloat16' }

/** The model's frozen tensors by canonical name, cast to the graph's dtype where the file has another. */
export const frozenWeights = (model: ModelFolder, dtype: Scalar): TensorSource => {
  const known = new Map<string, Expression>()
  return (name) => {
    const entry = model.tensors.get(name)
    if (entry === undefined) throw new Error(`frozenWeights: expected a tensor of the encoder, found ${name}`)
    const expression =
      known.get(name) ??
      cast(
        weight(name, entry.shape, dtypes[entry.dtype] ?? 'float32', {
          location: basename(entry.file),
          offset: entry.offset,
          length: entry.length,
        }),
        dtype,
      )
    known.set(name, expression)
    return expression
  }
}

/** The files those weights point into. ONNX Runtime reads from these bytes; they are shared by all sessions of a run. */
export const weightFiles = async (model: ModelFolder): Promise<ReadonlyArray<WeightFile>> => {
  const files = new Set([...model.tensors.values()].map(({ file }) => file))
  return Promise.all(
    [...files].map(async (file) => ({
      location: basename(file),
      bytes: await readFile(file).catch((thrown: unknown) => {
        throw fileError(file, 'weights of less than 2 GiB that can be read', reason(thrown))
      }),
    })),
  )
}
