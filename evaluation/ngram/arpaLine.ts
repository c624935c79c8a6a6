/** Splits a line of an ARPA file and parses its numbers, without a string for each part. */

const [tab, space, carriageReturn] = [0x09, 0x20, 0x0d]
const [minus, plus, point, zero, nine] = [0x2d, 0x2b, 0x2e, 0x30, 0x39]

export const isBlank = (byte: number): boolean => byte === space || byte === tab || byte === carriageReturn

/** Writes the start and end of each part of bytes[start..end) to `bounds`, two numbers per part. → the number of parts, at most `most` */
export const partsOf = (bytes: Uint8Array, start: number, end: number, bounds: Uint32Array, most: number): number => {
  let parts = 0
  for (let at = start; at < end && parts < most; ) {
    if (isBlank(bytes[at] as number)) {
      at++
      continue
    }
    bounds[2 * parts] = at
    while (at < end && !isBlank(bytes[at] as number)) at++
    bounds[2 * parts + 1] = at
    parts++
  }
  return parts
}

const powers = Array.from({ length: 23 }, (_, exponent) => 10 ** exponent)

/** The decimal number in bytes[start..end), correctly rounded; NaN if it is none. */
export const decimalAt = (bytes: Uint8Array, start: number, end: number): number => {
  let at = start
  const first = bytes[at]
  if (first === minus || first === plus) at++
  let [digits, behindPoint, pointAt] = [0, 0, -1]
  for (; at < end; at++) {
    const byte = bytes[at] as number
    if (byte >= zero && byte <= nine) {
      digits = 10 * digits + byte - zero
      if (pointAt !== -1) behindPoint++
    } else if (byte === point && pointAt === -1) pointAt = at
    else break
  }
  // exact: an integer below 2⁵³ divided by a power of ten below it
  const isPlain = at === end && digits < 2 ** 53 && behindPoint < powers.length && /[0-9]/.test(String.fromCharCode(bytes[end - 1] ?? 0))
  if (isPlain) return (first === minus ? -digits : digits) / (powers[behindPoint] as number)
  const text = Buffer.from(bytes.subarray(start, end)).toString('latin1')
  return /^[-+]?(\d+\.?\d*|\.\d+)(e[-+]?\d+)?$/i.test(text) ? Number(text) : NaN
}
