/**
 * JSON within bounds of depth and number of values, with each key once. Where numbers must stay as they are written, whole numbers beyond 2^53 are
 * bigints, so that they keep their digits. For templates, which may write JSON as Python does, whole floats such as 1.0 are Floats.
 */
import type { z } from 'zod'
import { inputError, quoted, reason } from '../errors/inputError.js'
import { validate } from '../errors/validate.js'
import { fileInFolder } from './paths.js'
import type { Storage } from './storage.js'
import { readText } from './text.js'

/** Nested objects and lists. No file of a model has ten levels, and recursive readers are safe below this. */
const depthLimit = 64

/** Values in one file. 4 million small lists take 300 MB; the largest tokenizers of the hub have 2 million values. */
const valueLimit = 4_000_000

/**
 * The JSON file of this name in a folder that other people wrote, with the schema's type; null if there is none. `what` describes it in messages.
 * @param limit in bytes @throws InputError as `fileInFolder`, `readText`, `parseJson` and `validate`
 */
export const readJson = async <T>(
  folder: string,
  name: string,
  schema: z.ZodType<T>,
  what: string,
  limit: number,
  storage?: Storage,
): Promise<T | null> => {
  const file = await fileInFolder(folder, name, storage)
  return file === undefined ? null : validate(schema, parseJson(await readText(file, limit, storage), file), file, what)
}

/**
 * JSON.parse whose errors are one line. `where` names the file in messages.
 * @throws InputError if the text is not JSON, is nested too deep, has too many values, or has a key twice
 */
export const parseJson = (text: string, where: string): unknown => {
  checkBounds(text, where)
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw inputError(where, 'JSON', `text that is not (${reason(thrown)})`)
  }
}

/**
 * Checks depth, the number of values, and that keys are unique, before any value is built. JSON.parse silently keeps the last of equal keys.
 * Text that is not JSON may pass: JSON.parse refuses it.
 */
const checkBounds = (text: string, where: string): void => {
  const open: (Set<string> | undefined)[] = [] // the keys so far of each open object; undefined for a list
  let awaitsKey = false // in an object, a string after { or , is a key
  let values = 1
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case quote: {
        const end = findStringEnd(text, i)
        const keys = awaitsKey ? open.at(-1) : undefined
        if (keys !== undefined) {
          const key = parseString(text.slice(i, end + 1))
          if (keys.has(key)) throw inputError(where, 'each key once', `${quoted(key)} twice`)
          keys.add(key)
        }
        awaitsKey = false
        i = end
        break
      }
      case brace:
      case bracket:
        if (open.push(text.charCodeAt(i) === brace ? new Set() : undefined) > depthLimit)
          throw inputError(where, `at most ${depthLimit} levels of JSON`, 'more')
        values++
        awaitsKey = true
        break
      case comma:
        values++
        awaitsKey = true
        break
      case brace + 2: // the closing ones
      case bracket + 2:
        open.pop()
    }
    if (values > valueLimit) throw inputError(where, `at most ${valueLimit} values in the JSON`, 'more')
  }
}

const [quote, comma, minus, zero, nine, bracket, backslash, brace] = [0x22, 0x2c, 0x2d, 0x30, 0x39, 0x5b, 0x5c, 0x7b]

/** Where the string that begins at `from` ends: at its quote, or with the text. */
const findStringEnd = (text: string, from: number): number => {
  for (let end = text.indexOf('"', from + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === backslash) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return text.length
}

/** A string without its escapes; what is no JSON string, as it is. */
const parseString = (json: string): string => {
  if (!json.includes('\\')) return json.slice(1, -1)
  try {
    return String(JSON.parse(json))
  } catch {
    return json
  }
}

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

/** Whether a number may have lost digits. */
export const isLarge = (value: number): boolean => Math.abs(value) > Number.MAX_SAFE_INTEGER

/** Which numbers are kept as they are written: the large whole ones, or also whole floats. */
export type Kept = 'large' | 'written'

/** `value` with a bigint or a Float for each number that is a string in `spelled`. */
export const withDigits = (value: unknown, spelled: unknown): unknown => {
  if (typeof value === 'number') {
    if (typeof spelled !== 'string') return value
    return integerPattern.test(spelled) ? BigInt(spelled) : new Float(value)
  }
  if (typeof value !== 'object' || value === null) return value
  const parts = spelled as Readonly<Record<string, unknown>>
  if (Array.isArray(value)) return value.map((part, i) => withDigits(part, parts[i]))
  return Object.fromEntries(Object.entries(value).map(([name, part]) => [name, withDigits(part, parts[name])]))
}

const integerPattern = /^-?\d+$/

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
      if (isLargeInteger(number) || (kept === 'written' && isIntegerFloat(number))) {
        pieces.push(text.slice(taken, i), `"${number}"`)
        taken = i + number.length
      }
      i += number.length - 1
    }
  }
  return JSON.parse([...pieces, text.slice(taken)].join(''))
}

const numeral = /-?\d[\d.eE+-]*/y

/** With more than 309 digits, a number is infinite, and a bigint may take minutes. */
const isLargeInteger = (number: string): boolean =>
  number.length >= 16 && /^-?\d{16,309}$/.test(number) && isLarge(Number(number)) && Number.isFinite(Number(number))

const isIntegerFloat = (number: string): boolean => /[.e]/i.test(number) && Number.isInteger(Number(number))

/** The value of JSON from a file, with a bigint for each large whole number. @throws InputError as `parseJson` */
export const parseExact = (text: string, where: string, kept: Kept = 'large'): unknown => exactly(text, parseJson(text, where), kept)

/** The value of JSON that this program wrote a moment ago. */
export const parseStored = (text: string): unknown => exactly(text, JSON.parse(text), 'written')

/** @param value that of the JSON `text` */
const exactly = (text: string, value: unknown, kept: Kept): unknown =>
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
