/** Text in pages: names from a folder as one safe line, and HTML in which every text is escaped. Page scripts import this file too. */
import { oneLine } from '../../accelerated/errors/inputError.js'
import { escapeHtml } from '../../evaluation/tables/tableText.js'

export type Html = { readonly html: string }
export type Content = Html | string | number | null | readonly Content[]

const renderContent = (content: Content): string => {
  if (content === null) return ''
  if (typeof content !== 'object') return escapeHtml(String(content))
  return 'html' in content ? content.html : content.map(renderContent).join('')
}

/** HTML with its values as text, unless they are HTML themselves; null is nothing. Attributes stand in quotation marks. */
export const html = (strings: TemplateStringsArray, ...values: readonly Content[]): Html => ({
  html: String.raw({ raw: strings }, ...values.map(renderContent)),
})

/** Escapes control characters, replaces unpaired surrogates, U+FFFE and U+FFFF by U+FFFD, and truncates at `limit` characters. */
export const escapeTextTo =
  (limit: number, escapeControls = oneLine) =>
  (text: string): string => {
    const line = escapeControls(text.slice(0, 10 * limit)).replace(/[\p{Cs}\uFFFE\uFFFF]/gu, '\uFFFD')
    const characters = [...line]
    return characters.length > limit ? `${characters.slice(0, limit - 1).join('')}…` : line
  }

/** The same at 200 characters, for names. */
export const escapeText = escapeTextTo(200)

/** The same for texts of several lines, whose line breaks and tabs stay: cells of the page's tables show them. */
export const escapeLines = escapeTextTo(200, (text) =>
  text
    .trim()
    .split(/\r\n?|\n/)
    .map((line) => line.split('\t').map(oneLine).join('\t'))
    .join('\n'),
)
