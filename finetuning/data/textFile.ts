/** A text file in memory: its bytes, checked to be UTF-8 and of bounded size, and its lines with their numbers. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { SystemError } from '../../accelerated/errors/systemError.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import { withFile, type Storage } from '../../accelerated/storage/storage.js'
import { isUtf8 } from '../../accelerated/storage/native.js'
import { transcoder, utf8, utf8Expected } from './encoding.js'
import { atRow } from './dataset.js'
import { MAXIMUM_BYTES, tooLarge, readAllText } from './textPieces.js'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * The bytes of `file` in UTF-8, without byte-order mark. @param encoding of the file; undefined: UTF-8, and no flag names another
 * @throws InputError if the file is missing, is not a regular file, cannot be read, or holds no text. It refuses more than 2 GiB before it reads,
 * and bytes that are not UTF-8, with the row.
 */
export const readUtf8 = async (file: string, encoding?: string, storage: Storage = nodeFiles): Promise<Buffer> => {
  await checkSize(file, storage)
  const read = await readable(file, () => withFile(storage, file, (open) => readAllText(file, open)))
  return textIn(file, read, encoding)
}

/** The same of bytes that have been read. @throws InputError if they hold no text, or are not in the encoding */
export const textIn = (file: string, read: Buffer, encoding?: string): Buffer => {
  const bytes =
    encoding === undefined || encoding === utf8 ? withoutMark(file, read, encoding !== undefined) : transcoded(file, read, encoding)
  if (findTextEnd(bytes) === 0) throw inputError(file, 'at least one row', 'an empty file')
  return bytes
}

/** Bytes that are decoded at once. */
const piece = 2 ** 22

/** Piece by piece: a text of 2 GiB does not fit into one JavaScript string. */
const transcoded = (file: string, bytes: Buffer, encoding: string): Buffer => {
  const inUtf8 = transcoder(file, encoding)
  const pieces: Buffer[] = []
  for (let at = 0; at < bytes.length; at += piece) pieces.push(inUtf8(bytes.subarray(at, at + piece), at + piece >= bytes.length))
  return Buffer.concat(pieces)
}

export type Line = { readonly row: number; readonly start: number; readonly end: number }

/**
 * The lines of `bytes` as byte ranges. LF or CRLF ends a line, the last line needs no end, and empty lines after it do not count.
 * They are ranges, not strings: a cell that is decoded alone does not keep its whole line in memory. MNLI's parses are four fifths of its file.
 */
export function* lines(bytes: Buffer): Generator<Line> {
  const last = findTextEnd(bytes)
  for (let start = 0, row = 1; start <= last && last > 0; row++) {
    const feed = bytes.indexOf(LINE_FEED, start)
    const next = feed === -1 || feed > last ? last : feed
    const end = next > start && bytes[next - 1] === CARRIAGE_RETURN ? next - 1 : next
    yield { row, start, end }
    start = next + 1
  }
}

/** @throws InputError if `file` is missing, is not a regular file or is larger than 2 GiB */
export const checkSize = async (file: string, storage: Storage = nodeFiles): Promise<void> => {
  const info = await readable(file, () => storage.stat(file))
  if (info === null) throw inputError(file, 'a file', 'none there')
  if (info.kind === 'folder') throw inputError(file, 'a file', 'a folder')
  if (info.kind === 'other') throw inputError(file, 'a regular file', 'a device or a pipe')
  if (info.size > MAXIMUM_BYTES) throw tooLarge(file, info.size)
}

/** @throws InputError with the system's code if the system fails */
const readable = async <T>(file: string, read: () => Promise<T>): Promise<T> => {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    throw inputError(file, 'a file that can be read', `an error of the system (${error.code})`)
  }
}

/** @throws InputError if the bytes are not UTF-8 */
const withoutMark = (file: string, bytes: Buffer, hasFlag: boolean): Buffer => {
  if (isUtf8(bytes)) {
    const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
    return marked ? bytes.subarray(3) : bytes
  }
  const utf16 = utf16Mark(bytes)
  if (utf16 !== null) throw inputError(file, utf8Expected(hasFlag, utf16), 'text in UTF-16')
  return checkUtf8(file, bytes, hasFlag)
}

/** @param firstRow the row that the bytes begin @throws InputError with the row of the first line that is not UTF-8 */
export const checkUtf8 = (file: string, bytes: Buffer, hasFlag: boolean, firstRow = 1): Buffer => {
  if (isUtf8(bytes)) return bytes
  for (const { row, start, end } of lines(bytes)) {
    if (!isUtf8(bytes.subarray(start, end)))
      throw inputError(atRow(file, firstRow + row - 1), utf8Expected(hasFlag, 'windows-1252'), 'bytes that are not UTF-8')
  }
  throw new Error('checkUtf8: bytes that are not UTF-8 must have a line that is not')
}

/** The encoding that a byte-order mark of UTF-16 says; null without one. */
export const utf16Mark = (bytes: Buffer): 'utf-16le' | 'utf-16be' | null =>
  bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : null

/** The end of the last line that is not empty. */
const findTextEnd = (bytes: Buffer): number => {
  let end = bytes.length
  while (end > 0 && (bytes[end - 1] === LINE_FEED || bytes[end - 1] === CARRIAGE_RETURN)) end--
  return end
}
