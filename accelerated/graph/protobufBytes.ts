/**
 * Protobuf's wire format, written from the end: the length of a message comes before it, and is known once the message is written. Fields come in the
 * order in which they are written, from the last to the first.
 */

/** What writes the fields of the message that is being written. The lists keep their order. 0, '' and no bytes are the defaults, which need no field. */
export type ProtobufWriter = {
  /** a whole number below 2⁵³ in size */
  readonly integer: (field: number, value: number) => void
  /** all in one field; nothing for an empty list */
  readonly integers: (field: number, values: ReadonlyArray<number>) => void
  /** float32 */
  readonly float: (field: number, value: number) => void
  readonly text: (field: number, value: string) => void
  readonly texts: (field: number, values: ReadonlyArray<string>) => void
  readonly bytes: (field: number, value: Uint8Array) => void
  readonly message: (field: number, write: () => void) => void
  readonly messages: <T>(field: number, items: ReadonlyArray<T>, write: (item: T) => void) => void
}

const wireType = { varint: 0, length: 2, fixed32: 5 } as const
const encoder = new TextEncoder()
const firstSize = 1 << 16
const oneFloat = new Float32Array(1)
const bytesOfFloat = new Uint8Array(oneFloat.buffer)

/** The bytes of a message whose fields `write` writes, the last one first. */
export const protobufBytes = (write: (writer: ProtobufWriter) => void): Uint8Array => {
  const { written, varint, bytes, text, float32, all } = backwardBytes()
  const key = (field: number, type: number): void => varint((field << 3) | type)
  const withLength = (field: number, length: number): void => {
    varint(length)
    key(field, wireType.length)
  }
  const integer = (field: number, value: number): void => {
    if (value === 0) return
    varint(value)
    key(field, wireType.varint)
  }
  const textField = (field: number, value: string): void => withLength(field, text(value))
  const message = (field: number, fields: () => void): void => {
    const after = written()
    fields()
    withLength(field, written() - after)
  }
  write({
    integer,
    integers: (field, values) => {
      if (values.length > 0) message(field, () => backwards(values, varint))
    },
    float: (field, value) => {
      if (value === 0) return
      float32(value)
      key(field, wireType.fixed32)
    },
    text: (field, value) => {
      if (value !== '') textField(field, value)
    },
    texts: (field, values) => backwards(values, (value) => textField(field, value)),
    bytes: (field, value) => {
      if (value.length > 0) withLength(field, bytes(value))
    },
    message,
    messages: (field, items, each) => backwards(items, (item) => message(field, () => each(item))),
  })
  return all()
}

const backwards = <T>(items: ReadonlyArray<T>, each: (item: T) => void): void => {
  for (let i = items.length - 1; i >= 0; i--) each(items[i] as T)
}

/** Bytes that grow towards their beginning. `bytes` and `text` return how many they wrote. */
const backwardBytes = () => {
  let buffer = new Uint8Array(firstSize)
  let start = firstSize
  /** Makes room for this many bytes before the written ones, and begins there. */
  const begin = (count: number): void => {
    if (start < count) {
      const larger = new Uint8Array(2 * (buffer.length + count))
      start += larger.length - buffer.length
      larger.set(buffer.subarray(start - larger.length + buffer.length), start)
      buffer = larger
    }
    start -= count
  }
  const bytes = (value: Uint8Array): number => {
    begin(value.length)
    buffer.set(value, start)
    return value.length
  }
  return {
    written: (): number => buffer.length - start,
    all: (): Uint8Array => buffer.slice(start),
    bytes,
    text: (value: string): number => {
      begin(value.length)
      for (let i = 0; i < value.length; i++) {
        const code = value.charCodeAt(i)
        if (code >= 0x80) {
          start += value.length
          return bytes(encoder.encode(value))
        }
        buffer[start + i] = code
      }
      return value.length
    },
    float32: (value: number): void => {
      oneFloat[0] = value
      bytes(bytesOfFloat)
    },
    /** Groups of seven bits, the lowest first. A negative number has ten: those of its two's complement in 64 bits. */
    varint: (value: number): void => {
      if (value >= 0 && value < 0x80) {
        begin(1)
        buffer[start] = value
        return
      }
      let low = value >>> 0
      let high = Math.floor(value / 0x100000000) >>> 0
      let length = value < 0 ? 10 : 1
      for (let rest = value; rest >= 0x80; rest /= 0x80) length += 1
      begin(length)
      const last = start + length - 1
      for (let at = start; at <= last; at++) {
        buffer[at] = (low & 0x7f) | (at < last ? 0x80 : 0)
        low = ((low >>> 7) | (high << 25)) >>> 0
        high >>>= 7
      }
    },
  }
}
