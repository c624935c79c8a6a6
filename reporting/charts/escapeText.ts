/** Names from a folder as safe text: one line of at most 200 characters, without a character that XML or a terminal interprets. */
import { oneLine } from '../../accelerated/errors/inputError.js'

const maxLength = 200

/** Escapes control characters, replaces unpaired surrogates, U+FFFE and U+FFFF by U+FFFD, and truncates at 200 characters. */
export const escapeText = (text: string): string => {
  const line = oneLine(text.slice(0, 10 * maxLength)).replace(/[\p{Cs}\uFFFE\uFFFF]/gu, '\uFFFD')
  const characters = [...line]
  return characters.length > maxLength ? `${characters.slice(0, maxLength - 1).join('')}…` : line
}
