/** The header of a GGUF file, parsed from its first bytes: keys, and where the data of each tensor is. Every count is checked before memory is taken. */
import { inputError, quoted } from '../../errors/inputError.js'
import { showShape } from '../../graph/expression.js'
import { decodeUtf8 } from '../../storage/text.js'
import { elementCount } from '../safetensors/safetensorsHeader.js'
import { countBytes, defaultAlignment, tensorTypes, valueTypes, type TensorType } from './ggufTypes.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { withFile, type Storage } from '../../storage/storage.js'

/** The value of a key. 64-bit integers become numbers. */
export type GgufValue = string | number | boolean | readonly string[] | readonly number[] | readonly boolean[]

/** Where the data of one tensor is: `length` bytes from byte `offset` of `file`. shape: row-major, as elsewhere; the file has the sizes reversed. */
export type GgufEntry = {
  readonly name: string
  readonly type: TensorType
  readonly shape: readonly number[]
  readonly offset: number
  readonly length: number
  readonly file: string
}

export type GgufHeader = {
  readonly keys: ReadonlyMap<string, GgufValue>
  readonly tensors: ReadonlyMap<string, GgufEntry>
}

/** Keys, elements of one array, and tensors of a file. Real files have dozens, 300,000 and a thousand. */
const keyLimit = 10_000
const arrayLimit = 4_000_000
const tensorLimit = 100_000

/** Bytes of a key or of a tensor's name. llama.cpp's own limit of names is 63. */
const nameLimit = 1_000

/**
 * Parses the first bytes of a file of `size` bytes. → null: the header does not end within these bytes
 * @throws InputError unless it is a header of version 2 or 3, little-endian, whose tensors are within the file and do not overlap
 */
const parseGgufHeader = (bytes: Uint8Array, size: number, file: string): GgufHeader | null => {
  try {
    const at = cursor(bytes, size, file)
    const { tensors: tensorCount, keys: keyCount } = readStart(at, file)
    const keys = readKeys(at, keyCount, file)
    const declared = readTensors(at, tensorCount, file)
    const alignment = readAlignment(keys, file)
    const dataStart = Math.ceil(at.position() / alignment) * alignment
    const tensors = declared.map((tensor) => placedTensor(tensor, { alignment, dataStart, size, file }))
    checkOverlap(tensors, file)
    return { keys, tensors: new Map(tensors.map((entry) => [entry.name, entry])) }
  } catch (thrown) {
    if (thrown === tooShort) return null
    throw thrown
  }
}

/** What reading beyond the given bytes throws. */
const tooShort = Symbol('the header does not end within these bytes')

type Cursor = {
  readonly position: () => number
  readonly uint32: () => number
  /** as a number; beyond 2⁵³ it is only approximate */
  readonly uint64: () => number
  readonly string: (limit: number, what: string) => string
  readonly value: (type: number, key: string) => GgufValue
}

