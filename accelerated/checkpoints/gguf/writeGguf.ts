/** Writes GGUF files, version 3: a header of keys and tensors, then the tensors' data in the header's order, each aligned. */
import type { WrittenKeys, WrittenValue } from '../../models/gguf.js'
import { concatenate } from '../../storage/storage.js'
import { elementCount } from '../safetensors/safetensorsHeader.js'
import { countBytes, defaultAlignment, tensorTypes, valueTypes, type TensorType } from './ggufTypes.js'

/** A tensor to write. Its bytes are computed when they are written. shape: row-major, as elsewhere; the file has the sizes reversed. */
export type WrittenTensor = {
  readonly name: string
  readonly shape: readonly number[]
  readonly type: TensorType
  readonly bytes: () => Promise<Uint8Array>
}

/** Bytes of a name: ggml stores it in 64 bytes, with a zero at the end. */
const longestName = 63

/** The file in chunks, so that a large one is never in memory as a whole. @throws Error for a name, a shape or bytes that the format cannot hold */
export async function* ggufChunks(keys: WrittenKeys, tensors: readonly WrittenTensor[]): AsyncGenerator<Uint8Array> {
  yield ggufHeader(keys, tensors)
  for (const { name, shape, type, bytes } of tensors) {
    const data = await bytes()
    const expected = countBytes(type, elementCount(shape))
    if (data.length !== expected) throw new Error(`ggufChunks: ${name}: expected ${expected} bytes, got ${data.length}`)
    yield data
    if (aligned(expected) > expected) yield new Uint8Array(aligned(expected) - expected)
  }
}

/** Everything before the data. */
export const ggufHeader = (keys: WrittenKeys, tensors: readonly Omit<WrittenTensor, 'bytes'>[]): Uint8Array => {
  let offset = 0
  const parts = [
    utf8('GGUF'),
    uint32(3),
    uint64(tensors.length),
    uint64(keys.length),
    ...keys.flatMap(([key, value]) => [text(key), ...valueParts(value)]),
    ...tensors.flatMap(({ name, shape, type }) => {
      checkTensor(name, shape, type)
      const parts = [text(name), uint32(shape.length), ...shape.toReversed().map(uint64), uint32(tensorTypes[type].id), uint64(offset)]
      offset += aligned(countBytes(type, elementCount(shape)))
      return parts
    }),
  ]
  const header = concatenate(parts)
  return concatenate([header, new Uint8Array(aligned(header.length) - header.length)])
}

const checkTensor = (name: string, shape: readonly number[], type: TensorType): void => {
  const bytes = utf8(name).length
  if (bytes > longestName) throw new Error(`ggufHeader: ${name}: expected a name of at most ${longestName} bytes, got ${bytes}`)
  const row = shape.at(-1) ?? 1
  if (row % tensorTypes[type].block !== 0)
    throw new Error(`ggufHeader: ${name}: expected rows of whole blocks of ${tensorTypes[type].block}, got ${row} numbers`)
}

const aligned = (bytes: number): number => Math.ceil(bytes / defaultAlignment) * defaultAlignment

const valueParts = (value: WrittenValue): readonly Uint8Array[] => {
  switch (value.type) {
    case 'string':
      return [uint32(valueTypes.string), text(value.value)]
    case 'uint32':
      return [uint32(valueTypes.uint32), uint32(value.value)]
    case 'float32':
      return [uint32(valueTypes.float32), littleEndian(Float32Array.of(value.value))]
    case 'bool':
      return [uint32(valueTypes.bool), Uint8Array.of(value.value ? 1 : 0)]
    case 'strings':
      return [...arrayStart(valueTypes.string, value.value), ...value.value.map(text)]
    case 'int32s':
      return [...arrayStart(valueTypes.int32, value.value), littleEndian(Int32Array.from(value.value))]
    case 'float32s':
      return [...arrayStart(valueTypes.float32, value.value), littleEndian(Float32Array.from(value.value))]
  }
}

const arrayStart = (type: number, { length }: readonly unknown[]): readonly Uint8Array[] => [
  uint32(valueTypes.array),
  uint32(type),
  uint64(length),
]

const utf8 = (value: string): Uint8Array => new TextEncoder().encode(value)

const text = (value: string): Uint8Array => {
  const bytes = utf8(value)
  return concatenate([uint64(bytes.length), bytes])
}

/** Typed arrays have the machine's order of bytes, which is little-endian wherever ONNX Runtime runs. */
const littleEndian = ({ buffer }: Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>): Uint8Array =>
  new Uint8Array(buffer)

const uint32 = (value: number): Uint8Array => littleEndian(Uint32Array.of(value))

const uint64 = (value: number): Uint8Array => new Uint8Array(BigUint64Array.of(BigInt(value)).buffer)
