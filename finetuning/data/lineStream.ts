/** Streams a text file in UTF-8: its lines, each with its number, or its records of quoted cells, both of bounded length. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import { withFile, type OpenFile, type Storage } from '../../accelerated/storage/storage.js'
import { isUtf8 } from '../../accelerated/storage/native.js'
import { longestRow, rowTooLong } from './rows.js'
import { transcoder, utf8, utf8Expected } from './encoding.js'
import { textPieces } from './textPieces.js'
import { utf16Mark } from './textFile.js'
import { atRow } from './dataset.js'

const [lineFeed, carriageReturn, quotationMark] = [0x0a, 0x0d, 0x22]

/**
 * Passes each line of `file` to `take`, without byte-order mark and end of line (LF or CRLF). The bytes are valid until `take` returns. Empty lines
 * at the end do not count. @param encoding of the file; undefined: UTF-8, and no flag names another. @throws InputError if the file is not a regular file, too large, empty or not UTF-8, or a line is too long
 */
export const eachLine = (
  file: string,
  take: (row: number, line: Buffer) => void,
  encoding?: string,
  storage: Storage = nodeFiles,
): Promise<void> =>
  withFile(storage, file, async (open) => {
    let [row, consumed] = [0, 0]
    const line = (bytes: Buffer): void => {
      row++
      const end = bytes.at(-1) === carriageReturn ? bytes.length - 1 : bytes.length
      if (end === 0) return // an empty line counts once another line follows
      for (; consumed + 1 < row; consumed++) take(consumed + 1, bytes.subarray(0, 0))
      if (!isUtf8(bytes))
        throw inputError(atRow(file, row), utf8Expected(encoding !== undefined, 'windows-1252'), 'bytes that are not UTF-8')
      take(row, bytes.subarray(0, end))
      consumed = row
    }
    let rest: Buffer[] = [] // the beginning of a line whose end has not been read
    let restLength = 0
    const takeBytes = (bytes: Buffer): void => {
      let start = 0
      for (let feed = bytes.indexOf(lineFeed); feed !== -1; feed = bytes.indexOf(lineFeed, start)) {
        line(rest.length === 0 ? bytes.subarray(start, feed) : Buffer.concat([...rest, bytes.subarray(start, feed)]))
        ;[rest, restLength] = [[], 0]
        start = feed + 1
      }
      restLength += bytes.length - start
      if (restLength > longestRow) throw rowTooLong(file, row + 1, restLength)
      if (start < bytes.length) rest.push(Buffer.from(bytes.subarray(start)))
    }
    for await (const bytes of utf8Pieces(file, open, encoding)) takeBytes(bytes)
    if (restLength > 0) line(Buffer.concat(rest))
    if (consumed === 0) throw inputError(file, 'at least one row', 'an empty file')
  })

/**
 * Passes the text of `file` to `take` by whole records of quoted cells: a line feed ends a record if the quotation marks before it are even in
 * number. A text that breaks this rule is passed at its end. @throws InputError as `eachLine`, but `take` checks for UTF-8
 */
export const eachRecords = (file: string, take: (records: Buffer) => void, encoding: string, storage: Storage = nodeFiles): Promise<void> =>
  withFile(storage, file, async (open) => {
    let rest: Buffer[] = [] // the beginning of a record whose end has not been read
    let [restLength, isQuoted] = [0, false]
    for await (const bytes of utf8Pieces(file, open, encoding)) {
      let end = 0
      for (let at = 0; at < bytes.length; at++) {
        if (bytes[at] === quotationMark) isQuoted = !isQuoted
        else if (bytes[at] === lineFeed && !isQuoted) end = at + 1
      }
      if (end > 0) {
        take(Buffer.concat([...rest, bytes.subarray(0, end)]))
        ;[rest, restLength] = [[], 0]
      }
      rest.push(bytes.subarray(end))
      restLength += bytes.length - end
      if (restLength > longestRow) break
    }
    if (restLength > 0) take(Buffer.concat(rest))
    if (restLength > longestRow) throw inputError(file, `at most ${longestRow} bytes in a row`, 'more')
  })

/** The text, piece by piece, without byte-order mark; in UTF-8 if the file is in its encoding. @throws InputError */
async function* utf8Pieces(file: string, open: OpenFile, encoding: string | undefined): AsyncGenerator<Buffer> {
  const inUtf8 = encoding === undefined || encoding === utf8 ? null : transcoder(file, encoding)
  let isFirst = true
  for await (const read of textPieces(file, open)) {
    yield inUtf8 === null ? read.subarray(isFirst ? markLength(file, read, encoding !== undefined) : 0) : inUtf8(read, false)
    isFirst = false
  }
  if (inUtf8 !== null) yield inUtf8(Buffer.alloc(0), true)
}

/** Bytes of the byte-order mark. @throws InputError for a mark of UTF-16 */
const markLength = (file: string, bytes: Buffer, hasFlag: boolean): number => {
  const utf16 = utf16Mark(bytes)
  if (utf16 !== null) throw inputError(file, utf8Expected(hasFlag, utf16), 'text in UTF-16')
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
}
