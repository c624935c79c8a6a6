/**
 * Fields of protobuf messages, by protobufjs' writer. Its schemas would make their encoders with eval, which a page may forbid. 0, '' and no bytes are the
 * defaults, which need no field.
 */
import protobuf from 'protobufjs/minimal.js'

export type FieldWriter = {
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

/** The bytes of a message whose fields `write` writes, in their order. */
export const protobufBytes = (write: (writer: FieldWriter) => void): Uint8Array => {
  const writer = protobuf.Writer.create()
  const key = (field: number, type: number): protobuf.Writer => writer.uint32((field << 3) | type)
  const message = (field: number, fields: () => void): void => {
    key(field, wireType.length).fork()
    fields()
    writer.ldelim()
  }
  const textField = (field: number, value: string): void => void key(field, wireType.length).string(value)
  write({
    integer: (field, value) => {
      if (value !== 0) key(field, wireType.varint).int64(value)
    },
    integers: (field, values) => {
      if (values.length > 0) message(field, () => values.forEach((value) => writer.int64(value)))
    },
    float: (field, value) => {
      if (value !== 0) key(field, wireType.fixed32).float(value)
    },
    text: (field, value) => {
      if (value !== '') textField(field, value)
    },
    texts: (field, values) => values.forEach((value) => textField(field, value)),
    bytes: (field, value) => {
      if (value.length > 0) key(field, wireType.length).bytes(value)
    },
    message,
    messages: (field, items, each) => items.forEach((item) => message(field, () => each(item))),
  })
  return writer.finish()
}
