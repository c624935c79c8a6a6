/** The number formats of tensors in a GGUF file (ggml's ggml_type): their ids, how many bytes a block takes, and the numbers in it. */
import { fromBfloat16, fromFloat16 } from '../../storage/float16.js'

/** A row is stored in whole blocks: `block` elements in `bytes` bytes. */
export const tensorTypes = {
  F32: { id: 0, block: 1, bytes: 4 },
  F16: { id: 1, block: 1, bytes: 2 },
  Q4_0: { id: 2, block: 32, bytes: 18 },
  Q4_1: { id: 3, block: 32, bytes: 20 },
  Q5_0: { id: 6, block: 32, bytes: 22 },
  Q5_1: { id: 7, block: 32, bytes: 24 },
  Q8_0: { id: 8, block: 32, bytes: 34 },
  Q4_K: { id: 12, block: 256, bytes: 144 },
  Q5_K: { id: 13, block: 256, bytes: 176 },
  Q6_K: { id: 14, block: 256, bytes: 210 },
  BF16: { id: 30, block: 1, bytes: 2 },
} as const

/** The name of a number format. */
export type TensorType = keyof typeof tensorTypes

/** The bytes of this many elements, which fill whole blocks. */
export const countBytes = (type: TensorType, elements: number): number => {
  const { block, bytes } = tensorTypes[type]
  return (elements / block) * bytes
}

/** Tensor data starts at multiples of this many bytes, unless the key general.alignment says otherwise. */
export const defaultAlignment = 32

/** The numbers of value types in the list of keys (gguf_metadata_value_type). */
export const valueTypes = {
  uint8: 0,
  int8: 1,
  uint16: 2,
  int16: 3,
  uint32: 4,
  int32: 5,
  float32: 6,
  bool: 7,
  string: 8,
  array: 9,
  uint64: 10,
  int64: 11,
  float64: 12,
} as const

// The numbers of quantized tensors. Their products have at most 24 bits, so that only a sum is rounded, and to float32, as in ggml.
/** bytes: whole blocks, alone in their buffer → their numbers in order */
export const dequantize = (type: TensorType, bytes: Uint8Array<ArrayBuffer>): Float32Array => {
  if (type === 'F32') return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)
  if (type === 'F16') return fromFloat16(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2))
  if (type === 'BF16') return fromBfloat16(new Uint16Array(bytes.buffer, bytes.byteOffset, bytes.length / 2))
  const { block, bytes: size } = tensorTypes[type]
  const read = blockReaders[type]
  const numbers = new Float32Array((bytes.length / size) * block)
  for (let i = 0; i * size < bytes.length; i++) read(bytes.subarray(i * size, (i + 1) * size), numbers.subarray(i * block, (i + 1) * block))
  return numbers
}

/** Writes a block's numbers into `numbers`. */
type BlockReader = (bytes: Uint8Array, numbers: Float32Array) => void

const float16 = (bytes: Uint8Array, at: number): number =>
  fromFloat16(Uint16Array.of(byte(bytes, at) | (byte(bytes, at + 1) << 8)))[0] ?? NaN
const byte = (bytes: Uint8Array, at: number): number => bytes[at] ?? 0
const int8 = (bytes: Uint8Array, at: number): number => (byte(bytes, at) << 24) >> 24

/** Of 16 bytes: the lower halves are levels 0 to 15, the upper halves 16 to 31. */
const nibble = (bytes: Uint8Array, at: number, i: number): number => (i < 16 ? byte(bytes, at + i) & 15 : byte(bytes, at + i - 16) >> 4)

/** The nibble of level i, and its highest bit from the four bytes before the nibbles. */
const fiveBits = (bytes: Uint8Array, at: number, i: number): number =>
  nibble(bytes, at + 4, i) | (((byte(bytes, at + (i >> 3)) >> (i & 7)) & 1) << 4)

