/** Every internal link of README, docs, examples and the other pages: its file exists, and so does the heading that it names. */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { posix } from 'node:path'
import { describe, expect, it } from 'vitest'
import { anchorsOf, linksOf, pagesBelow } from './pages.js'

const pages = pagesBelow('.')

describe('the links of the documentation', () => {
  it('are found: a page has links to pages, headings and files', () => {
    const page =
      '# Title\n[a](b.md#c "title") ![p](q.png) `[no](no.md)` [`x`](x.md), [`y`](y.md)\n```md\n[no](no.md)\n```\n<!-- [no](no.md) -->\n<img src="r.svg">'
    expect(linksOf(page)).toEqual(['b.md#c', 'q.png', 'x.md', 'y.md', 'r.svg'])
    expect(anchorsOf('# What `it` is (1)\n## A, B and C\n## A, B and C\n<a id="own"></a>\n```sh\n# no heading\n```\n')).toEqual([
      'what-it-is-1',
      'a-b-and-c',
      'a-b-and-c-1',
      'own',
    ])
    expect(pages.length).toBeGreaterThan(15)
  })

  it.each(pages)('the links of %s lead to files and headings that exist', (page) => {
    const dead = linksOf(readFileSync(page, 'utf8'))
      .filter((link) => !/^[a-z]+:/.test(link))
      .filter((link) => {
        const [path = '', anchor] = link.split('#')
        const file = path === '' ? page : posix.join(posix.dirname(page), decodeURIComponent(path))
        if (file.startsWith('docs/api/')) return false // TypeDoc writes these when the site is built
        if (!existsSync(file)) return true
        if (anchor === undefined)
          return statSync(file).isDirectory() && file.startsWith('docs/') && !existsSync(posix.join(file, 'index.md'))
        return !file.endsWith('.md') || !anchorsOf(readFileSync(file, 'utf8')).includes(anchor)
      })
    expect(dead).toEqual([])
  })

  it.each(pages.filter((page) => page.startsWith('docs/')))(
    'the tables of %s have no empty header, which a screen reader would announce',
    (page) =>
      expect(
        readFileSync(page, 'utf8')
          .match(/^\|.*\|(?=\n\| ?:?-)/gm)
          ?.filter((row) => /\| +(?=\|)/.test(row)) ?? [],
      ).toEqual([]),
  )

  it('reach every page of docs from the sidebar or from another page', () => {
    const linked = new Set(
      pages.flatMap((page) => linksOf(readFileSync(page, 'utf8')).map((link) => posix.join(posix.dirname(page), link.split('#')[0] ?? ''))),
    )
    const sidebar = readFileSync('docs/.vitepress/config.ts', 'utf8')
    const folders = readdirSync('docs', { withFileTypes: true }).filter((entry) => entry.isDirectory())
    expect(folders.length).toBeGreaterThan(4)
    const orphans = pages.filter((page) => {
      const [, folder = '', name = ''] = /^docs\/(.+)\/([^/]+)\.md$/.exec(page) ?? []
      if (folder === '' || name === 'index' || linked.has(page)) return false
      return !new RegExp(`'${folder}'[\\s\\S]*?'${name}'`).test(sidebar)
    })
    expect(orphans).toEqual([])
  })
})
