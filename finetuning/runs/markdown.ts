/** Texts of unknown origin as Markdown: code spans, code blocks and lists that nothing in a text can leave. */
import { oneLine } from '../../accelerated/errors/inputError.js'

/** A lone surrogate has no UTF-8. */
export const wellFormed = (text: string): string => text.replace(/\p{Surrogate}/gu, '\ufffd')

const longestBackticks = (text: string): number => Math.max(0, ...(text.match(/`+/g) ?? []).map(({ length }) => length))

const shortened = (text: string): string => {
  const characters = Array.from(text.slice(0, 500))
  return text.length > 200 ? `${characters.slice(0, 200).join('')}…` : text
}

/** A code span: nothing in it is Markdown or HTML. Its fence is longer than any of the text's own. */
export const code = (text: string): string => {
  const shown = shortened(wellFormed(oneLine(text)))
  const fence = '`'.repeat(longestBackticks(shown) + 1)
  if (shown.trim() === '') return '(blank)'
  return fence.length > 1 || shown !== shown.trim() ? `${fence} ${shown} ${fence}` : fence + shown + fence
}

/** A block of shell commands. */
export const shellBlock = (text: string): string => codeBlock('sh', text)

export const codeBlock = (language: string, text: string): string => {
  const fence = '`'.repeat(Math.max(3, longestBackticks(text) + 1))
  return `${fence}${language}\n${wellFormed(text)}\n${fence}`
}

export const bulletList = (items: ReadonlyArray<string>): string => items.map((item) => `- ${item}`).join('\n')

/** At most 50 names, and how many more there are. */
export const codeList = (names: ReadonlyArray<string>, most = 50): string =>
  names.slice(0, most).map(code).join(', ') + (names.length > most ? ` and ${names.length - most} more` : '')

export const escapeHeading = (text: string): string => text.replace(/[\\`*_{}[\]<>()#+!|~&$@]/g, '\\$&')
