/** Whether a checkpoint's weights are finite numbers. */
import { inputError } from '../errors/inputError.js'
import { headTensor, type ModelFolder } from './modelFolder.js'
import { readChunks, storedShape } from './safetensors/safetensors.js'
import { showShape } from '../graph/expression.js'

/** Reads every weight of the model, and of the heads given, once. @throws InputError that names the tensor and the first number that is NaN or infinite */
export const checkFinite = async (model: ModelFolder, heads: Iterable<readonly [string, readonly number[]]>): Promise<void> => {
  for (const entry of [...model.tensors.values(), ...[...heads].flatMap(([name, shape]) => headTensor(model, name, shape) ?? [])]) {
    for await (const { first, chunk } of readChunks(entry)) {
      if (allFinite(chunk)) continue
      const at = chunk.findIndex((x) => !Number.isFinite(x))
      throw inputError(
        entry.file,
        `finite float32 numbers in ${entry.name}`,
        `${chunk[at]} at ${showShape(indicesOf(first + at, storedShape(entry)))}`,
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
const indicesOf = (flat: number, shape: readonly number[]): readonly number[] =>
  shape.reduceRight<readonly [readonly number[], number]>(
    ([indices, rest], side) => [[rest % side, ...indices], Math.floor(rest / side)],
    [[], flat],
  )[0]
