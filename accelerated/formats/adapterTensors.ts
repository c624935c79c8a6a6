/** The tensors of an adapter's files: exactly those that its configuration describes, and finite. */
import { readTensor, type TensorEntry } from '../checkpoints/safetensors/safetensors.js'
import { showShape } from '../graph/expression.js'
import { inputError, quoted } from '../errors/inputError.js'
import type { TensorShape } from '../models/architecture.js'
import type { Weights } from './adapter.js'

type Entries = ReadonlyMap<string, TensorEntry>

/** @throws InputError if an expected tensor is missing or of another shape, or if there is any other tensor */
export const checkKeys = (tensors: Entries, expected: ReadonlyMap<string, TensorShape>, file: string, configName: string): void => {
  for (const [key, shape] of expected) {
    const entry = tensors.get(key)
    if (entry === undefined) throw inputError(file, `tensor ${key} ${showShape(shape)}`, 'none of that name')
    if (entry.shape.join() !== shape.join()) throw inputError(file, `tensor ${key} of shape ${showShape(shape)}`, showShape(entry.shape))
  }
  const stray = [...tensors.keys()].find((key) => !expected.has(key))
  if (stray !== undefined) throw inputError(file, `only the ${expected.size} tensors that ${configName} describes`, quoted(stray, 120))
}

/** @throws InputError if a number is not finite */
export const readWeights = async (entry: TensorEntry): Promise<Weights> => {
  const data = await readTensor(entry)
  const at = data.findIndex((x) => !Number.isFinite(x))
  if (at >= 0) throw inputError(entry.file, `finite numbers in ${entry.name}`, `${data[at]} at ${at}`)
  return { shape: entry.shape, data }
}

/** Tensors by name, each read from its key. The keys must exist. @throws InputError as readWeights does */
export const readAll = async (
  tensors: Entries,
  names: Iterable<string>,
  keyOf: (name: string) => string,
): Promise<ReadonlyMap<string, Weights>> => {
  const weights = new Map<string, Weights>()
  for (const name of names) weights.set(name, await readWeights(tensors.get(keyOf(name)) as TensorEntry))
  return weights
}
