/** The header of a safetensors file, parsed from its JSON text: every byte of the data belongs to exactly one tensor. */
import { showShape } from '../../graph/expression.js'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { parseJson } from '../../storage/json.js'
import { inputError, quoted } from '../../errors/inputError.js'

/** Bytes of one element. Types smaller than a byte are not supported. */
export const bytesPerElement = {
  F64: 8,
  F32: 4,
  F16: 2,
  BF16: 2,
  F8_E4M3: 1,
  F8_E5M2: 1,
  I64: 8,
  I32: 4,
  I16: 2,
  I8: 1,
  U64: 8,
  U32: 4,
  U16: 2,
  U8: 1,
  BOOL: 1,
} as const

/** The name of an element type in a header. */
export type StoredType = keyof typeof bytesPerElement

/** Where the data of one tensor is: `length` bytes from byte `offset` of `file`, row-major, little-endian. */
export type HeaderEntry = {
  readonly name: string
  readonly dtype: StoredType
  readonly shape: readonly number[]
  /** from the first byte of the file */
  readonly offset: number
  readonly length: number
  readonly file: string
}

type SafetensorsHeader = {
  readonly metadata: Readonly<Record<string, string>>
  readonly tensors: ReadonlyMap<string, HeaderEntry>
}

/** The product of the dimensions; 1 for a scalar. */
export const elementCount = (shape: readonly number[]): number => shape.reduce((count, side) => count * side, 1)

const metadataSchema = z.record(z.string(), z.string())
const natural = z.int().min(0)
const entrySchema = z.strictObject({
  dtype: z.enum(Object.keys(bytesPerElement) as readonly StoredType[]),
  shape: z.array(natural),
  data_offsets: z.tuple([natural, natural]),
})

/**
 * Parses the JSON of a header. `dataStart` is the file offset of the data, `dataLength` its number of bytes.
 * @throws InputError unless it is strict JSON with string metadata, known types, and ranges that cover the data without gap or overlap
 */
export const parseHeader = (text: string, file: string, dataStart: number, dataLength: number): SafetensorsHeader => {
  const json = parseObject(text, file)
  const metadata = validate(metadataSchema.optional(), json.get('__metadata__'), file, '__metadata__') ?? {}
  const entries = [...json].filter(([name]) => name !== '__metadata__').map(([name, value]) => parseEntry(name, value, file, dataStart))
  checkCover(entries, file, dataStart, dataLength)
  return { metadata, tensors: new Map(entries.map((entry) => [entry.name, entry])) }
}

const parseObject = (text: string, file: string): ReadonlyMap<string, unknown> => {
  if (!text.startsWith('{')) throw inputError(file, 'a header that starts with {', quoted(text, 20))
  return new Map(Object.entries(Object(parseJson(text, file))))
}

const parseEntry = (name: string, value: unknown, file: string, dataStart: number): HeaderEntry => {
  const { dtype, shape, data_offsets: offsets } = validate(entrySchema, value, file, `tensor ${quoted(name)}`)
  const [begin, end] = offsets
  const length = elementCount(shape) * bytesPerElement[dtype]
  if (!Number.isSafeInteger(length)) throw inputError(file, `tensor ${quoted(name)} of fewer than 2^53 bytes`, `shape ${showShape(shape)}`)
  if (begin > end || end - begin !== length) {
    throw inputError(file, `${length} bytes for tensor ${quoted(name)} (${dtype} ${showShape(shape)})`, `data_offsets [${begin},${end}]`)
  }
  return { name, dtype, shape, offset: dataStart + begin, length, file }
}

/** By offset, each tensor begins where the previous one ends, and the last one ends with the file. */
const checkCover = (entries: readonly HeaderEntry[], file: string, dataStart: number, dataLength: number): void => {
  const inOrder = [...entries].sort((a, b) => a.offset - b.offset || a.length - b.length)
  const end = inOrder.reduce((covered, { name, offset, length }) => {
    if (offset !== covered) {
      const fault = offset < covered ? 'it overlaps the previous one' : 'a gap before it'
      throw inputError(file, `tensor ${quoted(name)} at byte ${covered - dataStart} of the data`, `byte ${offset - dataStart} (${fault})`)
    }
    return covered + length
  }, dataStart)
  if (end - dataStart !== dataLength) {
    const fault = end - dataStart > dataLength ? 'the file is truncated' : 'bytes of no tensor'
    throw inputError(file, `${end - dataStart} bytes of data after the header`, `${dataLength} (${fault})`)
  }
}
