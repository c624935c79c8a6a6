/** The weights of an ONNX export: in float32, in float16, or matrices in int8 with one scale per row. The graph multiplies the layers' in int8. */
import { elementCount } from '../checkpoints/safetensors/safetensorsHeader.js'
import { encode } from '../checkpoints/safetensors/writeSafetensors.js'
import type { DType, Expression, ExternalData } from '../graph/expression.js'
import { cast, weight } from '../graph/operators.js'
import { dequantize, transposedView } from '../graph/quantizedOperators.js'
import { largestLevel, portableLevel, rowLevels, rowScales, unsignedLevels } from '../precisions/int8/quantize.js'
import { checkFloat16, type MergedTensor } from './mergedWeights.js'

/** Their names in @huggingface/transformers, and the suffixes of its model files. */
export const onnxPrecisions = {
  float32: { dtype: 'fp32', suffix: '' },
  float16: { dtype: 'fp16', suffix: '_fp16' },
  int8: { dtype: 'q8', suffix: '_quantized' },
} as const
export type OnnxPrecision = keyof typeof onnxPrecisions

/** A tensor of the file. Its bytes, little-endian and row-major, are computed when they are written. */
export type StoredTensor = { readonly shape: readonly number[]; readonly dtype: DType; readonly bytes: () => Promise<Uint8Array> }

/** The parts of one tensor in the file, by name, and its float32 value in terms of these parts. */
type StoredWeight = {
  readonly parts: ReadonlyMap<string, StoredTensor>
  readonly value: (read: (name: string) => Expression) => Expression
}

/**
 * The levels of an export, whose products are exact on every processor, also where uint8 × int8 saturates. A decoder has eight bits in uint8: it
 * generates from single rows, for which uint8 × uint8 is as fast. An encoder multiplies many rows, which would take 2.5 times as long with VNNI, so its
 * multiplied matrices have seven bits in int8; matrices that are only read have eight.
 */
export type ExportLevels = { readonly type: 'uint8' } | { readonly type: 'int8'; readonly isMultiplied: (name: string) => boolean }

/**
 * @param file for messages. Its bytes throw an InputError for a number beyond the precision's range.
 * @param levels its `isMultiplied` is asked when bytes are computed
 */
export const storedWeight = (
  name: string,
  tensor: MergedTensor,
  precision: OnnxPrecision,
  file: string,
  levels: ExportLevels,
): StoredWeight => {
  if (precision === 'int8' && tensor.shape.length === 2) return inInt8(name, tensor, levels)
  const half = precision === 'float16'
  const bytes = async (): Promise<Uint8Array> => {
    const data = await tensor.read()
    if (half) checkFloat16(data, name, file)
    return encode({ shape: tensor.shape, data, dtype: half ? 'F16' : 'F32' })
  }
  const dtype = half ? 'float16' : 'float32'
  return { parts: new Map([[name, { shape: tensor.shape, dtype, bytes }]]), value: (read) => cast(read(name), 'float32') }
}

/** W ≈ diag(s) Q, as in the precision int8. */
const inInt8 = (name: string, { shape, read }: MergedTensor, levels: ExportLevels): StoredWeight => {
  const values = async (): Promise<Float32Array> => Float32Array.from(await read())
  const largest = (): number => (levels.type === 'int8' && levels.isMultiplied(name) ? portableLevel : largestLevel)
  const scales = (W: Float32Array): Float32Array => rowScales(W, shape, largest())
  const bytes = async (): Promise<Uint8Array> => {
    const W = await values()
    const signed = rowLevels(W, scales(W), largest())
    return levels.type === 'uint8' ? unsignedLevels(signed) : new Uint8Array(signed.buffer)
  }
  const scale = `${name}.scale`
  return {
    parts: new Map<string, StoredTensor>([
      [name, { shape, dtype: levels.type, bytes }],
      [scale, { shape: [shape[0] ?? 0], dtype: 'float32', bytes: async () => new Uint8Array(scales(await values()).buffer) }],
    ]),
    value: (stored) => dequantize({ levels: stored(name), transposed: transposedView(stored(name)), scales: stored(scale) }),
  }
}

const bytesPerElement: Readonly<Partial<Record<DType, number>>> = { float32: 4, float16: 2, uint8: 1, int8: 1 }

/** Each tensor as an initializer in the file `location`, one after another. */
export const placed = (stored: ReadonlyMap<string, StoredTensor>, location: string): ((name: string) => Expression) => {
  let offset = 0
  const initializers = new Map<string, Expression>()
  for (const [name, { shape, dtype }] of stored) {
    const length = (bytesPerElement[dtype] ?? NaN) * elementCount(shape)
    const place: ExternalData = { location, offset, length }
    initializers.set(name, weight(name, shape, dtype, place))
    offset += length
  }
  return (name) => {
    const initializer = initializers.get(name)
    if (initializer === undefined) throw new Error(`placed: expected a tensor of the export, got ${name}`)
    return initializer
  }
}
