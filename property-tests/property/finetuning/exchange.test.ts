/** Gradients as bytes: float32 is exact, float16 has a bound, and a frame from anyone is validated. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { encodedLength, encodeVector, decodeVector, traveled } from '../../../finetuning/machines/exchange.js'
import { fromFrame, newSigner, partHeader, stepHeader, toFrame } from '../../../finetuning/machines/frame.js'

/** Below float32's largest numbers, which may round to infinity. */
const float32s = fc.float32Array({ minLength: 0, maxLength: 2_500, min: Math.fround(-1e38), max: Math.fround(1e38), noNaN: true })

describe('the bytes of a gradient', () => {
  it('are its own in float32 and float64', () => {
    fc.assert(
      fc.property(float32s, (numbers) => {
        expect(decodeVector(encodeVector(numbers, 'float32'), numbers.length, 'float32', 'float32')).toEqual(numbers)
        const doubles = Float64Array.from(numbers, (x) => x / 3)
        expect(decodeVector(encodeVector(doubles, 'float32'), doubles.length, 'float64', 'float32')).toEqual(doubles)
      }),
    )
  })

  it('in float16 are half as many, and each number is within 2⁻¹¹ of itself, or 2⁻³⁹ of the largest near it', () => {
    fc.assert(
      fc.property(float32s, (numbers) => {
        expect(encodeVector(numbers, 'float16').length).toBe(encodedLength(numbers.length, 'float32', 'float16'))
        const back = traveled(numbers, 'float32', 'float16')
        for (let start = 0; start < numbers.length; start += 1_024) {
          const chunk = numbers.subarray(start, start + 1_024)
          const most = chunk.reduce((m, x) => Math.max(m, Math.abs(x)), 0)
          chunk.forEach((x, i) => {
            const bound = Math.max(Math.abs(x) * 2 ** -11, most * 2 ** -39, 2 ** -149)
            expect(Math.abs((back[start + i] ?? NaN) - x)).toBeLessThanOrEqual(bound)
          })
        }
      }),
    )
  })

  it('in float16 stay the same when they travel twice, so a part has one rounding on any machine', () => {
    fc.assert(
      fc.property(float32s, (numbers) => {
        const once = traveled(numbers, 'float32', 'float16')
        expect(traveled(once, 'float32', 'float16')).toEqual(once)
      }),
    )
  })

  it("in float16 stay finite just below the end of float16's range", () => {
    for (const x of [65_519, 65_520, 65_535]) expect(traveled(Float32Array.of(x), 'float32', 'float16')[0]).toBeCloseTo(x, -2)
  })

  it('of another number are refused, and numbers that are not finite stay so', () => {
    for (const exchange of ['float32', 'float16'] as const) {
      const numbers = Float32Array.of(1, NaN, -Infinity, 2)
      const bytes = encodeVector(numbers, exchange)
      expect(decodeVector(bytes.subarray(1), 4, 'float32', exchange)).toBeNull()
      expect(decodeVector(bytes, 5, 'float32', exchange)).toBeNull()
      expect(Array.from(traveled(numbers, 'float32', exchange), Number.isFinite)).toEqual([true, false, false, true])
    }
  })
})

describe('a frame', () => {
  const signer = newSigner()
  const formOf = <T>(schema: z.ZodType<T>) => ({ schema, findKey: () => signer.key, where: 'here', what: 'a frame' })

  it('carries a header and bytes', () => {
    fc.assert(
      fc.property(fc.json(), fc.uint8Array(), (json, body) => {
        const header = { json }
        const read = fromFrame(toFrame(header, body, signer), formOf(z.unknown()))
        expect(read.header).toEqual(header)
        expect([...read.body]).toEqual([...body])
      }),
      { numRuns: 50 },
    )
  })

  it('of any bytes is read or refused in one line', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), fc.boolean(), (bytes, isStep) => {
        expect(() => fromFrame(Buffer.from(bytes), formOf<unknown>(isStep ? stepHeader : partHeader))).toThrow(
          /^here: expected .*, got .*$/,
        )
      }),
    )
  })

  it('names what is wrong in its header, and is of one signer', () => {
    const header = { run: 'r', token: '1', part: 0, key: 'k', worker: 'w', tokens: -1, seconds: 1, results: {} }
    expect(() => fromFrame(toFrame(header, new Uint8Array(0), signer), formOf(partHeader))).toThrow(
      /^here: expected a frame whose tokens is .* at least 0, got -1$/,
    )
    for (const key of [newSigner().key, 'no key', ''])
      expect(() => fromFrame(toFrame({}, new Uint8Array(1), signer), { ...formOf(z.unknown()), findKey: () => key })).toThrow(
        'here: expected a frame as its sender signed it, got an altered one',
      )
  })
})
