/** Half-precision numbers: binary16 and bfloat16 patterns and their values. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { fromBfloat16, fromFloat16, toFloat16 } from '../../../accelerated/storage/float16.js'
import { SEED } from '../../support/seed.js'

const bitsOf = (x: number): number => toFloat16(Float64Array.of(x))[0]!
const halfOf = (bits: number): number => fromFloat16(Uint16Array.of(bits))[0]!

describe(`half-precision numbers (seed ${SEED})`, () => {
  it('every binary16 pattern is (−1)^s · 2^(e−15) · (1 + m/1024), subnormal for e = 0, ±∞ or NaN for e = 31, and converts back', () => {
    const patterns = Uint16Array.from({ length: 0x10000 }, (_, bits) => bits)
    const values = fromFloat16(patterns)
    const back = toFloat16(values)
    for (const bits of patterns) {
      const [sign, e, m] = [bits & 0x8000 ? -1 : 1, (bits >> 10) & 0x1f, bits & 0x3ff]
      const [normal, infinite] = [2 ** (e - 15) * (1 + m / 1024), m === 0 ? Infinity : NaN]
      const expected = sign * (e === 31 ? infinite : e === 0 ? (m / 1024) * 2 ** -14 : normal)
      if (!Object.is(values[bits], expected)) expect([bits, values[bits]]).toEqual([bits, expected])
      if (!Number.isNaN(expected) && back[bits] !== bits) expect([bits, back[bits]]).toEqual([bits, bits])
    }
  })

  it('no other binary16 number is nearer to x, and ties go to the even one', () => {
    // neighbors by bit pattern are neighbors in value, so comparing with them is comparing with all
    fc.assert(
      fc.property(fc.double({ noNaN: true, min: -65519, max: 65519 }), (x) => {
        const bits = bitsOf(x)
        const error = Math.abs(halfOf(bits) - x)
        const size = bits & 0x7fff
        for (const other of [size - 1, size + 1]) {
          if (other < 0 || other > 0x7bff) continue
          const otherError = Math.abs(halfOf((bits & 0x8000) | other) - x)
          expect(error).toBeLessThanOrEqual(otherError)
          if (error === otherError) expect(bits & 1).toBe(0)
        }
      }),
      { seed: SEED, numRuns: 2000 },
    )
  })

  it('float32 numbers have the patterns of the same numbers in float64: at each pattern, halfway to the next one, and beside both', () => {
    const values = fromFloat16(Uint16Array.from({ length: 0x7c00 }, (_, bits) => bits))
    const halves = values.map((value, i) => (value + (values[i + 1] ?? 65536)) / 2)
    const positive = [values, halves, Float32Array.of(2 ** -126, 2 ** -149, 65519.996, 65520, 1e38)]
    const beside = (numbers: Float32Array, by: number): Float32Array =>
      new Float32Array(new Int32Array(numbers.buffer.slice(0)).map((bits) => Math.max(0, bits + by)).buffer)
    const all = positive.flatMap((numbers) => [numbers, beside(numbers, 1), beside(numbers, -1)])
    for (const numbers of [Float32Array.of(Infinity, NaN, 0), ...all, ...all.map((some) => some.map((x) => -x))])
      expect(toFloat16(numbers)).toEqual(toFloat16(Float64Array.from(numbers)))
  })

  it('the numbers of the standard have their published patterns', () => {
    const published: readonly (readonly [number, number])[] = [
      [1, 0x3c00],
      [-2, 0xc000],
      [65504, 0x7bff],
      [2 ** -14, 0x0400],
      [2 ** -24, 0x0001],
      [1 / 3, 0x3555],
      [Infinity, 0x7c00],
      [-0, 0x8000],
      [65519.99, 0x7bff],
      [65520, 0x7c00],
      [2 ** -25, 0x0000],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [1 + 2 ** -11 + 2 ** -40, 0x3c01], // by way of float32 it were a tie
    ]
    for (const [value, bits] of published) expect([value, bitsOf(value)]).toEqual([value, bits])
    expect(bitsOf(NaN)).toBe(0x7e00)
  })

  it('a bfloat16 pattern is the upper half of the float32 of the same value', () => {
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff }), (bits) => {
        const [value = NaN] = fromBfloat16(Uint16Array.of(bits))
        if (Number.isNaN(value)) return
        const [word = 0] = new Uint32Array(Float32Array.of(value).buffer)
        expect(word).toBe((bits << 16) >>> 0)
      }),
      { seed: SEED, numRuns: 500 },
    )
  })
})
