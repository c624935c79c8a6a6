/** Frozen weights: each is an initializer that points into the checkpoint's own file, so a graph is a few hundred kilobytes. */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { mistake, reason } from './mistake.js'
import { headTensor, type ModelFolder } from './modelFolder.js'
import { readTensor } from './safetensors/safetensors.js'
import type { DType, Expression, FloatType } from '../graph/expression.js'
import { cast, weight } from '../graph/operators.js'
import type { TensorSource } from '../models/host.js'
import type { WeightFile, WeightSource } from '../runtime/engine.js'
import type { CheckpointNumbers } from '../training/parameterVector.js'

const dtypes: Readonly<Record<string, DType>> = { F32: 'float32', F64: 'float64', F16: 'float16', BF16: 'bfloat16' }

/** The model's frozen tensors by canonical name, cast to the graph's dtype where the file has another. */
export const frozenWeights = (model: ModelFolder, dtype: FloatType): TensorSource => {
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

/** The files those weights point into. ONNX Runtime reads from these bytes; they are read when first asked for and shared by all sessions of a run. */
export const weightSource = (model: ModelFolder): WeightSource => {
  let read: Promise<ReadonlyArray<WeightFile>> | null = null
  return () => {
    read ??= readFiles(new Set([...model.tensors.values()].map(({ file }) => file)))
    return read
  }
}

const readFiles = (files: ReadonlySet<string>): Promise<ReadonlyArray<WeightFile>> =>
  Promise.all(
    [...files].map(async (file) => ({
      location: basename(file),
      bytes: await readFile(file).catch((thrown: unknown) => {
        throw mistake(file, 'weights of less than 2 GiB that can be read', reason(thrown))
      }),
    })),
  )

/** The numbers of the model's tensors and of the heads that its files have. */
export const checkpointNumbers =
  (model: ModelFolder): CheckpointNumbers =>
  async (name, shape) => {
    const entry = model.tensors.get(name) ?? headTensor(model, name, shape)
    return entry === undefined ? undefined : readTensor(entry)
  }