const cursor = (bytes: Uint8Array, size: number, file: string): Cursor => {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let position = 0
  /** @throws tooShort before memory is taken */
  const advance = (length: number): number => {
    if (length > bytes.length - position) throw tooShort
    position += length
    return position - length
  }
  const uint64 = (): number => Number(view.getBigUint64(advance(8), true))
  const string = (limit: number, what: string): string => {
    const length = uint64()
    if (length > limit) throw inputError(file, `${what} of at most ${limit} bytes`, `${length}`)
    const start = advance(length)
    return decodeUtf8(bytes.subarray(start, start + length), file, what)
  }
  const scalars: Readonly<Record<number, { readonly bytes: number; readonly read: (at: number) => number | boolean }>> = {
    [valueTypes.uint8]: { bytes: 1, read: (at) => view.getUint8(at) },
    [valueTypes.int8]: { bytes: 1, read: (at) => view.getInt8(at) },
    [valueTypes.uint16]: { bytes: 2, read: (at) => view.getUint16(at, true) },
    [valueTypes.int16]: { bytes: 2, read: (at) => view.getInt16(at, true) },
    [valueTypes.uint32]: { bytes: 4, read: (at) => view.getUint32(at, true) },
    [valueTypes.int32]: { bytes: 4, read: (at) => view.getInt32(at, true) },
    [valueTypes.float32]: { bytes: 4, read: (at) => view.getFloat32(at, true) },
    [valueTypes.bool]: { bytes: 1, read: (at) => view.getUint8(at) !== 0 },
    [valueTypes.uint64]: { bytes: 8, read: (at) => Number(view.getBigUint64(at, true)) },
    [valueTypes.int64]: { bytes: 8, read: (at) => Number(view.getBigInt64(at, true)) },
    [valueTypes.float64]: { bytes: 8, read: (at) => view.getFloat64(at, true) },
  }
  const array = (key: string): GgufValue => {
    const [type, count] = [view.getUint32(advance(4), true), uint64()]
    if (count > arrayLimit) throw inputError(file, `at most ${arrayLimit} values of ${quoted(key)}`, `${count}`)
    if (type === valueTypes.string) {
      const strings: string[] = []
      const what = `string of ${quoted(key)}`
      while (strings.length < count) strings.push(string(size, what))
      return strings
    }
    const scalar = findScalar(type, key)
    const start = advance(count * scalar.bytes)
    return Array.from({ length: count }, (_, i) => scalar.read(start + i * scalar.bytes)) as readonly number[]
  }
  const findScalar = (type: number, key: string) => {
    const scalar = scalars[type]
    if (scalar === undefined) throw inputError(file, `${quoted(key)} of a known type of value`, `type ${type}`)
    return scalar
  }
  const value = (type: number, key: string): GgufValue => {
    if (type === valueTypes.string) return string(size, `string of ${quoted(key)}`)
    if (type === valueTypes.array) return array(key)
    const scalar = findScalar(type, key)
    return scalar.read(advance(scalar.bytes))
  }
  return { position: () => position, uint32: () => view.getUint32(advance(4), true), uint64, string, value }
}

const readStart = (at: Cursor, file: string): { readonly tensors: number; readonly keys: number } => {
  const magic = at.uint32()
  if (magic !== 0x4655_4747) throw inputError(file, 'a GGUF file, which begins with GGUF', 'other bytes')
  const version = at.uint32()
  if (version !== 2 && version !== 3) throw inputError(file, 'GGUF of version 2 or 3, little-endian', `version ${version}`)
  const [tensors, keys] = [at.uint64(), at.uint64()]
  if (tensors > tensorLimit) throw inputError(file, `at most ${tensorLimit} tensors`, `${tensors}`)
  if (keys > keyLimit) throw inputError(file, `at most ${keyLimit} keys`, `${keys}`)
  return { tensors, keys }
}

const readKeys = (at: Cursor, count: number, file: string): ReadonlyMap<string, GgufValue> => {
  const keys = new Map<string, GgufValue>()
  for (let i = 0; i < count; i++) {
    const key = at.string(nameLimit, 'key')
    if (keys.has(key)) throw inputError(file, 'each key once', `${quoted(key)} twice`)
    keys.set(key, at.value(at.uint32(), key))
  }
  return keys
}

/** As the file has it, before it is checked against the file's size. */
type Declared = Pick<GgufEntry, 'name' | 'type' | 'shape'> & { readonly offset: number }

const readTensors = (at: Cursor, count: number, file: string): readonly Declared[] => {
  const tensors: Declared[] = []
  const names = new Set<string>()
  for (let i = 0; i < count; i++) {
    const name = at.string(nameLimit, "tensor's name")
    if (names.has(name)) throw inputError(file, 'each tensor once', `${quoted(name)} twice`)
    names.add(name)
    const dimensions = at.uint32()
    if (dimensions > 4) throw inputError(file, `tensor ${quoted(name)} of at most 4 dimensions`, `${dimensions}`)
    const shape = Array.from({ length: dimensions }, at.uint64).reverse()
    tensors.push({ name, shape, type: findTensorType(at.uint32(), name, file), offset: at.uint64() })
  }
  return tensors
}

