/** Prose of a Markdown file: paragraphs, list items and headings, without code, tables, HTML and front matter. */
import type { Text, Violation } from './rules.js'

export const longestParagraph = 5
/** Columns of a line, as a reader sees it: a paragraph on one long line has several. */
const lineColumns = 110

const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', amp: '&', quot: '"' }

/** Text as a reader sees it: a link is its words, an image its description. */
export const visible = (markdown: string): string =>
  markdown
    .replace(/<!--[\s\S]*?-->/g, '')
    .replace(/!\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
    .replace(/<\/?[a-z][^>]*>/gi, '')
    .replace(/\*\*|__/g, '')
    .replace(/&(lt|gt|amp|quot);/g, (_, name: string) => entities[name] ?? '')

type Block = { readonly line: number; readonly text: string; readonly isParagraph: boolean }

const isTable = (line: string): boolean => /^\s*\|/.test(line)
const startsItem = (line: string): boolean => /^\s*([-*+]|\d+\.)\s/.test(line)

const blocksOf = (markdown: string): ReadonlyArray<Block> => {
  const blocks: Block[] = []
  let [open, start, item, fence]: [string[], number, boolean, string | null] = [[], 0, false, null]
  const close = (): void => {
    if (open.length > 0) blocks.push({ line: start, text: open.join('\n'), isParagraph: !item })
    open = []
  }
  // front matter and comments keep their line feeds, so that line numbers stay
  const plain = markdown.replace(/^---\n[\s\S]*?\n---\n|<!--[\s\S]*?-->/g, (hidden) => hidden.replace(/[^\n]/g, ''))
  plain.split('\n').forEach((line, i) => {
    const [, mark = ''] = /^\s*(```+|~~~+|:::)/.exec(line) ?? []
    if (fence !== null) {
      if (mark.startsWith(fence)) fence = null
      return
    }
    if (mark !== '') {
      close()
      if (mark !== ':::') fence = mark
      return
    }
    const isHeading = /^#+ /.test(line)
    if (line.trim() === '' || isTable(line) || isHeading || startsItem(line)) close()
    if (line.trim() === '' || isTable(line)) return
    if (isHeading) return void blocks.push({ line: i + 1, text: line.replace(/^#+ /, ''), isParagraph: false })
    if (open.length === 0) [start, item] = [i + 1, startsItem(line)]
    open.push(line.replace(/^\s*([-*+]|\d+\.|>)\s+/, ''))
  })
  close()
  return blocks
}

export const markdownTexts = (file: string, markdown: string): ReadonlyArray<Text> =>
  blocksOf(markdown).map(({ line, text }) => ({ file, line, kind: 'prose', text: visible(text) }))

export const longParagraphs = (file: string, markdown: string): ReadonlyArray<Violation> =>
  blocksOf(markdown).flatMap(({ line, text, isParagraph }) => {
    const shown = visible(text)
    const lines = Math.max(shown.split('\n').length, Math.ceil(shown.replace(/\s+/g, ' ').length / lineColumns))
    return isParagraph && lines > longestParagraph
      ? [{ file, line, kind: 'prose', rule: `${lines} lines in a paragraph`, excerpt: shown.slice(0, 80).replace(/\s+/g, ' ') }]
      : []
  })
