/** Lines of a stream of bytes, in groups: the complete lines of each chunk. A user who types sees an answer after each line. */
import { isUtf8 } from 'node:buffer'
import { inputError } from '../../accelerated/errors/inputError.js'
import type { WholeRow } from '../../finetuning/data/rows.js'
import type { Text } from '../../finetuning/use/openModel.js'

/** A line's text, or why it is not one; `line` counts from 1. */
export type TextLine = { readonly line: number; readonly row?: WholeRow } & ({ readonly given: Text } | { readonly problem: string })

/** Parses a line, decoded and without its end. */
export type ReadLine = (text: string, line: number) => TextLine

/** Bytes of the longest line; of a longer one only the length is kept. */
export const longestLine = 2 ** 27

export async function* textLines(
  chunks: AsyncIterable<Uint8Array>,
  read: ReadLine = tabbedText,
  longest = longestLine,
): AsyncGenerator<readonly TextLine[]> {
  let rest: Uint8Array[] = [] // pieces of an incomplete line
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

/** Some editors write a byte-order mark before the first line. */
const withoutMark = (text: string, line: number): string => (line === 1 ? text.replace(/^\uFEFF/, '') : text)

const decoded = (bytes: Buffer, line: number, read: ReadLine): TextLine =>
  isUtf8(bytes)
    ? read(withoutMark(bytes.toString('utf8'), line).replace(/\r$/, ''), line)
    : { line, problem: 'expected text in UTF-8, got other bytes' }

/** The line as it is. */
export const unchanged: ReadLine = (text, line) => ({ line, given: { text } })

/** @throws InputError if the line has no text */
export const lineText = (source: string, line: TextLine): string => {
  if ('given' in line) return line.given.text
  const [, expected = '', got = ''] = /^expected (.*), got (.*)$/.exec(line.problem) ?? []
  throw inputError(`${source}, line ${line.line}`, expected, got)
}

/** One text, or two separated by a tab. */
export const tabbedText: ReadLine = (text, line) => {
  const parts = text.split('\t')
  if (parts.length > 2)
    return { line, problem: `expected a text, or two separated by a tab, got ${parts.length} (--from jsonl reads texts with tabs)` }
  return toTextLine(line, parts[0], parts[1])
}

/** The texts of a row; the second is undefined without pairs. */
export const toTextLine = (line: number, text: string | null | undefined, textPair: string | null | undefined): TextLine => {
  if (text == null || text.trim() === '' || textPair === null || textPair?.trim() === '')
    return { line, problem: 'expected a text, got an empty one' }
  return { line, given: textPair === undefined ? { text } : { text, textPair } }
}
