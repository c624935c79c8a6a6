/** The weights of an ONNX export: where each is in the file, and the numbers that it holds. */
import { describe, expect, it } from 'vitest'
import { onnxPrecisions, placed, storedWeight, type ExportLevels, type OnnxPrecision } from '../../../accelerated/formats/onnxWeights.js'

const numbers = Float32Array.from({ length: 12 }, (_, i) => (i - 5) / 4)
const tensor = (shape: readonly number[]) => ({
  shape,
  read: async () =>
    numbers.subarray(
      0,
      shape.reduce((a, b) => a * b, 1),
    ),
})

const signed: ExportLevels = { type: 'int8', isMultiplied: (name) => name === 'other' }

describe.each([
  ...(Object.keys(onnxPrecisions) as OnnxPrecision[]).map((precision) => [precision, signed] as const),
  ['int8', { type: 'uint8' }] as const,
])('weights in %s (%o)', (precision, levels) => {
  const parts = new Map(
    [['matrix', tensor([3, 4])] as const, ['bias', tensor([3])] as const, ['other', tensor([2, 2])] as const].flatMap(([name, one]) => [
      ...storedWeight(name, one, precision, 'model.onnx', levels).parts,
    ]),
  )
  it('are one after another in the file, each with the bytes of its shape and type', async () => {
    const at = placed(parts, 'model.onnx_data')
    let end = 0
    for (const [name, { bytes, shape, dtype }] of parts) {
      const { attributes, ...expression } = at(name)
      expect([expression.shape, expression.dtype]).toEqual([shape, dtype])
      expect(attributes.external).toEqual({ location: 'model.onnx_data', offset: end, length: (await bytes()).length })
      end += (await bytes()).length
    }
    expect(end).toBe({ float32: 4 * 19, float16: 2 * 19, int8: 12 + 4 + 4 * 3 + 4 * 3 + 4 * 2 }[precision])
    expect(() => at('absent')).toThrow('expected a tensor of the export, got absent')
  })

  it('hold the numbers, to the rounding of their type', async () => {
    const bytes = await parts.get('matrix')?.bytes()
    const { buffer = new ArrayBuffer(0), byteOffset = 0 } = bytes ?? {}
    if (precision === 'float32') expect([...new Float32Array(buffer, byteOffset, 12)]).toEqual([...numbers])
    if (precision !== 'int8') return
    const scaleBytes = (await parts.get('matrix.scale')?.bytes()) ?? new Uint8Array()
    const scales = new Float32Array(scaleBytes.buffer, scaleBytes.byteOffset, 3)
    const stored = levels.type === 'int8' ? new Int8Array(buffer, byteOffset, 12) : new Uint8Array(buffer, byteOffset, 12)
    stored.forEach((level, i) => {
      const scale = scales[Math.floor(i / 4)] ?? NaN
      const zero = levels.type === 'int8' ? 0 : 128
      expect(Math.abs((level - zero) * scale - (numbers[i] ?? NaN))).toBeLessThanOrEqual(scale / 2 + 1e-7)
    })
  })
})

it('an encoder has levels whose products do not saturate in 16 bits, if they are multiplied', async () => {
  const largest = async (name: string): Promise<number> => {
    const { parts } = storedWeight(name, tensor([3, 4]), 'int8', 'model.onnx', signed)
    const bytes = (await parts.get(name)?.bytes()) ?? new Uint8Array()
    return Math.max(...new Int8Array(bytes.buffer, bytes.byteOffset, 12).map(Math.abs))
  }
  expect([await largest('other'), await largest('matrix')]).toEqual([63, 127])
  expect(2 * 255 * 63).toBeLessThan(2 ** 15)
})
