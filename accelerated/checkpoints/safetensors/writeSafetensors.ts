/** Writes safetensors files, byte for byte as the original library lays them out. */
import { toFloat16 } from './float16.js'
import { bytesOf, elementCount, type StoredType } from './safetensorsHeader.js'

/** A tensor to write: row-major numbers of `shape`; as F32 for a Float32Array and F64 for a Float64Array unless `dtype` says otherwise. */
export type WritableTensor = {
  readonly shape: ReadonlyArray<number>
  readonly data: Float32Array | Float64Array
  readonly dtype?: 'F64' | 'F32' | 'F16'
}

export type WrittenType = NonNullable<WritableTensor['dtype']>
export type Declaration = { readonly name: string; readonly dtype: StoredType; readonly shape: ReadonlyArray<number> }

/**
 * The bytes before the data of tensors with these types and shapes, and the order in which their data must follow:
 * wider types first, then by name, so that every tensor is aligned; the header is padded with spaces to a multiple of 8 bytes.
 */
export const layOut = (
  declared: ReadonlyArray<Declaration>,
  metadata: Readonly<Record<string, string>> = {},
): { readonly header: Uint8Array; readonly order: ReadonlyArray<string> } => {
  const inOrder = [...declared].sort((a, b) => bytesOf[b.dtype] - bytesOf[a.dtype] || compareCodePoints(a.name, b.name))
  return { header: headerOf(inOrder, metadata), order: inOrder.map(({ name }) => name) }
}

/** The bytes before the data of tensors that follow in this order. */
export const headerOf = (inOrder: ReadonlyArray<Declaration>, metadata: Readonly<Record<string, string>> = {}): Uint8Array => {
  const [entries] = inOrder.reduce<readonly [ReadonlyArray<readonly [string, unknown]>, number]>(
    ([done, begin], { name, dtype, shape }) => {
      const end = begin + elementCount(shape) * bytesOf[dtype]
      return [[...done, [name, { dtype, shape, data_offsets: [begin, end] }]], end]
    },
    [[], 0],
  )
  const all = Object.keys(metadata).length === 0 ? entries : [['__metadata__', metadata] as const, ...entries]
  // written pair by pair: an object would move names that look like integers to the front
  const json = Buffer.from(`{${all.map(([name, value]) => `${JSON.stringify(name)}:${JSON.stringify(value)}`).join(',')}}`)
  const header = Buffer.alloc(8 + Math.ceil(json.length / 8) * 8, ' ')
  header.writeBigUInt64LE(BigInt(header.length - 8), 0)
  json.copy(header, 8)
  return header
}

/** The file piece by piece, so that a large one is never in memory twice. Throws if a tensor's data does not fill its shape, or takes the name of the metadata. */
export const safetensorsPieces = (
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

/** The whole file. Throws as safetensorsPieces does. */
export const writeSafetensors = (
  tensors: ReadonlyMap<string, WritableTensor>,
  metadata: Readonly<Record<string, string>> = {},
): Uint8Array => Buffer.concat([...safetensorsPieces(tensors, metadata)])

const declare = (name: string, tensor: WritableTensor): Declaration => {
  if (name === '__metadata__') throw new Error('writeSafetensors: expected another name than __metadata__')
  if (elementCount(tensor.shape) !== tensor.data.length) {
    throw new Error(
      `writeSafetensors: ${name}: expected ${elementCount(tensor.shape)} numbers for [${tensor.shape.join(',')}], got ${tensor.data.length}`,
    )
  }
  return { name, dtype: typeOf(tensor), shape: tensor.shape }
}

const typeOf = ({ data, dtype }: WritableTensor): WrittenType => dtype ?? (data instanceof Float64Array ? 'F64' : 'F32')

/** A tensor's data as they stand in the file, each number rounded once; the very bytes where they stand so in memory. */
export const encode = (tensor: WritableTensor): Uint8Array => {
  const { data } = tensor
  const type = typeOf(tensor)
  if (type === typeOf({ shape: [], data })) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const typed = { F64: () => Float64Array.from(data), F32: () => Float32Array.from(data), F16: () => toFloat16(data) }[type]()
  return new Uint8Array(typed.buffer)
}

/** The order of UTF-8 bytes, which is that of code points (JavaScript's own compares UTF-16 units). */
const compareCodePoints = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))
