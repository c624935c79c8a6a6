/** JSON files as text: read within a bound, parsed with one clear line, and searched for keys given twice. */
import { readFile, stat } from 'node:fs/promises'
import { FileError, fileError, reason } from './fileError.js'

/** The largest JSON file read into memory, in bytes. */
const jsonLimit = 100_000_000

/** The text of a JSON file. Throws FileError: unreadable, or larger than any JSON file of a model. */
export const readText = async (file: string): Promise<string> => {
  try {
    const { size } = await stat(file)
    if (size > jsonLimit) throw fileError(file, `at most ${jsonLimit} bytes`, `${size}`)
    return await readFile(file, 'utf8')
  } catch (thrown) {
    throw thrown instanceof FileError ? thrown : fileError(file, 'a readable file', reason(thrown))
  }
}

/** JSON.parse with one clear line. `where` is the file's name in messages. Throws FileError. */
export const parseJson = (text: string, where: string): unknown => {
  try {
    return JSON.parse(text)
  } catch (thrown) {
    throw fileError(where, 'JSON', `text that is not (${reason(thrown)})`)
  }
}

type Level = { readonly keys: Set<string> | undefined; awaitsKey: boolean }

/** The first key repeated within one object, undefined if there is none (JSON.parse hides all but the last). `text` must be valid JSON. */
export const repeatedKey = (text: string): string | undefined => {
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
          const key = String(JSON.parse(text.slice(at, end + 1)))
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

/** The index of the quote that closes the string opened at `start`. */
const endOfString = (text: string, start: number): number => {
  let at = start + 1
  while (text[at] !== '"') at += text[at] === '\\' ? 2 : 1
  return at
}
