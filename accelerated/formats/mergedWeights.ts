/** Merging: the tensors of the model with the adapter inside, W + scale · B A, one at a time. */
import type { LoadedAdapter } from './peft/loadPeft.js'
import type { LowRankPair } from './peft/adapter.js'
import { fileError } from '../files/fileError.js'
import type { ModelFolder } from '../files/modelFolder.js'
import { readTensor } from '../files/safetensors/safetensors.js'

/** A tensor that is computed when it is read. Merged matrices are float64; what the adapter leaves alone is as the checkpoint has it. */
export type MergedTensor = { readonly shape: ReadonlyArray<number>; readonly read: () => Promise<Float32Array | Float64Array> }

/** Everything an export starts from. `head`: every tensor of headTensorShapes(adapter.config), from the adapter or the model. */
export type TrainedModel = {
  readonly model: ModelFolder
  readonly adapter: LoadedAdapter
  readonly head: ReadonlyMap<string, Float32Array>
}

/** Encoder and head by canonical name, in the model's order. Reading one does not keep it: a large model is never in memory twice. */
export const mergedTensors = (
  { model, adapter, head }: TrainedModel,
  headShapes: ReadonlyMap<string, ReadonlyArray<number>>,
): ReadonlyMap<string, MergedTensor> =>
  new Map<string, MergedTensor>([
    ...[...model.tensors].map(([name, entry]): readonly [string, MergedTensor] => {
      const pair = adapter.modules.get(name.replace(/\.weight$/, ''))
      const adapted = pair !== undefined && name.endsWith('.weight')
      return [
        name,
        {
          shape: entry.shape,
          read: async () => {
            const W = await readTensor(entry)
            if (!adapted) return W
            const merged = merge(W, pair, pair.scale)
            if (!merged.every((x) => Number.isFinite(Math.fround(x))))
              throw fileError(entry.file, `${entry.name} plus the adapter's update to be finite float32 numbers`, 'one that is not')
            return merged
          },
        },
      ]
    }),
    ...[...headShapes].map(([name, shape]): readonly [string, MergedTensor] => [
      name,
      { shape, read: async () => head.get(name) ?? missing(name) },
    ]),
  ])

const missing = (name: string): never => {
  throw new Error(`mergedTensors: expected ${name} in the head, found none`)
}

/** Equation (5)'s W + scale · B A, every sum in float64. W: [d, k] row-major, A: [r, k], B: [d, r] → [d, k] */
export const merge = (W: ArrayLike<number>, { A, B }: LowRankPair, scale: number): Float64Array => {
  const [r = 0, k = 0] = A.shape
  const [d = 0] = B.shape
  if (W.length !== d * k) throw new Error(`merge: expected W of ${d} × ${k}, found ${W.length} numbers`)
  const merged = new Float64Array(d * k)
  for (let row = 0; row < d; row++) {
    const of = merged.subarray(row * k, (row + 1) * k)
    for (let component = 0; component < r; component++) {
      const b = B.data[row * r + component] ?? 0
      const a = A.data.subarray(component * k, (component + 1) * k)
      for (let column = 0; column < k; column++) of[column] = (of[column] ?? 0) + b * (a[column] ?? 0)
    }
    for (let column = 0; column < k; column++) of[column] = (W[row * k + column] ?? 0) + scale * (of[column] ?? 0)
  }
  return merged
}
