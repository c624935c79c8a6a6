/** The Markdown pages of the repository: their links, headings and code blocks. */
import { readdirSync } from 'node:fs'

const ignored = new Set(['node_modules', 'dist', '.git', 'api', '.vitepress', 'fixtures', 'runs'])

/** Every Markdown page below a folder, as paths from the root with slashes. */
export const pagesBelow = (folder: string): readonly string[] =>
  readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => {
      const path = folder === '.' ? entry.name : `${folder}/${entry.name}`
      if (entry.isDirectory()) return ignored.has(entry.name) ? [] : pagesBelow(path)
      return entry.name.endsWith('.md') ? [path] : []
    })
    .sort()

const fence = /^( *)(`{3,}|~{3,})(.*)\n([\s\S]*?)^\1\2[ \t]*$/gm

const withoutCode = (markdown: string): string => markdown.replace(fence, '').replace(/<!--[\s\S]*?-->/g, '')

/** Targets of links and pictures, in order; none in code and comments. */
export const linksOf = (markdown: string): readonly string[] =>
  [
    ...withoutCode(markdown)
      .replace(/`[^`\n]*`\]?/g, (span) => (span.endsWith(']') ? span : '')) // the text of a link may be code
      .matchAll(/\]\(([^)\s]+)(?:\s+"[^"]*")?\)|\b(?:src|href)="([^"]+)"/g),
  ].map(([, link, attribute]) => link ?? attribute ?? '')

/** Anchors as code hosts and VitePress make them: lower case, words with hyphens; a repeated one gets a number. */
export const anchorsOf = (markdown: string): readonly string[] => {
  const counts = new Map<string, number>()
  const text = withoutCode(markdown)
  const headings = [...text.matchAll(/^#{1,6} (.+)$/gm)].map(([, heading = '']) => {
    const slug = heading
      .replace(/\[([^\]]*)\]\([^)]*\)/g, '$1')
      .toLowerCase()
      .replace(/[^\p{L}\p{N}\s_-]/gu, '')
      .trim()
      .replace(/\s/g, '-')
    const times = counts.get(slug) ?? 0
    counts.set(slug, times + 1)
    return times === 0 ? slug : `${slug}-${times}`
  })
  return [...headings, ...[...text.matchAll(/<a (?:id|name)="([^"]+)"/g)].map(([, id = '']) => id)]
}

export type CodeBlock = {
  readonly page: string
  readonly line: number
  readonly language: string
  readonly info: string
  readonly code: string
}

/** Code blocks of a page with the words after the language. */
export const codeBlocksOf = (page: string, markdown: string): readonly CodeBlock[] =>
  [...markdown.matchAll(fence)].map((block) => {
    const [, , , info = '', code = ''] = block
    const [language = '', ...rest] = info.trim().split(/\s+/)
    return { page, line: markdown.slice(0, block.index).split('\n').length, language, info: rest.join(' '), code }
  })
