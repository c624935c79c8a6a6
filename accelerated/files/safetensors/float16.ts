/** Half-precision numbers as bit patterns: IEEE 754 binary16 (F16) and bfloat16 (BF16), to and from Number. */

/** The value of a binary16 pattern: (−1)^s · 2^(e−15) · (1 + m/1024), subnormal for e = 0, ±∞ or NaN for e = 31. */
export const fromFloat16 = (bits: number): number => {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 0x1f
  const mantissa = bits & 0x3ff
  if (exponent === 0x1f) return mantissa === 0 ? sign * Infinity : NaN
  return exponent === 0 ? sign * mantissa * 2 ** -24 : sign * (1024 + mantissa) * 2 ** (exponent - 25)
}

/** The binary16 pattern nearest to x, ties to the even mantissa; from 65520 up it is ∞. Rounds once, whatever the precision of x. */
export const toFloat16 = (x: number): number => {
  if (Number.isNaN(x)) return 0x7e00
  const sign = x < 0 || Object.is(x, -0) ? 0x8000 : 0
  const size = Math.abs(x)
  if (size >= 65520) return sign | 0x7c00
  if (size < 2 ** -14) return sign | roundHalfEven(size * 2 ** 24) // subnormal, in steps of 2⁻²⁴; 1024 of them is the first normal
  const exponent = exponentOf(size)
  // a mantissa rounded up to 2048 carries into the exponent, which is the pattern wanted
  return sign | (((exponent + 15) << 10) + (roundHalfEven(size * 2 ** (10 - exponent)) - 1024))
}

/** The value of a bfloat16 pattern: the upper half of a binary32. */
export const fromBfloat16 = (bits: number): number => {
  word.setUint32(0, bits << 16)
  return word.getFloat32(0)
}

const word = new DataView(new ArrayBuffer(8))

/** ⌊log₂ x⌋ of a normal positive number, read from its binary64 pattern (Math.log2 may round up). */
const exponentOf = (x: number): number => {
  word.setFloat64(0, x)
  return ((word.getUint16(0) >> 4) & 0x7ff) - 1023
}

/** x ≥ 0 to the nearest integer, halves to the even one. */
const roundHalfEven = (x: number): number => {
  const below = Math.floor(x)
  const rest = x - below
  return rest > 0.5 || (rest === 0.5 && below % 2 === 1) ? below + 1 : below
}
