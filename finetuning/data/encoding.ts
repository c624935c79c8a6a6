/** Other encodings than UTF-8, such as Excel's Windows-1252: their bytes become UTF-8 before they are read. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option, words, type Words } from '../../accelerated/errors/words.js'

/** The encoding that salora reads by itself. */
export const utf8 = 'utf-8'

/** What Windows-1252 has in place of the control characters 0x80 to 0x9f of Latin-1; five of them stay (WHATWG's index). */
const windows1252 = '€\u0081‚ƒ„…†‡ˆ‰Š‹Œ\u008dŽ\u008f\u0090‘’“”•–—˜™š›œ\u009džŸ'

/** The encoding's name in the standard of the web: `latin1` is windows-1252. @throws InputError for an unknown name */
export const parseEncoding = (given: string): string => {
  try {
    return new TextDecoder(given.trim()).encoding
  } catch {
    throw inputError(option('encoding'), 'the name of an encoding, such as windows-1252, iso-8859-15, utf-16le or utf-8', quoted(given))
  }
}

/** Turns bytes, piece by piece, into UTF-8. With `isLast`, no more pieces follow. */
export type Transcoder = (piece: Uint8Array, isLast: boolean) => Buffer

/** @throws InputError, when it is called, for bytes that the encoding does not have */
export const transcoder = (file: string, encoding: string): Transcoder => {
  // Some versions of Node read Windows-1252 as Latin-1.
  if (encoding === 'windows-1252')
    return (piece) =>
      Buffer.from(
        Buffer.from(piece.buffer, piece.byteOffset, piece.byteLength)
          .toString('latin1')
          .replace(/[\u0080-\u009f]/g, (character) => windows1252[character.charCodeAt(0) - 0x80] ?? character),
      )
  const decoder = new TextDecoder(encoding, { fatal: true })
  return (piece, isLast) => {
    try {
      return Buffer.from(decoder.decode(piece, { stream: !isLast }))
    } catch {
      throw inputError(file, words`text in ${encoding} (${option('encoding')})`, 'bytes that are not')
    }
  }
}

/** The expectation that a text in another encoding misses. @param hasFlag whether an option can name its encoding */
export const utf8Expected = (hasFlag: boolean, likely: string): Words =>
  words`text in UTF-8${hasFlag ? words` (or ${option('encoding')} ${likely})` : ''}`
