/** Text from a folder as a page and a drawing show it: one line, of bounded length, with no character that XML or a terminal would obey. */
import { oneLine } from '../../accelerated/errors/inputError.js'

const longest = 200

/** Control characters are shown escaped; what is no character (half a pair, U+FFFE) becomes U+FFFD; what is longer than 200 is cut. */
export const escapeText = (text: string): string => {
  const line = oneLine(text.slice(0, 10 * longest)).replace(/[\p{Cs}\uFFFE\uFFFF]/gu, '\uFFFD')
  const characters = [...line]
  return characters.length > longest ? `${characters.slice(0, longest - 1).join('')}…` : line
}

const signs: Readonly<Record<string, string>> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }

/** For the text and the attributes of HTML. */
export const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (sign) => signs[sign] ?? sign)
