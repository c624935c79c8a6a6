/** JSON files as text: read within a bound, parsed with one clear line within a bound of depth and size, with each key once. */
import { fileError, quoted, reason } from './fileError.js'
import { readBytes, withRegularFile } from './regularFile.js'

/** The largest JSON file read into memory, in bytes: the largest tokenizers of the hub have 40 MB. */
export const jsonLimit = 64_000_000

/** Objects and lists within each other; no file of a model has ten. Recursive readers of the value are safe below it. */
const depthLimit = 64

/** Values in one file. 4 million small lists are 300 MB; the largest tokenizers of the hub have 2 million values. */
const valueLimit = 4_000_000

/** The text of a JSON file. Throws FileError: unreadable, not a plain file, larger than `limit` bytes, not UTF-8. */
export const readText = (file: string, limit = jsonLimit): Promise<string> =>
  withRegularFile(file, async (handle, size) => {
    if (size > limit) throw fileError(file, `at most ${limit} bytes`, `${size}`)
    return decodeUtf8(await readBytes(handle, file, 0, size), file, 'text')
  })

/** Throws FileError for bytes that are no UTF-8. */
export const decodeUtf8 = (bytes: Uint8Array, file: string, what: string): string => {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw fileError(file, `${what === 'text' ? 'text' : `a ${what}`} in UTF-8`, 'bytes that are not')
  }
}

/** JSON.parse with one clear line. `where` is the file's name in messages. Throws FileError: not JSON, too deep, too many values, a key given twice. */
export const parseJson = (text: string, where: string): unknown => {
  checkExtent(text, where)
  const value = parse(text, where)
  const repeated = repeatedKey(text)
  if (repeated !== undefined) throw fileError(where, 'each key once', `${quoted(repeated)} twice`)
  return value
}

const parse = (text: string, where: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw fileError(where, 'JSON', `text that is not (${reason(thrown)})`)
  }
}

/** Before anything is allocated: how deep the text nests and how many values it has, counted outside strings. */
const checkExtent = (text: string, where: string): void => {
  let depth = 0
  let values = 1
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22: // "
        at = endOfString(text, at)
        break
      case 0x5b: // [
      case 0x7b: // {
        values++
        if (++depth > depthLimit) throw fileError(where, `at most ${depthLimit} levels of JSON`, 'more')
        break
      case 0x5d: // ]
      case 0x7d: // }
        depth--
        break
      case 0x2c: // ,
        values++
    }
    if (values > valueLimit) throw fileError(where, `at most ${valueLimit} values in the JSON`, 'more')
  }
}

type Level = { readonly keys: Set<string> | undefined; awaitsKey: boolean }

/** The first key repeated within one object, undefined if there is none (JSON.parse hides all but the last). `text` must be valid JSON. */
const repeatedKey = (text: string): string | undefined => {
  const levels: Level[] = []
  for (let at = 0; at < text.length; at++) {
    const level = levels[levels.length - 1]
    switch (text[at]) {
      case '{':
        levels.push({ keys: new Set(), awaitsKey: true })
        break
      case '[':
        levels.push({ keys: undefined, awaitsKey: false })
        break
      case '}':
      case ']':
        levels.pop()
        break
      case ',':
        if (level?.keys) level.awaitsKey = true
        break
      case '"': {
        const end = endOfString(text, at)
        if (level?.keys && level.awaitsKey) {
          // compared after decoding: "a" and "\u0061" are one key
          const written = text.slice(at, end + 1)
          const key = written.includes('\\') ? String(JSON.parse(written)) : written.slice(1, -1)
          if (level.keys.has(key)) return key
          level.keys.add(key)
          level.awaitsKey = false
        }
        at = end
      }
    }
  }
  return undefined
}

/** The index of the quote that closes the string opened at `start`; past the end of the text where none does. */
const endOfString = (text: string, start: number): number => {
  let at = start + 1
  while (at < text.length && text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}
