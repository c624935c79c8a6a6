/** Files of the user: every text that is written into a cell is read back. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readDelimited, type Dataset, type DelimitedOptions } from '../../../finetuning/data/index.js'
import { refusalOf } from '../../support/refusal.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { write } = temporaryFolder('delimited')

const read = async (name: string, content: string | Uint8Array, options: DelimitedOptions = {}): Promise<Dataset> =>
  readDelimited(write(name, content), options)

describe(`round trips of delimited files, seed ${SEED}`, () => {
  const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 20 }).filter((s) => s.trim() !== '')
  const quoted = (cell: string): string => `"${cell.replaceAll('"', '""')}"`
  const rows = (cell: fc.Arbitrary<string>) => fc.array(fc.tuple(cell, fc.integer({ min: 0, max: 2 })), { minLength: 1, maxLength: 15 })
  const labelNames = ['0', '1', '2']
  const rowsOf = (data: Dataset) => data.examples.map(({ text: read, label }) => [read, label])

  it('a quoted .csv returns every text that was written', async () => {
    await fc.assert(
      fc.asyncProperty(rows(text), fc.constantFrom('\n', '\r\n'), async (written, end) => {
        const content = [['text', 'label'], ...written.map(([cell, label]) => [quoted(cell), String(label)])]
          .map((row) => row.join(','))
          .join(end)
        expect(rowsOf(await read('r.csv', content, { labelNames }))).toEqual(written)
      }),
      { seed: SEED, numRuns: 200 },
    )
  })

  it('a quoted .csv that is read in several pieces returns every text, and an error has its row', async () => {
    const written = Array.from({ length: 60_000 }, (_, i) => [`${i} "é",\n${'日本'.repeat(i % 50)}`, i % 3] as const)
    const content = `text,label\n${written.map(([cell, label]) => `${quoted(cell)},${label}\n`).join('')}`
    expect(Buffer.byteLength(content)).toBeGreaterThan(2 * 2 ** 22)
    expect(rowsOf(await read('large.csv', content, { labelNames }))).toEqual(written)
    expect(await refusalOf(() => read('large.csv', `${content}stray"quote,1\n`, { labelNames }))).toContain('row 120002: expected a quoted')
    const latin = Buffer.concat([Buffer.from(content), Buffer.from('\xe9,1\n', 'latin1')])
    expect(await refusalOf(() => read('large.csv', latin, { labelNames }))).toContain('row 120002: expected text in UTF-8')
  })

  it('a .jsonl returns every text that was written', async () => {
    await fc.assert(
      fc.asyncProperty(rows(text), async (written) => {
        const content = written.map(([cell, label]) => JSON.stringify({ text: cell, label })).join('\n')
        expect(rowsOf(await read('r.jsonl', content, { labelNames }))).toEqual(written)
      }),
      { seed: SEED, numRuns: 200 },
    )
  })

  it('a .tsv returns every text without tab and newline that was written', async () => {
    const cell = text.map((s) => s.replace(/[\t\n]/g, '_'))
    await fc.assert(
      fc.asyncProperty(rows(cell), async (written) => {
        const content = `text\tlabel\n${written.map((row) => row.join('\t')).join('\n')}`
        expect(rowsOf(await read('r.tsv', content, { labelNames }))).toEqual(written)
      }),
      { seed: SEED, numRuns: 200 },
    )
  })
})
