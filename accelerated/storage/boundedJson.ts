/** JSON files: text of a bounded size, parsed within bounds of depth and number of values, with each key once. */
import { Tokenizer, TokenType } from '@streamparser/json'
import { InputError, inputError, quoted, reason } from '../errors/inputError.js'
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
  try {
    checkTokens(text, where)
    return JSON.parse(text)
  } catch (thrown) {
    throw thrown instanceof InputError ? thrown : inputError(where, 'JSON', `text that is not (${reason(thrown)})`)
  }
}

/**
 * The value of JSON that this program wrote: it is valid and has each key once, so only its size and depth are checked.
 * @throws InputError as `parseJson`
 */
export const parseWritten = (text: string, where: string): unknown =>
  text.length <= valueLimit && isShallow(text) ? JSON.parse(text) : parseJson(text, where)

/** Whether the text has at most `depthLimit` levels. */
const isShallow = (text: string): boolean => {
  let [depth, inString] = [0, false]
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i)
    if (inString) {
      if (code === backslash) i++
      else if (code === quote) inString = false
    } else if (code === quote) inString = true
    else if (code === brace || code === bracket) {
      if (++depth > depthLimit) return false
    } else if (code === brace + 2 || code === bracket + 2) depth--
  }
  return true
}
const [quote, backslash, bracket, brace] = [0x22, 0x5c, 0x5b, 0x7b]

/** Checks the tokens before any value is built: their depth, their number, and that keys are unique. JSON.parse silently keeps the last of equal keys. */
const checkTokens = (text: string, where: string): void => {
  const tokenizer = new Tokenizer({ stringBufferSize: 1 << 16 })
  const bytes = new TextEncoder().encode(text)
  const open: (Set<string> | undefined)[] = [] // the keys so far of each open object; undefined for a list
  let awaitsKey = false // in an object, a string after { or , is a key
  let values = 1
  const enter = (keys: Set<string> | undefined): void => {
    awaitsKey = true
    values++
    if (open.push(keys) > depthLimit) throw inputError(where, `at most ${depthLimit} levels of JSON`, 'more')
  }
  tokenizer.onToken = ({ token, value, offset }) => {
    switch (token) {
      case TokenType.LEFT_BRACE:
        enter(new Set())
        break
      case TokenType.LEFT_BRACKET:
        enter(undefined)
        break
      case TokenType.RIGHT_BRACE:
      case TokenType.RIGHT_BRACKET:
        open.pop()
        break
      case TokenType.COMMA:
        values++
        awaitsKey = true
        break
      case TokenType.STRING: {
        const string = startsWithMark(bytes, offset + 1) ? `\ufeff${String(value)}` : String(value)
        const keys = awaitsKey ? open.at(-1) : undefined
        if (keys?.has(string)) throw inputError(where, 'each key once', `${quoted(string)} twice`)
        keys?.add(string)
        awaitsKey = false
      }
    }
    if (values > valueLimit) throw inputError(where, `at most ${valueLimit} values in the JSON`, 'more')
  }
  tokenizer.onError = (error) => {
    // The errors thrown above arrive here too. For text that is not JSON, JSON.parse has the better message.
    if (!(error instanceof InputError)) JSON.parse(text)
    throw error
  }
  tokenizer.write(bytes)
}

/** Whether a string has U+FEFF first, written out or escaped. The tokenizer drops it there, and Gemma's vocabulary has `//` with it and without. */
const startsWithMark = (bytes: Uint8Array, at: number): boolean =>
  bytes[at] === backslash
    ? String.fromCharCode(...bytes.subarray(at, at + 6)).toLowerCase() === '\\ufeff'
    : bytes[at] === 0xef && bytes[at + 1] === 0xbb && bytes[at + 2] === 0xbf
