/** Texts of a TypeScript file: comments, strings of several words, and the titles of tests. A scanner of tokens suffices for this. */
import type { Text } from './rules.js'

type Token = { readonly kind: 'comment' | 'string'; readonly line: number; readonly text: string; readonly before: string }

/** What may precede a regular expression; after a value, a slash divides. */
const beforeRegex = /(?:^|[([{,;:=!&|?+\-*%~^<>}]|\b(?:return|typeof|case|in|of|yield|await|else|do))\s*$/

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', "'": "'", '"': '"', '`': '`', '\\': '\\' }

/** Comments and strings, in order. `${…}` in a template becomes one word, and its own strings are tokens too. */
export const tokensOf = (source: string): ReadonlyArray<Token> => {
  const tokens: Token[] = []
  let at = 0
  const lineAt = (index: number): number => source.slice(0, index).split('\n').length
  const push = (kind: Token['kind'], start: number, text: string): void =>
    void tokens.push({ kind, line: lineAt(start), text, before: source.slice(Math.max(0, start - 400), start) })

  const quotedText = (quote: string): string => {
    let text = ''
    for (at += 1; at < source.length && source[at] !== quote; at += 1)
      if (source[at] === '\\') {
        at += 1
        text += escapes[source[at] ?? ''] ?? source[at] ?? ''
      } else if (quote === '`' && source[at] === '$' && source[at + 1] === '{') {
        at += 2
        code('}')
        text += '`x`'
      } else text += source[at]
    return text
  }
  const regex = (): void => {
    let inClass = false
    for (at += 1; at < source.length && (inClass || source[at] !== '/'); at += 1) {
      if (source[at] === '\\') at += 1
      else if (source[at] === '[') inClass = true
      else if (source[at] === ']') inClass = false
    }
  }
  /** Up to the bracket that closes this code, or to the end. */
  const code = (end: string | null): void => {
    let depth = 0
    for (; at < source.length; at += 1) {
      const [here, next] = [source[at] ?? '', source[at + 1] ?? '']
      if (here === end && depth === 0) return
      if (here === '{') depth += 1
      else if (here === '}') depth -= 1
      else if (here === '/' && next === '/') {
        const stop = source.indexOf('\n', at) === -1 ? source.length : source.indexOf('\n', at)
        push('comment', at, source.slice(at + 2, stop))
        at = stop - 1
      } else if (here === '/' && next === '*') {
        const stop = source.indexOf('*/', at + 2)
        push('comment', at, source.slice(at + 2, stop))
        at = stop + 1
      } else if (here === '/' && beforeRegex.test(source.slice(Math.max(0, at - 30), at))) regex()
      else if (here === "'" || here === '"' || here === '`') {
        const start = at
        push('string', start, quotedText(here))
      }
    }
  }
  code(null)
  return tokens
}

/** A comment's words: no stars, and each tag begins a paragraph. */
const commentText = (comment: string): string =>
  comment
    .replace(/^\*+/, '')
    .replace(/^\s*\*+ ?/gm, '')
    .replace(/^\s*- /gm, '\n\n')
    .replace(/@(param|returns?|throws|see|example)\b(\s+\{[^}]*\})?/g, '\n\n')
    .trim()

const isTitle = ({ before }: Token): boolean =>
  /\b(it|test|describe)(\.(each|skipIf|runIf|concurrent|for)\b(\([^\n]*\))?)*\(\s*$/.test(before) ||
  /(\]|\))\)\(\s*$/.test(before) ||
  /\b(it|test|describe)\.each[\s\S]*\)\(\s*$/.test(before)

/** Several words with spaces between them, and no code, path or markup. */
const isSentence = (text: string): boolean =>
  (text.match(/\p{L}{2,}/gu) ?? []).length >= 3 &&
  / \p{L}/u.test(text) &&
  !/[{};]\s*$|^\s*[<{]|=>|:\s*#|\bimport\b.*\bfrom\b|\d+px\b/.test(text)

const isTest = (file: string): boolean => file.startsWith('property-tests/')

/** In a test, strings are data, except titles. */
export const typescriptTexts = (file: string, source: string): ReadonlyArray<Text> =>
  tokensOf(source).flatMap((token): ReadonlyArray<Text> => {
    const { kind, line } = token
    if (kind === 'comment') {
      const text = commentText(token.text)
      return /^(biome-ignore|cspell|@ts-)/.test(text) ? [] : [{ file, line, kind: 'comment', text }]
    }
    if (isTest(file)) return isTitle(token) ? [{ file, line, kind: 'title', text: token.text }] : []
    return isSentence(token.text) ? [{ file, line, kind: 'message', text: token.text.replace(/<[^<>]*>/g, ' ') }] : []
  })
