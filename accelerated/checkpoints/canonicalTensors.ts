/** Canonical tensor names: those of the files without the family's prefix, and without the names of old checkpoints. */
import { inputError, quoted } from '../errors/inputError.js'
import { sameShape } from '../graph/expression.js'
import type { Model } from '../models/architecture.js'
import { storedShape, type TensorEntry } from './safetensors/safetensors.js'
import { showShape } from '../graph/expression.js'

type Tensors = ReadonlyMap<string, TensorEntry>

type Layout = Pick<Model, 'naming' | 'transposed' | 'ignored'>

/**
 * The tensors of a model's files without the buffers that the model ignores. Old checkpoints call a LayerNorm's weight gamma and its bias beta.
 * @throws InputError if two tensors have one canonical name
 */
export const canonicalTensors = (stored: Tensors, { naming, transposed, ignored }: Layout, folder: string): Tensors => {
  const canonical = new Map<string, TensorEntry>()
  for (const [name, entry] of stored) {
    const short = (name.startsWith(naming.prefix) ? name.slice(naming.prefix.length) : name)
      .replace(/\bLayerNorm\.gamma$/, 'LayerNorm.weight')
      .replace(/\bLayerNorm\.beta$/, 'LayerNorm.bias')
    if (ignored?.(short) === true) continue
    const other = canonical.get(short)
    if (other !== undefined) throw inputError(folder, `one tensor for ${quoted(short)}`, `${quoted(other.name)} and ${quoted(name)}`)
    canonical.set(short, transposed?.(short) === true ? { ...entry, shape: entry.shape.toReversed(), transposed: true } : entry)
  }
  return canonical
}

/** The tensor of this name and shape. @throws InputError if it is missing, of another shape, or of integers */
export const requiredTensor = (tensors: Tensors, name: string, shape: ReadonlyArray<number>, folder: string): TensorEntry => {
  const entry = tensors.get(name)
  if (entry === undefined) throw inputError(folder, `tensor ${name} ${showShape(shape)}`, 'none of that name in the weights')
  if (!sameShape(shape, entry.shape)) {
    const expected = storedShape({ ...entry, shape })
    throw inputError(entry.file, `tensor ${entry.name} of shape ${showShape(expected)}`, showShape(storedShape(entry)))
  }
  if (!isReal(entry)) throw inputError(entry.file, `tensor ${entry.name} in F32, F16, BF16 or F64`, entry.dtype)
  return entry
}

/** Whether the tensor is of floating-point numbers that we read. */
export const isReal = ({ dtype }: TensorEntry): boolean => ['F32', 'F16', 'BF16', 'F64'].includes(dtype)
