/**
 * JSON whose numbers stay as they are written: whole numbers beyond 2^53 are bigints, so that they keep their digits. For templates, which may write
 * it as Python does, whole floats such as 1.0 are Floats.
 */
import { parseJson } from './boundedJson.js'
import { floatText, Float } from './float.js'

/** Whether a number may have lost digits. */
export const isLarge = (value: number): boolean => Math.abs(value) > Number.MAX_SAFE_INTEGER

/** Which numbers are kept as they are written: the large whole ones, or also whole floats. */
export type Kept = 'large' | 'written'

/** `value` with a bigint or a Float for each number that is a string in `spelled`. */
export const withDigits = (value: unknown, spelled: unknown): unknown => {
  if (typeof value === 'number') {
    if (typeof spelled !== 'string') return value
    return wholeNumber.test(spelled) ? BigInt(spelled) : new Float(value)
  }
  if (typeof value !== 'object' || value === null) return value
  const parts = spelled as Readonly<Record<string, unknown>>
  if (Array.isArray(value)) return value.map((part, i) => withDigits(part, parts[i]))
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, withDigits(part, parts[name])]))
}

const wholeNumber = /^-?\d+$/

/** Whether JSON may hold a whole float, or a large whole number: texts that look so count, too. */
const mayBeWritten = /(?:^|[:,[])\s*-?(?:\d{16}|\d+(?:\.0+(?=\s*[,\]}]|\s*$)|(?:\.\d+)?e))/i

export const mayHold = (text: string, kept: Kept): boolean => (kept === 'large' ? /\d{16}/ : mayBeWritten).test(text)

/** The value of valid JSON, with the numbers that are kept as strings. */
export const spelledJson = (text: string, kept: Kept): unknown => {
  const pieces: string[] = []
  let [taken, inString] = [0, false]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (inString && code === backslash) i++
    else if (code === quote) inString = !inString
    else if (!inString && (code === minus || (code >= zero && code <= nine))) {
      numeral.lastIndex = i
      const [number = ''] = numeral.exec(text) ?? []
      if (isLargeInteger(number) || (kept === 'written' && isWholeFloat(number))) {
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

const isWholeFloat = (number: string): boolean => /[.e]/i.test(number) && Number.isInteger(Number(number))

/** The value of JSON from a file, with a bigint for each large whole number. @throws InputError as `parseJson` */
export const parseExact = (text: string, where: string, kept: Kept = 'large'): unknown => exactly(text, parseJson(text, where), kept)

/** The value of JSON that this program wrote a moment ago. */
export const parseStored = (text: string): unknown => exactly(text, JSON.parse(text), 'written')

/** @param value that of the JSON `text` */
export const exactly = (text: string, value: unknown, kept: Kept): unknown =>
  mayHold(text, kept) ? withDigits(value, spelledJson(text, kept)) : value

/** JSON of a value that may hold bigints and Floats. A function for each value takes most of the time, so it comes second. */
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
  if (value instanceof Float) return floatText(value.value)
  if (Array.isArray(value)) return `[${value.map(written).join(',')}]`
  if (typeof value !== 'object' || value === null || value instanceof Date) return JSON.stringify(value) ?? 'null'
  const parts = Object.entries(value).filter(([, part]) => part !== undefined)
  return `{${parts.map(([name, part]) => `${JSON.stringify(name)}:${written(part)}`).join(',')}}`
}
