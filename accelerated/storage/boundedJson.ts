/** JSON files as text: read within a bound, parsed with one clear line within a bound of depth and size, with each key once. */
import { Tokenizer, TokenType } from '@streamparser/json'
import { InputError, inputError, quoted, reason } from '../errors/inputError.js'
import { readBytes, withRegularFile } from './regularFile.js'

/** The largest JSON file read into memory, in bytes: the largest tokenizers of the hub have 40 MB. */
export const jsonLimit = 64_000_000

/** Objects and lists within each other; no file of a model has ten. Recursive readers of the value are safe below it. */
const depthLimit = 64

/** Values in one file. 4 million small lists are 300 MB; the largest tokenizers of the hub have 2 million values. */
const valueLimit = 4_000_000

/** The text of a JSON file. Throws Mistake: unreadable, not a plain file, larger than `limit` bytes, not UTF-8. */
export const readText = (file: string, limit = jsonLimit): Promise<string> =>
  withRegularFile(file, async (handle, size) => {
    if (size > limit) throw inputError(file, `at most ${limit} bytes`, `${size}`)
    return decodeUtf8(await readBytes(handle, file, 0, size), file, 'text')
  })

/** Throws Mistake for bytes that are no UTF-8. */
export const decodeUtf8 = (bytes: Uint8Array, file: string, what: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw inputError(file, `${what === 'text' ? 'text' : `a ${what}`} in UTF-8`, 'bytes that are not')
  }
}

/** JSON.parse with one clear line. `where` is the file's name in messages. Throws Mistake: not JSON, too deep, too many values, a key given twice. */
export const parseJson = (text: string, where: string): unknown => {
  try {
    checkTokens(text, where)
    return JSON.parse(text)
  } catch (thrown) {
    throw thrown instanceof InputError ? thrown : inputError(where, 'JSON', `text that is not (${reason(thrown)})`)
  }
}

/** Token by token, before values are made of them: how deep they nest, how many they are, and that no object has a key twice (JSON.parse hides all but the last). */
const checkTokens = (text: string, where: string): void => {
  const tokenizer = new Tokenizer({ stringBufferSize: 1 << 16 })
  const open: (Set<string> | undefined)[] = [] // of each open object its keys so far, of a list nothing
  let awaitsKey = false // within an object, a string after { or , is a key
  let values = 1
  const enter = (keys: Set<string> | undefined): void => {
    awaitsKey = true
    values++
    if (open.push(keys) > depthLimit) throw inputError(where, `at most ${depthLimit} levels of JSON`, 'more')
  }
  tokenizer.onToken = ({ token, value }) => {
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
        const text = String(value)
        const keys = awaitsKey ? open.at(-1) : undefined
        if (keys?.has(text)) throw inputError(where, 'each key once', `${quoted(text)} twice`)
        keys?.add(text)
        awaitsKey = false
      }
    }
    if (values > valueLimit) throw inputError(where, `at most ${valueLimit} values in the JSON`, 'more')
  }
  tokenizer.onError = (error) => {
    // what is thrown above comes by here too; of a text that is no JSON, JSON.parse says better what is wrong
    if (!(error instanceof InputError)) JSON.parse(text)
    throw error
  }
  tokenizer.write(text)
}
