/** Reads a text file in UTF-8, piece by piece and within bounds: its lines, each with its number, or whole records. A gzip file is unpacked as it is read. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import { withFile, type OpenFile, type Storage } from '../../accelerated/storage/storage.js'
import { gunzipped, isGzip } from '../../accelerated/storage/text.js'
import { longestRow, rowTooLong } from './rows.js'
import { transcoder, utf8 } from './encoding.js'
import { checkUtf8, lines, markLength, MAXIMUM_BYTES, readable, tooLarge } from './textFile.js'

const [lineFeed, carriageReturn, quotationMark] = [0x0a, 0x0d, 0x22]

/**
 * Passes each line of `file` to `take`, without byte-order mark and end of line (LF or CRLF). The bytes are valid until `take` returns. Empty lines
 * at the end do not count. @param encoding of the file; undefined: UTF-8, and no flag names another. @throws InputError if the file is not a regular file, too large, empty or not UTF-8, or a line is too long
 */
export const eachLine = async (
  file: string,
  take: (row: number, line: Buffer) => void,
  encoding?: string,
  storage: Storage = nodeFiles,
): Promise<void> => {
  let [row, consumed] = [0, 0]
  const takeLine = (bytes: Buffer): void => {
    row++
    const end = bytes.at(-1) === carriageReturn ? bytes.length - 1 : bytes.length
    if (end === 0) return // an empty line counts once another line follows
    for (; consumed + 1 < row; consumed++) take(consumed + 1, bytes.subarray(0, 0))
    take(row, bytes.subarray(0, end))
    consumed = row
  }
  const takeLines = (bytes: Buffer): void => {
    let start = 0
    for (let feed = bytes.indexOf(lineFeed); feed !== -1; feed = bytes.indexOf(lineFeed, start)) {
      takeLine(bytes.subarray(start, feed))
      start = feed + 1
    }
    if (start < bytes.length) takeLine(bytes.subarray(start))
  }
  await eachRecords(file, takeLines, { isQuoted: false, encoding }, storage)
  if (consumed === 0) throw inputError(file, 'at least one row', 'an empty file')
}

/**
 * Passes the text of `file` to `take` in whole records, many at a time, with the row that they begin. A line feed ends a record; with `isQuoted`,
 * only after an even number of quotation marks. Of a record that is too long, the whole lines are passed: `take` finds the stray mark that makes it long.
 * @throws InputError as `eachLine`
 */
export const eachRecords = (
  file: string,
  take: (records: Buffer, row: number) => void,
  { isQuoted, encoding }: { readonly isQuoted: boolean; readonly encoding: string | undefined },
  storage: Storage = nodeFiles,
): Promise<void> =>
  eachPiece(file, encoding, storage, async (pieces) => {
    let rest: Buffer[] = [] // the beginning of a record whose end has not been read
    let [restLength, isInside] = [0, false]
    let [first, row] = [1, 1] // of the rest, and of the byte that is read
    const takeAll = (bytes: Buffer): void => take(checkUtf8(file, bytes, encoding !== undefined, first), first)
    for await (const bytes of pieces) {
      let [end, next] = [0, first]
      for (let at = 0; at < bytes.length; at++) {
        if (bytes[at] === quotationMark) isInside = isQuoted && !isInside
        else if (bytes[at] === lineFeed) {
          row++
          if (!isInside) [end, next] = [at + 1, row]
        }
      }
      if (end > 0) {
        takeAll(Buffer.concat([...rest, bytes.subarray(0, end)]))
        ;[rest, restLength, first] = [[], 0, next]
      }
      rest.push(bytes.subarray(end))
      restLength += bytes.length - end
      if (restLength > longestRow) {
        const long = Buffer.concat(rest)
        takeAll(long.subarray(0, long.lastIndexOf(lineFeed) + 1))
        throw rowTooLong(file, first, restLength)
      }
    }
    if (restLength > 0) takeAll(Buffer.concat(rest))
  })

/** The text of `file`. @throws InputError as `eachLine`, and for more bytes than a row may have */
export const readText = (file: string, encoding: string, storage: Storage = nodeFiles): Promise<string> =>
  eachPiece(file, encoding, storage, async (pieces) => {
    const read: Buffer[] = []
    let length = 0
    for await (const bytes of pieces) {
      length += bytes.length
      if (length > longestRow) throw inputError(file, `at most ${longestRow} bytes`, 'more')
      read.push(bytes)
    }
    const text = checkUtf8(file, Buffer.concat(read), true)
    if (lines(text).next().done === true) throw inputError(file, 'at least one row', 'an empty file')
    return text.toString('utf8')
  })

type Pieces = AsyncGenerator<Buffer>

const eachPiece = <T>(file: string, encoding: string | undefined, storage: Storage, use: (pieces: Pieces) => Promise<T>): Promise<T> =>
  readable(file, () => withFile(storage, file, (open) => use(utf8Pieces(file, open, encoding))))

/** Without byte-order mark, and in UTF-8 if the file is in its encoding. */
async function* utf8Pieces(file: string, open: OpenFile, encoding: string | undefined): Pieces {
  const inUtf8 = encoding === undefined || encoding === utf8 ? null : transcoder(file, encoding)
  let isFirst = true
  for await (const read of textPieces(file, open)) {
    yield inUtf8 === null ? read.subarray(isFirst ? markLength(file, read, encoding !== undefined) : 0) : inUtf8(read, false)
    isFirst = false
  }
  if (inUtf8 !== null) yield inUtf8(Buffer.alloc(0), true)
}

/** Bytes that are read at once. */
const piece = 2 ** 22

/** @throws InputError if the file is larger than 2 GiB, packed or not, or is a damaged gzip file */
async function* textPieces(file: string, { size, read }: OpenFile): Pieces {
  if (size > MAXIMUM_BYTES) throw tooLarge(file, size)
  const stored = async function* (): AsyncGenerator<Uint8Array> {
    for (let at = 0; at < size; at += piece) yield await read(at, Math.min(piece, size - at))
  }
  const isPacked = isGzip(await read(0, Math.min(2, size)))
  let length = 0
  for await (const bytes of isPacked ? gunzipped(file, stored()) : stored()) {
    length += bytes.length
    if (length > MAXIMUM_BYTES) throw tooLarge(file, length)
    yield Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
  }
}
