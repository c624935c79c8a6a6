/** Converts half-precision numbers, IEEE 754 binary16 (F16) and bfloat16 (BF16), between bit patterns and numbers. */
import { Float16Array } from '@petamoriken/float16'

/** The nearest binary16 patterns, ties to even; 65520 and above become ∞. Float64 numbers are rounded once, not by way of float32. */
export const toFloat16 = (numbers: Float32Array | Float64Array): Uint16Array =>
  numbers instanceof Float32Array ? ofFloat32(numbers) : new Uint16Array(new Float16Array(numbers).buffer)

/** Of binary32 patterns without their sign: infinity, 65520 as the first number that rounds to it, and 2⁻¹⁴ as the smallest normal binary16. */
const [infinity32, overflow32, normal32] = [0x7f800000, 0x477ff000, 0x38800000]

/**
 * The patterns of float32 numbers, many times as fast as by the library. A normal number loses 13 bits of its mantissa, and 112 of its exponent.
 * Just below half of the lost bits and the last bit kept are added first, so that ties go to even. Adding 0.5 rounds smaller numbers to 2⁻²⁴.
 */
const ofFloat32 = (numbers: Float32Array): Uint16Array => {
  const bits = new Uint32Array(numbers.buffer, numbers.byteOffset, numbers.length)
  const patterns = new Uint16Array(numbers.length)
  const float = new Float32Array(1)
  const floatBits = new Uint32Array(float.buffer)
  for (let i = 0; i < patterns.length; i++) {
    const all = bits[i] as number
    const magnitude = all & 0x7fffffff
    let pattern: number
    if (magnitude >= overflow32) pattern = magnitude > infinity32 ? 0x7e00 : 0x7c00
    else if (magnitude >= normal32) pattern = (magnitude - (112 << 23) + 0xfff + ((magnitude >> 13) & 1)) >> 13
    else {
      float[0] = Math.abs(numbers[i] as number) + 0.5
      pattern = (floatBits[0] as number) - 0x3f000000
    }
    patterns[i] = ((all >>> 16) & 0x8000) | pattern
  }
  return patterns
}

/** The numbers of binary16 patterns. A table of all 65,536 is ten times as fast as reading the library's array. */
export const fromFloat16 = (patterns: Uint16Array): Float32Array => {
  values ??= Float32Array.from(new Float16Array(Uint16Array.from({ length: 0x10000 }, (_, bits) => bits).buffer))
  const numbers = new Float32Array(patterns.length)
  for (let i = 0; i < numbers.length; i++) numbers[i] = values[patterns[i] ?? 0] ?? NaN
  return numbers
}

let values: Float32Array | undefined

/** The numbers of bfloat16 patterns. Each pattern is the upper half of a binary32. */
export const fromBfloat16 = (patterns: Uint16Array): Float32Array => {
  const numbers = new Float32Array(patterns.length)
  const halves = new Uint16Array(numbers.buffer)
  for (let i = 0; i < patterns.length; i++) halves[2 * i + 1] = patterns[i] ?? 0
  return numbers
}
