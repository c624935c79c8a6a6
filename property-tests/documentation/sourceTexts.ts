/** Comments and strings of a TypeScript file. A scanner of tokens suffices for this. */

type Token = { readonly kind: 'comment' | 'string'; readonly line: number; readonly text: string; readonly before: string }

/** What may precede a regular expression; after a value, a slash divides. */
const beforeRegex = /(?:^|[([{,;:=!&|?+\-*%~^<>}]|\b(?:return|typeof|case|in|of|yield|await|else|do))\s*$/

const escapes: Readonly<Record<string, string>> = { n: '\n', t: '\t', "'": "'", '"': '"', '`': '`', '\\': '\\' }

/** Comments and strings, in order. `${…}` in a template becomes one word, and its own strings are tokens too. */
export const tokensOf = (source: string): readonly Token[] => {
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
