/** The commands in the shell blocks and code spans of a page, as the words that a shell passes to them. */
import { codeBlocksOf } from './pages.js'

/** What these two commands write; of another nothing is known. */
const printedBy = (command: string | undefined, text: string): string => {
  if (command === 'echo') return `${text}\n`
  return command === 'printf' ? text.replaceAll('\\t', '\t').replaceAll('\\n', '\n') : ''
}

/** Words of one command; what `echo` or `printf` pipes into it is `input`, and the file that it is redirected to `output`. */
export type ShellCommand = { readonly words: readonly string[]; readonly input: string; readonly output?: string }

/** The lines of a shell block: continuations joined, comments left out. */
export const shellLines = (code: string): readonly string[] =>
  code
    .replaceAll(/\s*\\\n\s*/g, ' ')
    .split('\n')
    .map((line) => line.replace(/('[^']*'|"[^"]*")|(?:^|\s)#.*$/g, (_, quoted = '') => quoted).trim())
    .filter((line) => line !== '')

const piece = /\s+|(\|\||&&|[|;]|>)|((?:'[^']*'|"[^"]*"|[^\s'"|;&>])+)/g

/** Cuts a line into commands at `|`, `;` and `&&`. */
export const shellCommands = (line: string): readonly ShellCommand[] => {
  const commands: { words: string[]; input: string; output?: string }[] = [{ words: [], input: '' }]
  let isTarget = false
  for (const [, operator, word] of line.matchAll(piece)) {
    const last = commands.at(-1)
    if (operator === '>') isTarget = true
    else if (operator !== undefined) {
      const [first, ...texts] = last?.words ?? []
      commands.push({ words: [], input: operator === '|' ? printedBy(first, texts.join(' ')) : '' })
    } else if (word !== undefined) {
      const text = word.replace(/'([^']*)'|"([^"]*)"/g, (_, single?: string, double?: string) => single ?? double ?? '')
      if (!isTarget) last?.words.push(text)
      else if (last !== undefined) last.output = text
      isTarget = false
    }
  }
  return commands.filter(({ words }) => words.length > 0)
}

/** What follows `salora` or `npx salora`; null for another program. */
export const saloraWords = (words: readonly string[]): readonly string[] | null => {
  const command = words[0] === 'npx' ? words.slice(1) : words
  return command[0] === 'salora' ? command.slice(1) : null
}

export type PlacedCommand = { readonly place: string; readonly words: readonly string[] }

/** Commands of salora in the shell blocks of a page. */
export const saloraCommands = (page: string, markdown: string): readonly PlacedCommand[] =>
  codeBlocksOf(page, markdown)
    .filter(({ language }) => language === 'sh')
    .flatMap(({ line, code }) => shellLines(code).flatMap((text) => placedCommands(`${page}:${line}`, text)))

/** Commands of salora in the code spans of a page's sentences; words after a comma are no part of them. */
export const saloraSpans = (page: string, markdown: string): readonly PlacedCommand[] =>
  [...withoutBlocks(markdown).matchAll(/`((?:npx )?salora [^`]+)`/g)].flatMap(([, code = '']) =>
    placedCommands(page, code.replaceAll(/\s+/g, ' ').replace(/, .*$/, '')),
  )

/** The page without its code blocks. */
export const withoutBlocks = (markdown: string): string => markdown.replace(/^ *```[\s\S]*?^ *```/gm, '')

const placedCommands = (place: string, text: string): readonly PlacedCommand[] =>
  shellCommands(text).flatMap((command) => {
    const words = saloraWords(command.words)
    return words === null ? [] : [{ place: `${place}: ${text}`, words }]
  })
