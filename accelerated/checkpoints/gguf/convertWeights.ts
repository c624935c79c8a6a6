/** The weights of a decoder in GGUF as a safetensors file: names, order of rows and orientation of Hugging Face, quantized numbers as float32. */
import { inputError, quoted } from '../../errors/inputError.js'
import { sameShape, showShape } from '../../graph/expression.js'
import type { Model, TensorShape } from '../../models/architecture.js'
import { factorTensors } from '../../models/gguf.js'
import { withFile, type OpenFile, type Storage } from '../../storage/storage.js'
import { transposedMatrix } from '../safetensors/safetensors.js'
import { layOut } from '../safetensors/writeSafetensors.js'
import type { StoredType } from '../safetensors/safetensorsHeader.js'
import { ggufName, ggufOffset, permutedHeads, separateHeads } from './decoderNames.js'
import { dequantize } from './dequantize.js'
import type { GgufEntry, GgufHeader } from './ggufHeader.js'
import { tensorTypes } from './ggufTypes.js'

type Converted = {
  readonly name: string
  readonly entry: GgufEntry
  readonly dtype: StoredType
  readonly headSize: number | null
  /** whether the family's files have it as [in, out] */
  readonly isTransposed: boolean
  /** what the file adds to each number */
  readonly offset: number
}

/** Writes `target`. @throws InputError if a tensor of the model is missing or of another shape, or if there are others */
export const convertWeights = async (
  { tensors }: GgufHeader,
  model: Model,
  file: string,
  target: { readonly path: string; readonly storage: Storage },
  storage: Storage,
): Promise<void> => {
  const shapes = new Map([...model.spec.tensors, ...(model.causalHead?.().frozen ?? [])])
  const converted = new Map(
    [...shapes].map(([name, shape]) => [model.naming.stored(name), convertedTensor(tensors, model, name, shape, file)]),
  )
  const known = new Set<string>([...factorTensors, ...[...converted.values()].map(({ entry }) => entry.name)])
  const stray = [...tensors.keys()].find((name) => !known.has(name))
  if (stray !== undefined) throw inputError(file, `only tensors of a model of type ${model.type}`, quoted(stray))
  const declared = [...converted].map(([name, { entry, dtype, isTransposed }]) => ({
    ...{ name, dtype, shape: isTransposed ? entry.shape.toReversed() : entry.shape },
  }))
  const { header, order } = layOut(declared, { format: 'pt' })
  await withFile(storage, file, async (open) => {
    async function* chunks(): AsyncGenerator<Uint8Array> {
      yield header
      for (const name of order) yield* pieces(open, converted.get(name)!)
    }
    await target.storage.write(target.path, chunks())
  })
}

const convertedTensor = (tensors: GgufHeader['tensors'], model: Model, name: string, shape: TensorShape, file: string): Converted => {
  const own = ggufName(name, model)
  const entry = tensors.get(own)
  if (entry === undefined) throw inputError(file, `tensor ${own} ${showShape(shape)}`, 'none of that name')
  if (!sameShape(shape, entry.shape)) throw inputError(file, `tensor ${entry.name} of shape ${showShape(shape)}`, showShape(entry.shape))
  const dtype = entry.type === 'F16' || entry.type === 'BF16' ? entry.type : 'F32'
  const [isTransposed, offset] = [model.transposed?.(name) === true, ggufOffset(model, name)]
  return {
    ...{ name, entry, isTransposed, offset, dtype: isTransposed || offset !== 0 ? ('F32' as const) : dtype },
    headSize: permutedHeads(model, name.replace(/\.(weight|bias)$/, '')),
  }
}

/** Bytes of a tensor that are converted at a time. */
const pieceBytes = 1 << 22

/** Whole heads at a time: rows move within their head. A matrix that is transposed is read as a whole. */
async function* pieces({ read }: OpenFile, { entry, dtype, headSize, isTransposed, offset: added }: Converted): AsyncGenerator<Uint8Array> {
  const { type, shape, offset, length } = entry
  if (added !== 0) {
    const numbers = dequantize(type, Uint8Array.from(await read(offset, length)))
    yield new Uint8Array(numbers.map((x) => x - added).buffer)
    return
  }
  if (isTransposed) {
    const numbers = dequantize(type, Uint8Array.from(await read(offset, length)))
    yield new Uint8Array(transposedMatrix(numbers, shape).buffer)
    return
  }
  const rows = shape.length === 1 && headSize === null ? 1 : (shape[0] ?? 1)
  const rowBytes = length / rows
  const unit = headSize === null ? tensorTypes[type].bytes : rowBytes * headSize
  const step = Math.max(1, Math.floor(pieceBytes / unit)) * unit
  for (let at = 0; at < length; at += step) {
    const stored = Uint8Array.from(await read(offset + at, Math.min(step, length - at)))
    const bytes = headSize === null ? stored : separateHeads(stored, rowBytes, headSize)
    if (dtype !== 'F32' || type === 'F32') yield bytes
    else yield new Uint8Array(dequantize(type, bytes).buffer)
  }
}
