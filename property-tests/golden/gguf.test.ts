/** Quantized numbers in GGUF are to the last bit those of the gguf package, in both directions. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { dequantize, tensorTypes, type TensorType } from '../../accelerated/checkpoints/gguf/ggufTypes.js'
import { quantizeQ80 } from '../../accelerated/formats/gguf/exportGguf.js'
import { fixtures } from './golden.js'

type Pair = { readonly numbers: string; readonly bytes: string }
const { quantized, dequantized } = JSON.parse(readFileSync(join(fixtures, 'gguf.json'), 'utf8')) as {
  readonly quantized: Pair
  readonly dequantized: Readonly<Record<TensorType, Pair & { readonly id: number }>>
}
const bytesOf = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(Buffer.from(text, 'base64'))
const numbersOf = (text: string): Float32Array => new Float32Array(bytesOf(text).buffer)

describe('numbers in GGUF', () => {
  it('are read from each type but float32', () => {
    expect(Object.keys(dequantized).sort()).toEqual(
      Object.keys(tensorTypes)
        .filter((type) => type !== 'F32')
        .sort(),
    )
  })

  it('are quantized to the bytes of Q8_0, with halves away from zero, zeros, and scales below the smallest float16', () => {
    expect(numbersOf(quantized.numbers).length).toBeGreaterThan(800)
    expect(quantizeQ80(numbersOf(quantized.numbers))).toEqual(bytesOf(quantized.bytes))
  })

  it.each(Object.keys(dequantized) as readonly TensorType[])('are read from %s', (type) => {
    const { id, bytes, numbers } = dequantized[type]
    expect(tensorTypes[type].id).toBe(id)
    const read = dequantize(type, bytesOf(bytes))
    expect(read.length).toBeGreaterThan(5)
    expect(read).toEqual(numbersOf(numbers))
  })
})
