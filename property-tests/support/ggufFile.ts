/** GGUF files made by hand, also wrong ones: each field is given as the file has it. */

const utf8 = (text: string): Buffer => Buffer.from(text)
export const uint32 = (value: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}
export const uint64 = (value: number | bigint): Buffer => {
  const bytes = Buffer.alloc(8)
  bytes.writeBigUInt64LE(BigInt(value))
  return bytes
}
export const string = (text: string, length: number | bigint = utf8(text).length): Buffer => Buffer.concat([uint64(length), utf8(text)])

/** A key with the number of its type and the bytes of its value. */
export const key = (name: string, type: number, value: Uint8Array): Buffer => Buffer.concat([string(name), uint32(type), value])

/** sizes: the fastest first, as in the file */
export const tensor = (name: string, sizes: readonly (number | bigint)[], type: number, offset: number | bigint): Buffer =>
  Buffer.concat([string(name), uint32(sizes.length), ...sizes.map(uint64), uint32(type), uint64(offset)])

export type Parts = {
  readonly magic?: string
  readonly version?: number
  readonly keys?: readonly Uint8Array[]
  readonly tensors?: readonly Uint8Array[]
  readonly keyCount?: number | bigint
  readonly tensorCount?: number | bigint
  readonly alignment?: number
  readonly data?: Uint8Array
}

export const ggufFile = ({
  magic = 'GGUF',
  version = 3,
  keys = [],
  tensors = [],
  alignment = 32,
  data = Buffer.alloc(0),
  ...counts
}: Parts) => {
  const { keyCount = keys.length, tensorCount = tensors.length } = counts
  const header = Buffer.concat([utf8(magic), uint32(version), uint64(tensorCount), uint64(keyCount), ...keys, ...tensors])
  const padding = Buffer.alloc((alignment - (header.length % alignment)) % alignment)
  return Uint8Array.from(Buffer.concat([header, padding, data])) // not a Buffer, whose slices share memory
}