/** Of each 32 bytes: the lower halves are the levels of one part of 32, the upper halves those of the next. */
const nibbleInParts = (bytes: Uint8Array, at: number, i: number): number => {
  const both = byte(bytes, at + (i >> 6) * 32 + (i & 31))
  return (i & 32) === 0 ? both & 15 : both >> 4
}

const blockReaders: Readonly<Record<Exclude<TensorType, 'F32' | 'F16' | 'BF16'>, BlockReader>> = {
  // d · (q − 8)
  Q4_0: (bytes, numbers) => {
    const d = float16(bytes, 0)
    for (let i = 0; i < 32; i++) numbers[i] = d * (nibble(bytes, 2, i) - 8)
  },
  // d · q + m
  Q4_1: (bytes, numbers) => {
    const [d, m] = [float16(bytes, 0), float16(bytes, 2)]
    for (let i = 0; i < 32; i++) numbers[i] = d * nibble(bytes, 4, i) + m
  },
  // d · (q − 16)
  Q5_0: (bytes, numbers) => {
    const d = float16(bytes, 0)
    for (let i = 0; i < 32; i++) numbers[i] = d * (fiveBits(bytes, 2, i) - 16)
  },
  // d · q + m
  Q5_1: (bytes, numbers) => {
    const [d, m] = [float16(bytes, 0), float16(bytes, 2)]
    for (let i = 0; i < 32; i++) numbers[i] = d * fiveBits(bytes, 4, i) + m
  },
  // d · q
  Q8_0: (bytes, numbers) => {
    const d = float16(bytes, 0)
    for (let i = 0; i < 32; i++) numbers[i] = d * int8(bytes, 2 + i)
  },
  // (d · scale) · q − (dmin · min), with scale and min of each 32
  Q4_K: (bytes, numbers) => {
    for (let i = 0; i < 256; i++) numbers[i] = nibbleInParts(bytes, 16, i)
    scaleParts(bytes, numbers)
  },
  // the same; of bytes 16 to 47, each has the highest bits of eight levels, one of each part
  Q5_K: (bytes, numbers) => {
    for (let i = 0; i < 256; i++) numbers[i] = nibbleInParts(bytes, 48, i) | (((byte(bytes, 16 + (i & 31)) >> (i >> 5)) & 1) << 4)
    scaleParts(bytes, numbers)
  },
  // (d · scale) · (q − 32), with a scale of each 16
  Q6_K: (bytes, numbers) => {
    const d = float16(bytes, 208)
    for (let i = 0; i < 256; i++) {
      const [half, within] = [i >> 7, i & 127]
      const low = byte(bytes, half * 64 + (within & 63))
      const high = byte(bytes, 128 + half * 32 + (within & 31))
      const level = (within < 64 ? low & 15 : low >> 4) | (((high >> (2 * (within >> 5))) & 3) << 4)
      numbers[i] = d * int8(bytes, 192 + (i >> 4)) * (level - 32)
    }
  },
}

/** Turns the levels of a block of Q4_K or Q5_K into its numbers. */
const scaleParts = (bytes: Uint8Array, numbers: Float32Array): void => {
  const [d, dmin] = [float16(bytes, 0), float16(bytes, 2)]
  for (let part = 0; part < 8; part++) {
    const [scale, min] = scaleAndMin(bytes, 4, part)
    const [step, least] = [d * scale, dmin * min]
    for (let i = part * 32; i < (part + 1) * 32; i++) numbers[i] = step * (numbers[i] ?? NaN) - least
  }
}

/** Six bits each. Parts 0 to 3 have them in the lower bits of two bytes. Parts 4 to 7 have four bits, and the upper bits of two other bytes. */
const scaleAndMin = (bytes: Uint8Array, at: number, part: number): readonly [scale: number, min: number] => {
  const lower = byte(bytes, at + part)
  if (part < 4) return [lower & 63, byte(bytes, at + 4 + part) & 63]
  const packed = byte(bytes, at + 4 + part)
  return [(packed & 15) | ((byte(bytes, at + part - 4) >> 6) << 4), (packed >> 4) | ((lower >> 6) << 4)]
}
