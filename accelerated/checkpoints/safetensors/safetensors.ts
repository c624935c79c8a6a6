/** Reads safetensors files: only the header when a file is opened, and a tensor's numbers when they are needed. */
import { inputError } from '../../errors/inputError.js'
import { decodeUtf8 } from '../../storage/text.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { withFile, type Storage } from '../../storage/storage.js'
import { fromBfloat16, fromFloat16 } from '../../storage/float16.js'
import { showShape } from '../../graph/expression.js'
import { bytesPerElement, elementCount, parseHeader, type HeaderEntry, type StoredType } from './safetensorsHeader.js'

/** One tensor of an opened file. `transposed`: a matrix whose file has it [columns, rows]; its shape, and its numbers once read, are [rows, columns]. */
export type TensorEntry = HeaderEntry & { readonly storage: Storage; readonly transposed?: true }

/** The shape that the file has. */
export const storedShape = ({ shape, transposed }: Pick<TensorEntry, 'shape' | 'transposed'>): readonly number[] =>
  transposed === true ? shape.toReversed() : shape

export type SafetensorsFile = {
  readonly metadata: Readonly<Record<string, string>>
  /** by the tensor's name in the file */
  readonly tensors: ReadonlyMap<string, TensorEntry>
}

/** Bytes of a header. The format allows 100 MB, whose objects would fill a gigabyte; a thousand layers need 3 MB. */
export const headerLimit = 16_000_000

/** Numbers converted at a time: 4 MiB of float32. */
const chunkElements = 1 << 20

/** Elements that one Float32Array may have here (4 GiB). */
const tensorLimit = 2 ** 30

/** Opens `file`, reads its header and checks it. @throws InputError if the file is unreadable or violates the format anywhere */
export const readSafetensors = (file: string, storage: Storage = nodeFiles): Promise<SafetensorsFile> =>
  withFile(storage, file, async ({ size, read }) => {
    if (size < 8) throw inputError(file, 'at least 8 bytes (the length of the header)', `${size}`)
    const declared = new DataView((await read(0, 8)).buffer).getBigUint64(0, true)
    if (declared > BigInt(headerLimit))
      throw inputError(file, `a header of at most ${headerLimit} bytes`, `a length of ${declared} (not a safetensors file?)`)
    const headerLength = Number(declared)
    if (8 + headerLength > size) throw inputError(file, `a header of ${headerLength} bytes`, `${size - 8} bytes (the file is truncated)`)
    const text = decodeUtf8(await read(8, headerLength), file, 'header')
    const { metadata, tensors } = parseHeader(text, file, 8 + headerLength, size - 8 - headerLength)
    return { metadata, tensors: new Map([...tensors].map(([name, entry]) => [name, { ...entry, storage }])) }
  })

/** All numbers of a tensor, row-major, as float32 (F64 is rounded). @throws InputError for integer types and for files that changed */
export const readTensor = (entry: TensorEntry): Promise<Float32Array> => fill(entry, (count) => new Float32Array(count))

/** All numbers of a tensor, row-major, unrounded: float64 for F64, float32 for the narrower types. @throws InputError as readTensor does */
export const readExactly = (entry: TensorEntry): Promise<Float32Array | Float64Array> =>
  fill<Float32Array | Float64Array>(entry, (count) => (entry.dtype === 'F64' ? new Float64Array(count) : new Float32Array(count)))

const fill = async <T extends Float32Array | Float64Array>(entry: TensorEntry, allocate: (count: number) => T): Promise<T> => {
  const count = elementCount(entry.shape)
  if (count > tensorLimit)
    throw inputError(entry.file, `tensor ${entry.name} of at most ${tensorLimit} numbers`, `${count} ${showShape(entry.shape)}`)
  const values = allocate(count)
  for await (const { first, chunk } of readChunks(entry)) values.set(chunk, first)
  return entry.transposed === true ? transposedMatrix(values, storedShape(entry)) : values
}

/** [rows, columns] → [columns, rows], row-major */
export const transposedMatrix = <T extends Float32Array | Float64Array>(matrix: T, [rows = 0, columns = 0]: readonly number[]): T => {
  const transposed = matrix.slice() as T
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) transposed[column * rows + row] = matrix[row * columns + column] ?? NaN
  return transposed
}

/** A tensor's numbers a chunk at a time, unrounded, in the file's order. `first` is the flat index of the chunk's first number. */
export async function* readChunks(
  entry: TensorEntry,
): AsyncGenerator<{ readonly first: number; readonly chunk: Float32Array | Float64Array }> {
  const { file, dtype, length, offset, storage } = entry
  const decode = decoders[dtype]
  if (decode === undefined) throw inputError(file, `tensor ${entry.name} of dtype ${Object.keys(decoders).join(', ')}`, dtype)
  const { read, close } = await storage.open(file)
  try {
    const step = chunkElements * bytesPerElement[dtype]
    for (let at = 0; at < length; at += step) {
      const bytes = await read(offset + at, Math.min(step, length - at))
      yield { first: at / bytesPerElement[dtype], chunk: decode(bytes.buffer) }
    }
  } finally {
    await close()
  }
}

/** Little-endian bytes to numbers, by type. */
const decoders: { readonly [D in StoredType]?: (bytes: ArrayBuffer) => Float32Array | Float64Array } = {
  F64: (bytes) => new Float64Array(bytes),
  F32: (bytes) => new Float32Array(bytes),
  F16: (bytes) => fromFloat16(new Uint16Array(bytes)),
  BF16: (bytes) => fromBfloat16(new Uint16Array(bytes)),
}
