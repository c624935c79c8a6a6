/** Bounds on Parquet's headers, which are in Thrift's compact protocol: a list of a few bytes can say that it has a billion elements. */

/** Nested structs and lists. Parquet's own headers have eight levels. */
const deepest = 64

const [stop, yes, no, byte, int16, int32, int64, double, binary, list, struct] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12]

/**
 * Walks a struct without building it. A reader allocates a list before it reads the elements, so no list may have more than there are bytes.
 * @param at the struct's first byte → the byte after it @throws Error if it is cut short, is nested too deep or has a list that is too long
 */
export const structEnd = (bytes: DataView, at: number, levels = deepest): number => {
  if (levels === 0) throw new Error(`expected at most ${deepest} levels of Thrift, got more`)
  let next = at
  for (;;) {
    const head = bytes.getUint8(next++)
    if ((head & 15) === stop) return next
    if (head >> 4 === 0) next = varintAt(bytes, next).end
    next = elementEnd(bytes, next, head & 15, levels)
  }
}

const elementEnd = (bytes: DataView, at: number, type: number, levels: number): number => {
  if (type === yes || type === no) return at // a field of this type has no bytes besides
  if (type === byte) return at + 1
  if (type === int16 || type === int32 || type === int64) return varintAt(bytes, at).end
  if (type === double) return at + 8
  if (type === struct) return structEnd(bytes, at, levels - 1)
  if (type === list) return listEnd(bytes, at, levels - 1)
  if (type !== binary) throw new Error(`expected a type of Thrift that Parquet has, got ${type}`)
  const { value: length, end } = varintAt(bytes, at)
  return within(bytes, end, length, 'bytes')
}

const listEnd = (bytes: DataView, at: number, levels: number): number => {
  if (levels === 0) throw new Error(`expected at most ${deepest} levels of Thrift, got more`)
  const head = bytes.getUint8(at)
  const long = head >> 4 === 15
  const { value: count, end } = long ? varintAt(bytes, at + 1) : { value: head >> 4, end: at + 1 }
  within(bytes, end, count, 'elements')
  const type = (head & 15) === yes || (head & 15) === no ? byte : head & 15
  let next = end
  for (let i = 0; i < count; i++) next = elementEnd(bytes, next, type, levels)
  return next
}

/** Each element has a byte at least. */
const within = (bytes: DataView, at: number, count: number, what: string): number => {
  if (count > bytes.byteLength - at) throw new Error(`expected at most ${bytes.byteLength - at} ${what}, got ${count}`)
  return at + count
}

const varintAt = (bytes: DataView, at: number): { readonly value: number; readonly end: number } => {
  let value = 0
  for (let [end, scale] = [at, 1]; ; scale *= 128) {
    const part = bytes.getUint8(end++)
    value += (part & 127) * scale
    if (part < 128) return { value, end }
  }
}
