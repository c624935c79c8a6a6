/** The results pages and the published data: speed is the stored benchmark, and every data file has a page that cites it. */
import { readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { PeersResult } from '../../evaluation/benchmark/comparePeft.js'
import { peersTable } from '../../cli/commands/bench.js'
import { linksOf, pagesBelow } from './pages.js'

const pages = pagesBelow('docs/results')

describe('the results pages', () => {
  it('have the table of the stored benchmark, and its versions', () => {
    const { rows, versions } = JSON.parse(readFileSync('evaluation/results/benchmark.json', 'utf8')) as PeersResult
    const page = readFileSync('docs/results/speed.md', 'utf8')
    expect(page).toContain(peersTable(rows).trim())
    for (const [name, version] of Object.entries(versions)) expect(page).toContain(`${name} ${version.replace(/\+.*/, '')}`)
  })

  it('cite every file of published data', () => {
    const cited = [...pages, 'docs/how-to/training.md', 'docs/how-to/exports.md', 'finetuning/embedded/README.md'].flatMap((page) =>
      linksOf(readFileSync(page, 'utf8')),
    )
    const unused = readdirSync('evaluation/results').filter((file) => !cited.some((link) => link.endsWith(`evaluation/results/${file}`)))
    expect(unused).toEqual([])
  })

  it('are five', () => expect(pages).toHaveLength(5))
})
