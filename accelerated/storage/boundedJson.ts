/** JSON files: text of a bounded size, parsed within bounds of depth and number of values, with each key once. */
import { inputError, quoted, reason } from '../errors/inputError.js'
import { nodeFiles } from './nodeFiles.js'
import { withFile, type Storage } from './storage.js'

/** The largest JSON file that is read, in bytes. The largest tokenizers of the hub have 40 MB. */
export const jsonLimit = 64_000_000

/** Nested objects and lists. No file of a model has ten levels, and recursive readers are safe below this. */
const depthLimit = 64

/** Values in one file. 4 million small lists take 300 MB; the largest tokenizers of the hub have 2 million values. */
const valueLimit = 4_000_000

/** The text of a file. @throws InputError if it is unreadable, not a regular file, larger than `limit` bytes, or not UTF-8 */
export const readText = (file: string, limit = jsonLimit, storage: Storage = nodeFiles): Promise<string> =>
  withFile(storage, file, async ({ size, read }) => {
    if (size > limit) throw inputError(file, `at most ${limit} bytes`, `${size}`)
    return decodeUtf8(await read(0, size), file, 'text')
  })

/** @throws InputError if the bytes are not UTF-8 */
export const decodeUtf8 = (bytes: Uint8Array, file: string, what: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw inputError(file, `${what === 'text' ? 'text' : `a ${what}`} in UTF-8`, 'bytes that are not')
  }
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
        const end = endOfString(text, i)
        const keys = awaitsKey ? open.at(-1) : undefined
        if (keys !== undefined) {
          const key = stringOf(text.slice(i, end + 1))
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

const [quote, comma, bracket, backslash, brace] = [0x22, 0x2c, 0x5b, 0x5c, 0x7b]

/** Where the string that begins at `from` ends: at its quote, or with the text. */
const endOfString = (text: string, from: number): number => {
  for (let end = text.indexOf('"', from + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === backslash) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return text.length
}

/** A string without its escapes; what is no JSON string, as it is. */
const stringOf = (json: string): string => {
  if (!json.includes('\\')) return json.slice(1, -1)
  try {
    return String(JSON.parse(json))
  } catch {
    return json
  }
}
