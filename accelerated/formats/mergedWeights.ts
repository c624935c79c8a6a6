/** Merging: the tensors of the model with the adapter inside, one at a time. */
import { inputError } from '../errors/inputError.js'
import { frozenHead, type ModelFolder } from '../checkpoints/modelFolder.js'
import { readTensor } from '../checkpoints/safetensors/safetensors.js'
import type { Adapter, Weights } from './adapter.js'

/** A tensor that is computed when it is read. Merged matrices are float64; what the adapter leaves alone is as the checkpoint has it. */
export type MergedTensor = { readonly shape: ReadonlyArray<number>; readonly read: () => Promise<Float32Array | Float64Array> }

/** Everything an export starts from. `head`: every tensor of the sequence head, from the adapter or the model. */
export type TrainedModel = { readonly base: ModelFolder; readonly adapter: Adapter; readonly head: ReadonlyMap<string, Weights> }

/** Model and head by canonical name, in the model's order. Reading one does not keep it: a large model is never in memory twice. */
export const mergedTensors = ({ base, adapter, head }: TrainedModel): ReadonlyMap<string, MergedTensor> => {
  const { method, phase, settings, tensors } = adapter
  const trained = (name: string): ArrayLike<number> => {
    const weights = tensors.get(name)
    if (weights === undefined) throw new Error(`mergedTensors: expected ${name} among the adapter's tensors, got none`)
    return weights.data
  }
  return new Map<string, MergedTensor>([
    ...[...base.tensors].map(([name, entry]): readonly [string, MergedTensor] => [
      name,
      {
        shape: entry.shape,
        read: async () => {
          const W = await readTensor(entry)
          const merged = method.export.merge?.(phase, settings, name, () => W, trained) ?? W
          if (merged === W) return W
          const numbers = merged instanceof Float32Array ? merged : Float64Array.from(merged)
          if (!numbers.every((x) => Number.isFinite(Math.fround(x))))
            throw inputError(entry.file, `${entry.name} plus the adapter's update to be finite float32 numbers`, 'one that is not')
          return numbers
        },
      },
    ]),
    ...[...frozenHead(base, adapter.outputs)].map(([name, entry]): readonly [string, MergedTensor] => [
      name,
      { shape: entry.shape, read: () => readTensor(entry) },
    ]),
    ...[...head].map(([name, { shape, data }]): readonly [string, MergedTensor] => [name, { shape, read: async () => data }]),
  ])
}
