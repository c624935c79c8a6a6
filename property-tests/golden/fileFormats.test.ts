/**
 * Files as pandas 3.1 and pyarrow write them: one table in every format, with a text over two lines, quotes, tabs, and a missing label. A missing
 * label makes pandas write the others as 1.0 and 0.0. The readers return the written table.
 */
import { mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { readDelimited, type Dataset, type DelimitedOptions } from '../../finetuning/data/index.js'
import { SEED } from '../support/seed.js'
import { refusalOf } from '../support/refusal.js'

const folder = mkdtempSync(join(tmpdir(), 'salora-formats-'))
afterAll(() => rmSync(folder, { recursive: true }))

const fixtures = fileURLToPath(new URL('./fixtures/pandas/', import.meta.url))

const written = (name: string, content: string | Uint8Array): string => {
  const file = join(folder, name)
  writeFileSync(file, content)
  return file
}

const read = async (file: string, options: DelimitedOptions = {}): Promise<Dataset> => readDelimited(file, options)

const refusal = async (file: string, options: DelimitedOptions = {}): Promise<string> => {
  const message = await refusalOf(() => readDelimited(file, options))
  return message.replace(folder, '').replace(fixtures, '').replace(/^\//, '')
}

const texts = ['two\nlines', 'a "quoted" word', 'a tab\there, a comma; and so on', 'naïve – 東京 🎬', '  blanks  ', 'plain']
const labels = [1, 0, 1, 0, null, 1]
const labeled = texts.flatMap((text, i) => (labels[i] === null ? [] : [{ text, label: labels[i] }]))

const inLines = [2, 4, 5, 6, 7, 8]
const inOrder = [1, 2, 3, 4, 5, 6]
const compressions = ['snappy', 'zstd', 'gzip', 'brotli', 'lz4']

describe('a table of pandas with --skip-missing', () => {
  it.each<readonly [string, DelimitedOptions, readonly number[]]>([
    ['pandas.tsv', { quote: true }, inLines],
    ['pandas.csv', { delimiter: ';' }, inLines],
    ['pandas.json', {}, inOrder],
    ['pandas.jsonl', {}, inOrder],
    ...compressions.map((name) => [`pandas-${name}.parquet`, {}, inOrder] as const),
  ])('%s has the written texts, labels as the file writes them, and the number of the skipped row', async (name, options, rows) => {
    const { examples, labelNames, skipped } = await read(join(fixtures, name), { ...options, skipMissing: true })
    expect(labelNames).toEqual(/\.[ct]sv$/.test(name) ? ['0.0', '1.0'] : ['0', '1']) // numbers of JSON and Parquet have one form
    expect(examples.map(({ text, label }) => ({ text, label }))).toEqual(labeled)
    expect(examples.map(({ row }) => row)).toEqual(rows.filter((_, i) => labels[i] !== null))
    expect(skipped).toEqual([{ row: rows[4], reason: 'no label' }])
  })

  it('skips rows whose text is missing', async () => {
    const { examples, skipped } = await read(join(fixtures, 'pandas-missing.parquet'), { skipMissing: true })
    expect(examples).toHaveLength(4)
    expect(skipped).toEqual([
      { row: 3, reason: 'no text in column "text"' },
      { row: 5, reason: 'no label' },
    ])
  })

  it('is refused without the flag, and the message names it', async () => {
    expect(await refusal(join(fixtures, 'pandas.tsv'), { quote: true })).toBe(
      'pandas.tsv, row 7: expected a label (or --skip-missing), got an empty one',
    )
    expect(await refusal(join(fixtures, 'pandas-snappy.parquet'))).toBe(
      'pandas-snappy.parquet, row 5: expected a label (or --skip-missing), got null',
    )
    expect(await refusal(written('holes.csv', 'text,label\n,1\n,0\n'), { skipMissing: true })).toBe(
      'holes.csv: expected at least one row of data, got none: 2 lack a text or a label, the first is row 2',
    )
  })
})

describe('labels', () => {
  it('read 1.0 as the class 1 of the training data, refuse 1.5, and read 1.0 beside a word as text', async () => {
    const file = written('float.csv', 'text,label\na,1.0\nb,0\nc,1\nd,0.0\n')
    expect(await read(file)).toMatchObject({ labelNames: ['0', '1'], examples: [{ label: 1 }, { label: 0 }, { label: 1 }, { label: 0 }] })
    expect((await read(file, { labelNames: ['1', '0'] })).examples.map(({ label }) => label)).toEqual([0, 1, 0, 1])
    expect(await refusal(written('real.csv', 'text,label\na,1.0\nb,1.5\n'))).toMatch(/^real\.csv, row 3: expected a class .* got "1\.5"$/)
    expect((await read(written('word.csv', 'text,label\na,1.0\nb,x\n'))).labelNames).toEqual(['1.0', 'x'])
  })
})

describe('the delimiter of a file', () => {
  it(`may be any character: cells are read as they were written (seed ${SEED})`, async () => {
    const cell = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 12 }).filter((text) => text.trim() !== '')
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(';', '|', 'tab', ',', '~', '§', '→'),
        fc.constantFrom('d.csv', 'd.tsv'),
        fc.array(cell, { minLength: 1, maxLength: 8 }),
        async (delimiter, name, cells) => {
          const mark = delimiter === 'tab' ? '\t' : delimiter
          const content = [`label${mark}text`, ...cells.map((text, i) => `${i % 2}${mark}"${text.replaceAll('"', '""')}"`)].join('\n')
          const { examples } = await read(written(name, content), { delimiter, quote: true, labelNames: ['0', '1'] })
          expect(examples.map(({ text }) => text)).toEqual(cells)
        },
      ),
      { seed: SEED, numRuns: 100 },
    )
  })

  it('is one character of a .csv or .tsv file; a wrong one is named in the message', async () => {
    const file = written('semicolons.tsv', 'text;label\na;1\nb;0\n')
    expect(await refusal(file)).toBe(
      'semicolons.tsv, row 1: expected a column "label" (--label), got the columns "text;label" (--delimiter ";" would cut it)',
    )
    expect((await read(file, { delimiter: ';' })).examples).toHaveLength(2)
    expect(await refusal(file, { delimiter: ';;' })).toBe('--delimiter: expected one character, or tab, got ";;"')
    expect(await refusal(join(fixtures, 'pandas.json'), { delimiter: ';' })).toMatch(
      /^--delimiter: expected a \.csv or \.tsv file to go with it, got /,
    )
  })
})

