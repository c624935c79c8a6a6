/** Frozen weights: each is an initializer that points into the checkpoint's own file, so a graph is a few hundred kilobytes. Rows of tables, and whether all numbers are finite, are read here too. */
import { headTensor, type ModelFolder } from './modelFolder.js'
import { readTensor, storedShape, type TensorEntry, readChunks } from './safetensors/safetensors.js'
import { checkUnchanged } from './safetensors/weightFiles.js'
import { joinPath } from '../storage/paths.js'
import { withFile } from '../storage/storage.js'
import { type DType, type Expression, type FloatType, showShape } from '../graph/expression.js'
import { cast, transpose, weight } from '../graph/operators.js'
import type { TensorSource } from '../models/host.js'
import type { WeightSource } from '../engines/engine.js'
import type { CheckpointNumbers } from '../parameters/layout.js'
import { inputError } from '../errors/inputError.js'

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

/** Reads every weight of the model, and of the heads given, once. @throws InputError that names the tensor and the first number that is NaN or infinite */
export const checkFinite = async (model: ModelFolder, heads: Iterable<readonly [string, readonly number[]]>): Promise<void> => {
  for (const entry of [...model.tensors.values(), ...[...heads].flatMap(([name, shape]) => headTensor(model, name, shape) ?? [])]) {
    for await (const { first, chunk } of readChunks(entry)) {
      if (allFinite(chunk)) continue
      const at = chunk.findIndex((x) => !Number.isFinite(x))
      throw inputError(
        entry.file,
        `finite float32 numbers in ${entry.name}`,
        `${chunk[at]} at ${showShape(unravelIndex(first + at, storedShape(entry)))}`,
      )
    }
  }
}

/** By one sum, since 0 times a finite number is 0. Testing number by number takes ten times as long. */
const allFinite = (numbers: Float32Array | Float64Array): boolean => {
  let sum = 0
  for (let i = 0; i < numbers.length; i++) sum += 0 * (numbers[i] ?? NaN)
  return sum === 0
}

/** The indices of the number at `flat` in a row-major tensor. */
const unravelIndex = (flat: number, shape: readonly number[]): readonly number[] =>
  shape.reduceRight<readonly [readonly number[], number]>(
    ([indices, rest], side) => [[rest % side, ...indices], Math.floor(rest / side)],
    [[], flat],
  )[0]

/** Rows of a frozen table; for new tokens, the mean of all its rows (transformers draws theirs closely around it). → [ids, width] */
export const tableRows = async (
  { frozen, added }: Pick<ModelFolder, 'frozen' | 'added'>,
  table: string,
  ids: readonly number[],
): Promise<{ readonly shape: readonly [rows: number, width: number]; readonly rows: Float64Array }> => {
  const entry = frozen.get(table)
  const [count = 0, width = 0] = entry?.shape ?? []
  if (entry === undefined || width === 0) throw new Error(`tableRows: expected a table of the model, got ${table}`)
  const newFrom = added?.from ?? Infinity
  const rows = new Float64Array(ids.length * width)
  const sums = new Float64Array(width)
  const hasNew = ids.some((id) => id >= newFrom)
  for await (const { first, chunk } of readChunks(entry)) {
    const end = first + chunk.length
    ids.forEach((id, place) => {
      const [start, stop] = [Math.max(first, id * width), Math.min(end, (id + 1) * width)]
      if (start < stop) rows.set(chunk.subarray(start - first, stop - first), place * width + start - id * width)
    })
    if (hasNew)
      for (let i = 0, column = first % width; i < chunk.length; i++, column = column + 1 === width ? 0 : column + 1)
        sums[column] = (sums[column] ?? 0) + (chunk[i] ?? NaN)
  }
  const mean = sums.map((sum) => sum / count)
  ids.forEach((id, place) => {
    if (id >= newFrom) rows.set(mean, place * width)
  })
  return { shape: [count, width], rows }
}
