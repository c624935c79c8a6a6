/** The results pages are up to date, and only the regions between markers are replaced. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { replaceRegions } from '../../../reporting/results/regions.js'
import { renderPages, resultsFolder } from '../../../reporting/results/renderPages.js'

describe('the results pages', () => {
  it('are what `npm run results` would write now, charts included', async () => {
    const files = await renderPages('.')
    for (const [file, text] of files) expect(readFileSync(file, 'utf8'), `${file} (npm run results)`).toBe(text)
    const charts = readdirSync(`${resultsFolder}/charts`).map((name) => `${resultsFolder}/charts/${name}`)
    expect(charts.filter((file) => !files.has(file))).toEqual([])
  }, 60_000)

  it('keep their words: only the text between the markers of a region is replaced', () => {
    const page = 'Words.\n<!-- generated: a -->\nold\n<!-- end -->\nMore.\n<!-- generated: b -->\n<!-- end -->\n'
    const texts = new Map([
      ['a', 'new $& text'],
      ['b', 'second'],
    ])
    const replaced = 'Words.\n<!-- generated: a -->\nnew $& text\n<!-- end -->\nMore.\n<!-- generated: b -->\nsecond\n<!-- end -->\n'
    expect(replaceRegions('p.md', page, texts)).toBe(replaced)
    expect(replaceRegions('p.md', replaced, texts)).toBe(replaced)
  })

  it('refuse a region without a text, and a text without a region', () => {
    const page = '<!-- generated: a -->\n<!-- end -->\n'
    expect(() => replaceRegions('p.md', page, new Map([['b', '']]))).toThrow(/^p\.md: expected regions named b, got a$/)
    const both = new Map([
      ['a', ''],
      ['b', ''],
    ])
    expect(() => replaceRegions('p.md', page, both)).toThrow(/^p\.md: expected a region <!-- generated: b --> … <!-- end -->, got none$/)
  })
})
