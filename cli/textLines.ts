/** Lines of a stream of bytes as they come: each chunk's complete lines together, so that whoever types sees an answer at once. */
import { isUtf8 } from 'node:buffer'
import type { Text } from '../evaluation/trainedAdapter.js'

/** A line's text, or why it is none; `line` counts from 1. */
export type TextLine = { readonly line: number } & ({ readonly given: Text } | { readonly problem: string })

export async function* textLines(chunks: AsyncIterable<Uint8Array>): AsyncGenerator<ReadonlyArray<TextLine>> {
  let rest: Buffer = Buffer.alloc(0)
  let line = 0
  for await (const chunk of chunks) {
    const bytes = Buffer.concat([rest, chunk])
    const end = bytes.lastIndexOf(0x0a) + 1
    rest = bytes.subarray(end)
    if (end === 0) continue
    const parts = cut(bytes.subarray(0, end - 1))
    yield parts.map((part, i) => textLine(part, line + i + 1))
    line += parts.length
  }
  if (rest.length > 0) yield [textLine(rest, line + 1)]
}

const cut = (bytes: Buffer): ReadonlyArray<Buffer> => {
  const parts: Buffer[] = []
  let start = 0
  for (let feed = bytes.indexOf(0x0a); feed !== -1; feed = bytes.indexOf(0x0a, start)) {
    parts.push(bytes.subarray(start, feed))
    start = feed + 1
  }
  return [...parts, bytes.subarray(start)]
}

/** The byte-order mark that some editors put before the first line is no part of its text, as in a file of examples. */
const withoutMark = (bytes: Buffer, line: number): Buffer =>
  line === 1 && bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? bytes.subarray(3) : bytes

/** One text, or two with a TAB between them. */
const textLine = (bytes: Buffer, line: number): TextLine => {
  if (!isUtf8(bytes)) return { line, problem: 'expected text in UTF-8, found other bytes' }
  const parts = withoutMark(bytes, line).toString('utf8').replace(/\r$/, '').split('\t')
  const [text = '', textPair] = parts
  if (parts.length > 2) return { line, problem: `expected a text, or two with one TAB between them, found ${parts.length}` }
  if (text.trim() === '' || textPair?.trim() === '') return { line, problem: 'expected a text, found an empty one' }
  return { line, given: textPair === undefined ? { text } : { text, textPair } }
}
