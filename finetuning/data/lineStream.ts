/** Streams the lines of a text file: each line's number and its bytes, checked to be UTF-8 and of bounded length. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import { withFile, type Storage } from '../../accelerated/storage/storage.js'
import { isUtf8 } from '../../accelerated/storage/native.js'
import { longestRow, rowTooLong } from './rows.js'
import { transcoder, utf8, utf8Expected } from './encoding.js'
import { textPieces } from './textPieces.js'
import { utf16Mark } from './textFile.js'
import { atRow } from './dataset.js'

const [lineFeed, carriageReturn] = [0x0a, 0x0d]

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
    const inUtf8 = encoding === undefined || encoding === utf8 ? null : transcoder(file, encoding)
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
    let isFirst = true
    for await (const read of textPieces(file, open)) {
      takeBytes(inUtf8 === null ? read.subarray(isFirst ? markLength(file, read, encoding !== undefined) : 0) : inUtf8(read, false))
      isFirst = false
    }
    if (inUtf8 !== null) takeBytes(inUtf8(Buffer.alloc(0), true))
    if (restLength > 0) line(Buffer.concat(rest))
    if (consumed === 0) throw inputError(file, 'at least one row', 'an empty file')
  })

/** Bytes of the byte-order mark. @throws InputError for a mark of UTF-16 */
const markLength = (file: string, bytes: Buffer, hasFlag: boolean): number => {
  const utf16 = utf16Mark(bytes)
  if (utf16 !== null) throw inputError(file, utf8Expected(hasFlag, utf16), 'text in UTF-16')
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
}
