/** Lines of a stream of bytes as they come: each chunk's complete lines together, so that whoever types sees an answer at once. */
import { isUtf8 } from 'node:buffer'
import type { Text } from '../../finetuning/adapters/trainedAdapter.js'

/** A line's text, or why it is none; `line` counts from 1. */
export type TextLine = { readonly line: number } & ({ readonly given: Text } | { readonly problem: string })

/** What a line says, decoded and without its end. */
export type ReadLine = (text: string, line: number) => TextLine

/** Bytes of a line that are kept: of a longer one only its length. */
export const longestLine = 2 ** 27

export async function* textLines(
  chunks: AsyncIterable<Uint8Array>,
  read: ReadLine = tabbedText,
  longest = longestLine,
): AsyncGenerator<ReadonlyArray<TextLine>> {
  let rest: Uint8Array[] = [] // pieces of a line whose end has not come
  let length = 0
  let line = 0
  const take = (bytes: Uint8Array): TextLine => {
    line += 1
    const whole = [...rest, bytes]
    length += bytes.length
    const taken = length > longest ? { line, problem: tooLong(length, longest) } : decoded(Buffer.concat(whole), line, read)
    ;[rest, length] = [[], 0]
    return taken
  }
  for await (const chunk of chunks) {
    const lines: TextLine[] = []
    let start = 0
    for (let feed = chunk.indexOf(0x0a); feed !== -1; feed = chunk.indexOf(0x0a, start)) {
      lines.push(take(chunk.subarray(start, feed)))
      start = feed + 1
    }
    length += chunk.length - start
    if (length > longest) rest = []
    else if (start < chunk.length) rest.push(chunk.subarray(start))
    if (lines.length > 0) yield lines
  }
  if (length > 0) {
    length -= rest.at(-1)?.length ?? 0
    yield [take(rest.pop() ?? new Uint8Array())]
  }
}

const tooLong = (bytes: number, longest: number): string => `expected at most ${longest} bytes in a line, got ${bytes}`

/** The byte-order mark that some editors put before the first line is no part of its text, as in a file of examples. */
const withoutMark = (text: string, line: number): string => (line === 1 ? text.replace(/^\uFEFF/, '') : text)

const decoded = (bytes: Buffer, line: number, read: ReadLine): TextLine =>
  isUtf8(bytes)
    ? read(withoutMark(bytes.toString('utf8'), line).replace(/\r$/, ''), line)
    : { line, problem: 'expected text in UTF-8, got other bytes' }

/** One text, or two with a TAB between them. */
export const tabbedText: ReadLine = (text, line) => {
  const parts = text.split('\t')
  if (parts.length > 2) return { line, problem: `expected a text, or two with one TAB between them, got ${parts.length}` }
  return givenText(line, parts[0], parts[1])
}

/** The texts of a row: the second is undefined where there are no pairs. */
export const givenText = (line: number, text: string | null | undefined, textPair: string | null | undefined): TextLine => {
  if (text == null || text.trim() === '' || textPair === null || textPair?.trim() === '')
    return { line, problem: 'expected a text, got an empty one' }
  return { line, given: textPair === undefined ? { text } : { text, textPair } }
}
