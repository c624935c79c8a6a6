/** The number formats of tensors in a GGUF file: their numbers in the file, and how many bytes a block of elements takes (ggml's ggml_type). */

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