const findTensorType = (id: number, name: string, file: string): TensorType => {
  const names = Object.keys(tensorTypes) as readonly TensorType[]
  const type = names.find((known) => tensorTypes[known].id === id)
  if (type === undefined) throw inputError(file, `tensor ${quoted(name)} in ${names.join(', ')}`, `type ${id} of ggml`)
  return type
}

const readAlignment = (keys: ReadonlyMap<string, GgufValue>, file: string): number => {
  const alignment = keys.get('general.alignment') ?? defaultAlignment
  if (typeof alignment !== 'number' || !Number.isInteger(alignment) || alignment < 8 || alignment > 65_536 || alignment % 8 !== 0)
    throw inputError(file, 'general.alignment as a multiple of 8, from 8 to 65536', String(alignment))
  return alignment
}

type Placement = { readonly alignment: number; readonly dataStart: number; readonly size: number; readonly file: string }

const placedTensor = ({ name, type, shape, offset }: Declared, { alignment, dataStart, size, file }: Placement): GgufEntry => {
  const length = countBytes(type, elementCount(shape))
  if (!Number.isSafeInteger(elementCount(shape)))
    throw inputError(file, `tensor ${quoted(name)} of fewer than 2^53 numbers`, showShape(shape))
  const { block } = tensorTypes[type]
  if ((shape.at(-1) ?? 1) % block !== 0)
    throw inputError(file, `tensor ${quoted(name)} in ${type} with rows of whole blocks of ${block}`, `rows of ${shape.at(-1)}`)
  if (offset % alignment !== 0) throw inputError(file, `tensor ${quoted(name)} at a multiple of ${alignment} bytes`, `byte ${offset}`)
  if (offset + length > size - dataStart)
    throw inputError(
      file,
      `tensor ${quoted(name)} within the ${Math.max(0, size - dataStart)} bytes of data`,
      `bytes ${offset} to ${offset + length} (is the file truncated?)`,
    )
  return { name, type, shape, offset: dataStart + offset, length, file }
}

const checkOverlap = (tensors: readonly GgufEntry[], file: string): void => {
  const inOrder = tensors.filter(({ length }) => length > 0).sort((a, b) => a.offset - b.offset)
  inOrder.forEach(({ name, offset }, i) => {
    const before = inOrder[i - 1]
    if (before !== undefined && before.offset + before.length > offset)
      throw inputError(file, 'tensors that do not overlap', `${quoted(before.name)} and ${quoted(name)}`)
  })
}

// Opens GGUF files: only the header is read, in pieces that grow until they contain it.
/** Bytes that are read first, and bytes of the largest header. The vocabulary of 150,000 tokens makes 6 MB of it. */
const firstBytes = 1_000_000
const headerLimit = 64_000_000

/** @throws InputError if the file is unreadable, not GGUF, cut off, or wrong anywhere in its header */
export const readGguf = (file: string, storage: Storage = nodeFiles): Promise<GgufHeader> =>
  withFile(storage, file, async ({ size, read }) => {
    for (let length = firstBytes; ; length *= 8) {
      const bytes = await read(0, Math.min(length, headerLimit, size))
      const header = parseGgufHeader(bytes, size, file)
      if (header !== null) return header
      if (bytes.length === size) throw inputError(file, 'a whole GGUF header', `${size} bytes (the file is truncated)`)
      if (bytes.length === headerLimit) throw inputError(file, `a header of at most ${headerLimit} bytes`, 'a longer one')
    }
  })

/** The names of the files that exports in GGUF write. */

export const ggufAdapterFile = 'adapter.gguf'
export const ggufModelFiles = { model: 'model.gguf', ollama: 'Modelfile' } as const
