/**
 * Whole numbers beyond 2^53 in a chat template. Its language has none, so bigints pass through it as texts between marks, and leave it as digits.
 */

/** Noncharacters of Unicode, which no text should have. */
const [start, end] = ['\uFDD0', '\uFDD1']

/** A mark, and as `tojson` may write it. */
const marked = new RegExp(`(?:${start}|\\\\ufdd0)(-?\\d+)(?:${end}|\\\\ufdd1)`)
/** JSON quotes a text, but no number. */
const written = new RegExp(`"${marked.source}"|${marked.source}`, 'g')

export const hasBigint = (value: unknown): boolean =>
  typeof value === 'bigint' || (typeof value === 'object' && value !== null && Object.values(value).some(hasBigint))

export const withMarks = <T>(value: T): T => marks(value) as T

const marks = (value: unknown): unknown => {
  if (typeof value === 'bigint') return `${start}${value}${end}`
  if (Array.isArray(value)) return value.map(marks)
  if (typeof value !== 'object' || value === null) return value
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, marks(part)]))
}

export const withoutMarks = (text: string): string =>
  text.replaceAll(written, (_, quoted: string | undefined, bare: string | undefined) => quoted ?? bare ?? '')
