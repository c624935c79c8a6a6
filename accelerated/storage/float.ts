/** Floats as Python has them, apart from integers: 1.0 or 2e3 of JSON is whole, but a float. JavaScript has one type for both. */

export class Float {
  constructor(readonly value: number) {}

  /** As a bigint does: JSON.stringify would lose the point. */
  toJSON(): never {
    throw new TypeError('JSON.stringify would lose the point of a Float')
  }
}

/** Python's repr(): the shortest digits that are this float, with an exponent below 10⁻⁴ and from 10¹⁶ on. */
export const floatText = (value: number): string => {
  if (!Number.isFinite(value)) return Number.isNaN(value) ? 'nan' : value > 0 ? 'inf' : '-inf'
  const [digits = '', exponent = '0'] = value.toExponential().split('e')
  const power = Number(exponent)
  if (power < -4 || power >= 16) return `${digits}e${power < 0 ? '-' : '+'}${String(Math.abs(power)).padStart(2, '0')}`
  const text = Object.is(value, -0) ? '-0' : String(value)
  return text.includes('.') ? text : `${text}.0`
}