describe('a file that does not have its format', () => {
  it.each([
    ['{"text":{"0":"a"}}', "o.json: expected a list of objects (pandas: orient='records'; one a line is .jsonl), got an object"],
    ['[]', 'o.json: expected at least one row, got an empty list'],
    ['[{"text":"a","label":1},7]', 'o.json, row 2: expected a JSON object, got 7'],
    ['[{"text":"a","label":1},{"text":["b"],"label":1}]', 'o.json, row 2: expected a text or a number in column "text", got a list'],
  ])('is refused if it is the .json %s', async (content, line) => {
    expect(await refusal(written('o.json', content))).toBe(line)
  })

  it('is refused if a .parquet is truncated, or lacks the column, and then its columns are listed', async () => {
    expect(await refusal(written('no.parquet', 'PAR1 is not enough'))).toMatch(
      /^no\.parquet: expected a Parquet file, got one that cannot be read /,
    )
    expect(await refusal(join(fixtures, 'pandas-snappy.parquet'), { text: 'review' })).toBe(
      'pandas-snappy.parquet: expected a column "review" (--text), got the columns "id", "text", "label" (did you mean --text text?)',
    )
  })

  it.each(['long.tsv', 'long.csv', 'long.jsonl'])('is refused in one line for a row of 130 MiB in %s', async (name) => {
    const header = { 'long.tsv': 'text\tlabel\n', 'long.csv': 'text,label\n' }[name] ?? ''
    const file = written(name, header)
    truncateSync(file, 136 * 2 ** 20) // a hole: it takes no room on the disk
    expect(await refusal(file)).toMatch(/: expected at most 134217728 bytes in a row, got \d+$/)
  })
})
