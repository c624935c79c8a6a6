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

/** The API's modules, which TypeDoc has just written: each lists its symbols. Every page of the site holds the sidebar, so it has no symbols. */
function apiPages(): DefaultTheme.SidebarItem[] {
  const listed = readFileSync(join(docs, 'api/index.md'), 'utf8').matchAll(/^- \[(.+)\]\((.+)index\.md\)$/gm)
  return [...listed].map(([, text, folder]) => ({ text, link: `/api/${folder}` }))
}

/** The picture of the home page is wider than the theme's logos; colors have enough contrast, and a button's words are its accessible name. */
const homeStyle = `.VPHero.has-image .image { margin: 0 0 24px }
.VPHero .image-container { width: auto; height: auto; transform: none; flex: 1 }
.VPHero .VPImage.image-src { position: static; transform: none; max-width: min(100%, 520px); max-height: none; border-radius: 8px; border: 1px solid var(--vp-c-divider) }
.VPHero .image-bg { display: none }
.VPHome .vp-doc.container { padding: 0 24px }
.DocSearch-Button-Keys.DocSearch-Button-Keys { display: none }
:root:root { --vp-button-brand-bg: #3a5ccc; --vp-code-lang-color: var(--vp-c-text-2) }`

const resultsButton = { text: 'How good is it?', link: '/results/salora-and-lora' }

/** Guides come before results, and the API last. It runs in the browser, so that it refers to nothing outside. */
const boostDocument = (id: string): number => (/^\/(tutorials|how-to)\//.test(id) ? 3 : /^\/api\//.test(id) ? 0.3 : 1)

export default defineConfig({
  title: 'salora',
  description: 'Parameter-efficient fine-tuning of transformers from Node',
  cleanUrls: true,
  head: [
    ['link', { rel: 'icon', href: 'data:,' }],
    ['style', {}, homeStyle],
  ],
  // results have wide tables and few headings
  transformPageData: (page) => {
    if (page.relativePath.startsWith('results/')) Object.assign(page.frontmatter, { aside: false, pageClass: 'wide' })
    const hero = page.frontmatter['hero'] as { readonly actions: object[] } | undefined
    hero?.actions.push({
      theme: 'alt',
      ...(source === undefined ? resultsButton : { text: 'Source', link: source.replace(/\/blob\/.*/, '') }),
    })
  },
  srcExclude: ['node_modules/**'],
  vite: { build: { chunkSizeWarningLimit: 2_000 } }, // the search index holds the text of every page
  // the theme's home page has no main landmark
  transformHtml: (html) => html.replace('class="VPContent is-home"', 'class="VPContent is-home" role="main"'),
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
    search: {
      provider: 'local',
      options: { miniSearch: { searchOptions: { boostDocument } } },
    },
  },
  markdown: {
    attrs: { disable: true },
    theme: { light: 'github-light-high-contrast', dark: 'github-dark-high-contrast' }, // all colors have a contrast of 4.5
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
