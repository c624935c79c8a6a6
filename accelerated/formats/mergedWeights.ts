/** Merging: the tensors of the model with the adapter's update added, one at a time. */
import { frozenHead, type ModelFolder } from '../checkpoints/modelFolder.js'
import { readTensor, type TensorEntry } from '../checkpoints/safetensors/safetensors.js'
import { inputError } from '../errors/inputError.js'
import { option, words } from '../errors/words.js'
import { extendedSize, type TokenRows } from '../methods/trainedTokens.js'
import type { Adapter, Weights } from './adapter.js'

/** A tensor that is computed when it is read. Merged matrices are float64; tensors that the adapter leaves alone are the checkpoint's. */
export type MergedTensor = { readonly shape: readonly number[]; readonly read: () => Promise<Float32Array | Float64Array> }

export type TrainedModel = {
  readonly base: ModelFolder
  readonly adapter: Adapter
  /** every tensor of the sequence head, from the adapter or the model */
  readonly head: ReadonlyMap<string, Weights>
}

/** Model and head by canonical name, in the model's order. A tensor that was read is not kept: a large model is never in memory twice. */
export const mergedTensors = ({ base, adapter, head }: TrainedModel): ReadonlyMap<string, MergedTensor> =>
  new Map<string, MergedTensor>([
    ...[...base.tensors].map(
      ([name, entry]) => [name, { shape: mergedShape(adapter, name, entry), read: () => mergedNumbers(adapter, name, entry) }] as const,
    ),
    ...[...frozenHead(base, adapter.outputs)].map(
      ([name, entry]) => [name, { shape: mergedShape(adapter, name, entry), read: () => mergedNumbers(adapter, name, entry) }] as const,
    ),
    ...[...head].map(([name, { shape, data }]) => [name, { shape, read: async () => data }] as const),
  ])

const findTokenRows = ({ method: { tokens } }: Adapter, name: string): TokenRows | undefined => tokens?.find(({ table }) => table === name)

/** A table of words has a row more for each new token beyond its end. */
const mergedShape = (adapter: Adapter, name: string, entry: TensorEntry): readonly number[] => {
  const rows = findTokenRows(adapter, name)
  return rows === undefined ? entry.shape : [extendedSize(rows.shape[0], rows.ids), rows.shape[1]]
}

/** @throws InputError if a sum is not a finite float32 number */
const mergedNumbers = async (
  { method, phase, settings, tensors }: Adapter,
  name: string,
  entry: TensorEntry,
): Promise<Float32Array | Float64Array> => {
  const trained = (tensor: string): ArrayLike<number> => {
    const weights = tensors.get(tensor)
    if (weights === undefined) throw new Error(`mergedTensors: expected ${tensor} among the adapter's tensors, got none`)
    return weights.data
  }
  const W = await readTensor(entry)
  const merged = method.export.merge?.(phase, settings, name, () => W, trained) ?? W
  if (merged === W) return W
  const numbers = merged instanceof Float32Array ? merged : Float64Array.from(merged)
  if (!numbers.every((x) => Number.isFinite(Math.fround(x))))
    throw inputError(entry.file, `${entry.name} plus the adapter's update to be finite float32 numbers`, 'one that is not')
  return numbers
}

/** Above this, float16 has only infinity. */
const float16Limit = 65_520

/** @param levels what the numbers are divided by before @throws InputError for a number beyond float16's range */
export const checkFloat16 = (data: Float32Array | Float64Array, name: string, file: string, levels = 1): void => {
  if (data.some((x) => Math.abs(x) >= levels * float16Limit))
    throw inputError(file, words`numbers in ${name} that float16 can hold (${option('precision')} float32 holds all)`, 'a larger one')
}
