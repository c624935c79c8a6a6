/** A text file: its bytes, known to be UTF-8 and of bounded size, and its lines with their numbers. */
import { isUtf8 } from 'node:buffer'
import { readFileSync, statSync } from 'node:fs'
import * as E from 'fp-ts/lib/Either.js'
import { pipe } from 'fp-ts/lib/function.js'
import { type InputError, inputError } from '../../accelerated/errors/inputError.js'
import { atRow } from './errorText.js'

/** Node reads at most this many bytes at once (2 GiB less one). */
export const MAXIMUM_BYTES = 2 ** 31 - 1

const LINE_FEED = 0x0a
const CARRIAGE_RETURN = 0x0d

/**
 * The bytes of `file` without byte-order mark. A mistake if the file is missing, is not a regular file, cannot be read, is
 * larger than 2 GiB (asked before it is read), holds no text, or is not UTF-8 (the row is named).
 */
export const readUtf8 = (file: string): E.Either<InputError, Buffer> =>
  pipe(
    knownSize(file),
    E.chain(() =>
      E.tryCatch(
        () => readFileSync(file),
        (error) => inputError(file, 'a file that can be read', code(error)),
      ),
    ),
    E.chain(utf8(file)),
    E.filterOrElse(
      (bytes) => endOfText(bytes) > 0,
      () => inputError(file, 'at least one row', 'an empty file'),
    ),
  )

export type Line = { readonly row: number; readonly start: number; readonly end: number }

/**
 * The lines of `bytes` as byte ranges: LF or CRLF ends a line, the last needs no end, and empty lines after it do not count.
 * Ranges, not strings: a cell that is decoded by itself does not keep its whole line in memory, which for MNLI's parses is
 * four fifths of the file.
 */
export function* lines(bytes: Buffer): Generator<Line> {
  const last = endOfText(bytes)
  for (let start = 0, row = 1; start <= last && last > 0; row++) {
    const feed = bytes.indexOf(LINE_FEED, start)
    const next = feed === -1 || feed > last ? last : feed
    const end = next > start && bytes[next - 1] === CARRIAGE_RETURN ? next - 1 : next
    yield { row, start, end }
    start = next + 1
  }
}

/** @throws Mistake for what is no plain file, or too large */
export const checkSize = (file: string): void => {
  const size = knownSize(file)
  if (E.isLeft(size)) throw size.left
}

const knownSize = (file: string): E.Either<InputError, number> => {
  const found = E.tryCatch(() => statSync(file, { throwIfNoEntry: false }), code)
  if (E.isLeft(found)) return E.left(inputError(file, 'a file that can be read', found.left))
  const stat = found.right
  if (stat === undefined) return E.left(inputError(file, 'a file', 'none there'))
  if (stat.isDirectory()) return E.left(inputError(file, 'a file', 'a folder'))
  if (!stat.isFile()) return E.left(inputError(file, 'a regular file', 'a device or a pipe'))
  return stat.size > MAXIMUM_BYTES
    ? E.left(inputError(file, `at most ${MAXIMUM_BYTES} bytes (2 GiB)`, `${stat.size} bytes`))
    : E.right(stat.size)
}

const utf8 =
  (file: string) =>
  (bytes: Buffer): E.Either<InputError, Buffer> => {
    if (isUtf8(bytes)) {
      const marked = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf
      return E.right(marked ? bytes.subarray(3) : bytes)
    }
    const utf16 = (bytes[0] === 0xff && bytes[1] === 0xfe) || (bytes[0] === 0xfe && bytes[1] === 0xff)
    if (utf16) return E.left(inputError(file, 'text in UTF-8', 'text in UTF-16'))
    for (const { row, start, end } of lines(bytes)) {
      if (!isUtf8(bytes.subarray(start, end))) return E.left(inputError(atRow(file, row), 'text in UTF-8', 'bytes that are not UTF-8'))
    }
    throw new Error('utf8: bytes that are not UTF-8 as a whole must hold such a line')
  }

/** Where the last line ends that is not empty. */
const endOfText = (bytes: Buffer): number => {
  let end = bytes.length
  while (end > 0 && (bytes[end - 1] === LINE_FEED || bytes[end - 1] === CARRIAGE_RETURN)) end--
  return end
}

const code = (error: unknown): string =>
  `an error of the system (${error instanceof Error && 'code' in error ? String(error.code) : String(error)})`
