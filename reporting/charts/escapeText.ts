/** Texts from a folder as safe text: one line of bounded length, without a character that XML or a terminal interprets. */
import { oneLine } from '../../accelerated/errors/inputError.js'

/** Escapes control characters, replaces unpaired surrogates, U+FFFE and U+FFFF by U+FFFD, and truncates at `limit` characters. */
export const escapeTextTo =
  (limit: number) =>
  (text: string): string => {
    const line = oneLine(text.slice(0, 10 * limit)).replace(/[\p{Cs}\uFFFE\uFFFF]/gu, '\uFFFD')
    const characters = [...line]
    return characters.length > limit ? `${characters.slice(0, limit - 1).join('')}…` : line
  }

/** The same at 200 characters, for names. */
export const escapeText = escapeTextTo(200)
