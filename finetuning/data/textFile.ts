/** What a text file may be: a regular file of bounded size, its bytes UTF-8 in lines with numbers. */
import { type InputError, inputError } from '../../accelerated/errors/inputError.js'
import { SystemError } from '../../accelerated/errors/systemError.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import { isUtf8 } from '../../accelerated/storage/native.js'
import { utf8Expected } from './encoding.js'
import { atRow } from './dataset.js'

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/** Node reads at most this many bytes at once (2 GiB less one). */
export const MAXIMUM_BYTES = 2 ** 31 - 1

export const tooLarge = (file: string, bytes: number): InputError =>
  inputError(file, `at most ${MAXIMUM_BYTES} bytes (2 GiB)`, `${bytes} bytes`)

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
export const readable = async <T>(file: string, read: () => Promise<T>): Promise<T> => {
  try {
    return await read()
  } catch (error) {
    if (!(error instanceof SystemError)) throw error
    throw inputError(file, 'a file that can be read', `an error of the system (${error.code})`)
  }
}

/** Bytes of the byte-order mark. @throws InputError for a mark of UTF-16 */
export const markLength = (file: string, bytes: Buffer, hasFlag: boolean): number => {
  const utf16 = bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : null
  if (utf16 !== null) throw inputError(file, utf8Expected(hasFlag, utf16), 'text in UTF-16')
  return bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf ? 3 : 0
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

/** The end of the last line that is not empty. */
const findTextEnd = (bytes: Buffer): number => {
  let end = bytes.length
  while (end > 0 && (bytes[end - 1] === LINE_FEED || bytes[end - 1] === CARRIAGE_RETURN)) end--
  return end
}
