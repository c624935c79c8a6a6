/** Reads the lines of a text, plain or gzip, as bytes. Text must be UTF-8; the length of lines and the gzip ratio are bounded. */
import { isUtf8 } from 'node:buffer'
import { inputError } from '../../accelerated/errors/inputError.js'
import { gunzipped, isGzip } from '../../accelerated/storage/text.js'
import { openRegularFile, withRegularFile } from '../../accelerated/storage/nodeFiles.js'
import { systemInputError } from '../../accelerated/errors/systemError.js'

/** The source of a text. `bytes` is its size, or null if unknown. */
export type TextSource = {
  readonly name: string
  readonly bytes: number | null
  readonly chunks: AsyncIterable<Uint8Array>
}

const piece = 2 ** 20
const [lineFeed, longestLine] = [0x0a, 2 ** 27]
/** A byte-order mark in UTF-8, which is no part of the first word. */
const mark = [0xef, 0xbb, 0xbf]

/** A file, opened when its first chunk is read. @throws InputError if it is no regular file or cannot be read */
export const fileSource = async (file: string, onRead: (bytes: number) => void = () => undefined): Promise<TextSource> => {
  const size = await withRegularFile(file, async (_, bytes) => bytes)
  const chunks = async function* (): AsyncGenerator<Uint8Array> {
    const { handle } = await openRegularFile(file)
    try {
      for (let at = 0; ; ) {
        const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(piece), 0, piece, at)
        if (bytesRead === 0) return
        at += bytesRead
        onRead(at)
        yield buffer.subarray(0, bytesRead)
      }
    } catch (thrown) {
      throw systemInputError(file, 'a readable file', thrown)
    } finally {
      await handle.close()
    }
  }
  return { name: file, bytes: size, chunks: chunks() }
}

/** A line's bytes are buffer[start..end), good until `take` returns, without the line's end; lines count from 1. */
export type TakeLine = (buffer: Uint8Array, start: number, end: number, line: number) => void

/**
 * Passes each line to `take`, empty ones too. The last line needs no line feed. The first bytes identify a gzip file.
 * @throws InputError if a line is not UTF-8 or too long, or a gzip file is truncated, damaged or a bomb
 */
export const eachTextLine = async ({ name, chunks }: TextSource, take: TakeLine, signal?: AbortSignal): Promise<void> => {
  let line = 0
  let rest: Uint8Array[] = [] // pieces of a line whose end has not come
  let restLength = 0
  const takeAll = (bytes: Uint8Array): void => {
    if (!isUtf8(bytes)) throw notUtf8(name, bytes, line)
    let start = line === 0 && mark.every((byte, i) => bytes[i] === byte) ? mark.length : 0
    for (let feed = bytes.indexOf(lineFeed); feed !== -1; feed = bytes.indexOf(lineFeed, start)) {
      take(bytes, start, feed, ++line)
      start = feed + 1
    }
    if (start < bytes.length) take(bytes, start, bytes.length, ++line)
  }
  for await (const chunk of inflated(name, chunks)) {
    signal?.throwIfAborted()
    const last = chunk.lastIndexOf(lineFeed)
    restLength += last === -1 ? chunk.length : chunk.indexOf(lineFeed)
    if (restLength > longestLine) throw inputError(`${name}, line ${line + 1}`, `at most ${longestLine} bytes in a line`, `${restLength}`)
    if (last === -1) rest.push(chunk)
    else {
      takeAll(rest.length === 0 ? chunk.subarray(0, last + 1) : Buffer.concat([...rest, chunk.subarray(0, last + 1)]))
      rest = last + 1 === chunk.length ? [] : [chunk.subarray(last + 1)]
      restLength = chunk.length - last - 1
    }
  }
  if (restLength > 0) takeAll(Buffer.concat(rest))
}

const notUtf8 = (name: string, bytes: Uint8Array, before: number): Error => {
  if (before === 0 && ((bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)))
    return inputError(name, 'text in UTF-8', 'text in UTF-16')
  let [line, start] = [before + 1, 0]
  for (let feed = bytes.indexOf(lineFeed); feed !== -1 && isUtf8(bytes.subarray(start, feed)); feed = bytes.indexOf(lineFeed, start)) {
    line++
    start = feed + 1
  }
  return inputError(`${name}, line ${line}`, 'text in UTF-8', 'bytes that are not UTF-8')
}

/** The bytes, unzipped if they are gzip. Chunks are never empty. */
async function* inflated(name: string, chunks: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  const given = chunks[Symbol.asyncIterator]()
  try {
    const head = await firstBytes(given)
    const all = { [Symbol.asyncIterator]: () => continued(head, given) }
    yield* isGzip(head) ? gunzipped(name, all) : all
  } finally {
    await given.return?.()
  }
}

/** The first bytes, which identify gzip: at least two if the file has them. */
const firstBytes = async (given: AsyncIterator<Uint8Array>): Promise<Uint8Array> => {
  let head: Uint8Array = new Uint8Array(0)
  while (head.length < 2) {
    const { done, value } = await given.next()
    if (done === true) break
    head = Buffer.concat([head, value])
  }
  return head
}

async function* continued(head: Uint8Array, given: AsyncIterator<Uint8Array>): AsyncGenerator<Uint8Array> {
  if (head.length > 0) yield head
  for (let next = await given.next(); next.done !== true; next = await given.next()) if (next.value.length > 0) yield next.value
}
