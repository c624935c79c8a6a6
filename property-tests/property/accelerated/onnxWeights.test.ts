/** The weights of an ONNX export: where each is in the file, and the numbers that it holds. */
import { describe, expect, it } from 'vitest'
import { onnxPrecisions, placed, storedWeight, type OnnxPrecision } from '../../../accelerated/formats/onnxWeights.js'

const numbers = Float32Array.from({ length: 12 }, (_, i) => (i - 5) / 4)
const tensor = (shape: ReadonlyArray<number>) => ({
  shape,
  read: async () =>
    numbers.subarray(
      0,
      shape.reduce((a, b) => a * b, 1),
    ),
})

describe.each(Object.keys(onnxPrecisions) as OnnxPrecision[])('weights in %s', (precision) => {
  const parts = new Map(
    [['matrix', tensor([3, 4])] as const, ['bias', tensor([3])] as const, ['other', tensor([2, 2])] as const].flatMap(([name, one]) => [
      ...storedWeight(name, one, precision, 'model.onnx').parts,
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
    new Uint8Array(buffer, byteOffset, 12).forEach((level, i) => {
      const scale = scales[Math.floor(i / 4)] ?? NaN
      expect(Math.abs((level - 128) * scale - (numbers[i] ?? NaN))).toBeLessThanOrEqual(scale / 2 + 1e-7)
    })
  })
})
