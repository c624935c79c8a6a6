/** JSON whose whole numbers keep their digits: where a number would lose some, beyond 2^53, they are bigints. */
import { parseJson } from '../../accelerated/storage/boundedJson.js'

/** Whether a number may have lost digits. */
export const isLarge = (value: number): boolean => Math.abs(value) > Number.MAX_SAFE_INTEGER

/** `value` with a bigint for each whole number whose digits are a string in `spelled`. */
export const withDigits = (value: unknown, spelled: unknown): unknown => {
  if (typeof value === 'number') return typeof spelled === 'string' ? BigInt(spelled) : value
  if (typeof value !== 'object' || value === null) return value
  const parts = spelled as Readonly<Record<string, unknown>>
  if (Array.isArray(value)) return value.map((part, i) => withDigits(part, parts[i]))
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, withDigits(part, parts[name])]))
}

/** The value of valid JSON, with the digits of its large whole numbers as strings. */
export const spelledJson = (text: string): unknown => {
  const pieces: string[] = []
  let [taken, inString] = [0, false]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (inString && code === backslash) i++
    else if (code === quote) inString = !inString
    else if (!inString && (code === minus || (code >= zero && code <= nine))) {
      numeral.lastIndex = i
      const [number = ''] = numeral.exec(text) ?? []
      if (isLargeInteger(number)) {
        pieces.push(text.slice(taken, i), `"${number}"`)
        taken = i + number.length
      }
      i += number.length - 1
    }
  }
  return JSON.parse([...pieces, text.slice(taken)].join(''))
}

const [quote, minus, zero, nine, backslash] = [0x22, 0x2d, 0x30, 0x39, 0x5c]
const numeral = /-?\d[\d.eE+-]*/y

/** With more than 309 digits, a number is infinite, and a bigint may take minutes. */
const isLargeInteger = (number: string): boolean =>
  number.length >= 16 && /^-?\d{16,309}$/.test(number) && isLarge(Number(number)) && Number.isFinite(Number(number))

/** The value of JSON from a file, with a bigint for each large whole number. @throws InputError as `parseJson` */
export const parseExact = (text: string, where: string): unknown => exactly(text, parseJson(text, where))

/** The value of JSON that this program wrote a moment ago. */
export const parseStored = (text: string): unknown => exactly(text, JSON.parse(text))

/** @param value that of the JSON `text` */
export const exactly = (text: string, value: unknown): unknown => (/\d{16}/.test(text) ? withDigits(value, spelledJson(text)) : value)

/** JSON of a value that may hold bigints. A function for each value takes most of the time, so it comes second. */
export const exactJson = (value: unknown): string => {
  try {
    return JSON.stringify(value)
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown
    return written(value)
  }
}

const written = (value: unknown): string => {
  if (typeof value === 'bigint') return String(value)
  if (Array.isArray(value)) return `[${value.map(written).join(',')}]`
  if (typeof value !== 'object' || value === null || value instanceof Date) return JSON.stringify(value) ?? 'null'
  const parts = Object.entries(value).filter(([, part]) => part !== undefined)
  return `{${parts.map(([name, part]) => `${JSON.stringify(name)}:${written(part)}`).join(',')}}`
}
