/** The site: its navigation, its search, and what becomes of links to files of the repository that are no pages. */
import { readFileSync } from 'node:fs'
import { join, posix } from 'node:path'
import { defineConfig, type DefaultTheme } from 'vitepress'

const docs = join(import.meta.dirname, '..')

/** Where the repository's files are shown, as `https://HOST/OWNER/salora/blob/main`; without it, links to them are plain words. */
const source = process.env['SALORA_SOURCE_URL']?.replace(/\/$/, '')

const titleOf = (page: string): string => /^# (.+)$/m.exec(readFileSync(join(docs, page), 'utf8'))?.[1]?.replaceAll('`', '') ?? page

/** Sidebar entries with the titles of their pages. */
const pages = (folder: string, names: readonly string[]): DefaultTheme.SidebarItem[] =>
  names.map((name) => ({ text: titleOf(`${folder}/${name}.md`), link: `/${folder}/${name}` }))

const sidebar: DefaultTheme.SidebarItem[] = [
  { text: 'Tutorials', items: pages('tutorials', ['first-classifier', 'instruction-model', 'reproduce-a-table']) },
  {
    text: 'How-to guides',
    items: pages('how-to', [
      'your-own-data',
      'token-classification',
      'sentence-embeddings',
      'decoders',
      'choose-a-method',
      'training',
      'add-tokens',
      'memory-and-gpus',
      'several-machines',
      'report-and-board',
      'compare-methods',
      'exports',
      'llama-cpp',
      'serve',
      'library',
      'browser',
      'from-peft',
      'troubleshooting',
    ]),
  },
  {
    text: 'Reference',
    items: [
      ...pages('reference', ['commands', 'settings', 'models-and-methods', 'processors', 'run-folder', 'kernels', 'glossary']),
      { text: 'API', link: '/api/', collapsed: true, items: apiPages() },
    ],
  },
  {
    text: 'Explanation',
    items: pages('explanation', ['paper', 'graphs-and-gradients', 'low-precision', 'exactness', 'bounds', 'growth']),
  },
  { text: 'Results', items: pages('results', ['salora-and-lora', 'speed', 'memory', 'agreement', 'several-machines']) },
]

/** The API's pages, which TypeDoc has just written. */
function apiPages(): DefaultTheme.SidebarItem[] {
  return JSON.parse(readFileSync(join(docs, 'api/typedoc-sidebar.json'), 'utf8')) as DefaultTheme.SidebarItem[]
}

export default defineConfig({
  title: 'salora',
  description: 'Parameter-efficient fine-tuning of transformers from Node',
  cleanUrls: true,
  head: [['link', { rel: 'icon', href: 'data:,' }]],
  // results have wide tables and few headings
  transformPageData: (page) => {
    if (page.relativePath.startsWith('results/')) Object.assign(page.frontmatter, { aside: false, pageClass: 'wide' })
  },
  srcExclude: ['node_modules/**'],
  vite: { build: { chunkSizeWarningLimit: 2_000 } }, // the search index holds the text of every page
  themeConfig: {
    nav: [
      { text: 'Tutorials', link: '/tutorials/first-classifier' },
      { text: 'How-to', link: '/how-to/your-own-data' },
      { text: 'Commands', link: '/reference/commands' },
      { text: 'API', link: '/api/' },
      { text: 'Results', link: '/results/salora-and-lora' },
    ],
    sidebar,
    outline: [2, 3],
    search: { provider: 'local' },
  },
  markdown: {
    attrs: { disable: true },
    config: (md) => {
      // A placeholder such as <folder> in a comment of the code is text, not an element.
      md.renderer.rules.html_inline = (tokens, i) => {
        const { content } = tokens[i]!
        return /^<(!--|\/?(a|br|code|em|img|span|strong|sub|sup)\b)/.test(content) ? content : md.utils.escapeHtml(content)
      }
      // On a code host, pages link to source files beside docs/. In the site, those links go to the code host, or are plain words.
      md.core.ruler.push('repository-links', ({ tokens, env }) => {
        for (const { children } of tokens) {
          const closing: string[] = []
          for (const token of children ?? []) {
            if (token.type === 'link_open') {
              const href = token.attrGet('href') ?? ''
              const path = posix.join(posix.dirname((env as { relativePath?: string }).relativePath ?? ''), href)
              const isOutside = !/^[a-z]+:|^[/#]/.test(href) && path.startsWith('../')
              if (isOutside && source !== undefined) token.attrSet('href', `${source}/${path.slice(3)}`)
              const isPlain = isOutside && source === undefined
              if (isPlain) token.tag = 'span'
              if (isPlain) token.attrs = null
              closing.push(isPlain ? 'span' : 'a')
            } else if (token.type === 'link_close') token.tag = closing.pop() ?? 'a'
          }
        }
      })
    },
  },
})
