/** Writes safetensors files, byte for byte as the original library does. */
import { concatenate } from '../../storage/storage.js'
import { showShape } from '../../graph/expression.js'
import { toFloat16 } from '../../storage/float16.js'
import { bytesPerElement, elementCount, type StoredType } from './safetensorsHeader.js'

/** A tensor to write, row-major. Without `dtype`, a Float32Array is written as F32 and a Float64Array as F64. */
export type WritableTensor = {
  readonly shape: readonly number[]
  readonly data: Float32Array | Float64Array
  readonly dtype?: 'F64' | 'F32' | 'F16'
}

type WrittenType = NonNullable<WritableTensor['dtype']>
export type Declaration = { readonly name: string; readonly dtype: StoredType; readonly shape: readonly number[] }

/**
 * The header of tensors with these types and shapes, and the order in which their data must follow. Wider types come first, then names decide, so
 * every tensor is aligned. Spaces pad the header to a multiple of 8 bytes.
 */
export const layOut = (
  declared: readonly Declaration[],
  metadata: Readonly<Record<string, string>> = {},
): { readonly header: Uint8Array; readonly order: readonly string[] } => {
  const inOrder = [...declared].sort((a, b) => bytesPerElement[b.dtype] - bytesPerElement[a.dtype] || compareCodePoints(a.name, b.name))
  return { header: encodeHeader(inOrder, metadata), order: inOrder.map(({ name }) => name) }
}

/** The header of tensors whose data follows in this order. */
export const encodeHeader = (inOrder: readonly Declaration[], metadata: Readonly<Record<string, string>> = {}): Uint8Array => {
  const [entries] = inOrder.reduce<readonly [readonly (readonly [string, unknown])[], number]>(
    ([done, begin], { name, dtype, shape }) => {
      const end = begin + elementCount(shape) * bytesPerElement[dtype]
      return [[...done, [name, { dtype, shape, data_offsets: [begin, end] }]], end]
    },
    [[], 0],
  )
  const all = Object.keys(metadata).length === 0 ? entries : [['__metadata__', metadata] as const, ...entries]
  // Pair by pair: an object would move names that look like integers to the front.
  const json = utf8(`{${all.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`)
  const header = new Uint8Array(8 + Math.ceil(json.length / 8) * 8).fill(0x20)
  new DataView(header.buffer).setBigUint64(0, BigInt(header.length - 8), true)
  header.set(json, 8)
  return header
}

/** The file in chunks, so that a large one is never in memory twice. @throws if a tensor's data does not fill its shape, or has the metadata's name */
export const safetensorsChunks = (
  tensors: ReadonlyMap<string, WritableTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Iterable<Uint8Array> => {
  const { header, order } = layOut(
    [...tensors].map(([name, tensor]) => declare(name, tensor)),
    metadata,
  )
  return {
    *[Symbol.iterator]() {
      yield header
      for (const name of order) yield encode(tensors.get(name) as WritableTensor)
    },
  }
}

/** The whole file. @throws as safetensorsChunks does */
export const writeSafetensors = (
  tensors: ReadonlyMap<string, WritableTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array => concatenate([...safetensorsChunks(tensors, metadata)])

const declare = (name: string, tensor: WritableTensor): Declaration => {
  if (name === '__metadata__') throw new Error('writeSafetensors: expected another name than __metadata__')
  if (elementCount(tensor.shape) !== tensor.data.length) {
    throw new Error(
      `writeSafetensors: ${name}: expected ${elementCount(tensor.shape)} numbers for ${showShape(tensor.shape)}, got ${tensor.data.length}`,
    )
  }
  return { name, dtype: chooseDtype(tensor), shape: tensor.shape }
}

const chooseDtype = ({ data, dtype }: WritableTensor): WrittenType => dtype ?? (data instanceof Float64Array ? 'F64' : 'F32')

/** A tensor's data as the file has them, each number rounded once. A view of the memory if nothing has to be converted. */
export const encode = (tensor: WritableTensor): Uint8Array => {
  const { data } = tensor
  const type = chooseDtype(tensor)
  if (type === chooseDtype({ shape: [], data })) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const typed = { F64: () => Float64Array.from(data), F32: () => Float32Array.from(data), F16: () => toFloat16(data) }[type]()
  return new Uint8Array(typed.buffer)
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The order of code points, which is that of UTF-8 bytes. JavaScript's own order compares UTF-16 units. */
const compareCodePoints = (a: string, b: string): number => {
  const [x, y] = [Array.from(a), Array.from(b)]
  const at = x.findIndex((character, i) => character !== y[i])
  return at < 0 ? x.length - y.length : (x[at]?.codePointAt(0) ?? 0) - (y[at]?.codePointAt(0) ?? -1)
}
