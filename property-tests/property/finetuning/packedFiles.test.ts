/** Files that gzip packed: each format is read as from the plain file, and what is no whole gzip file is refused in one line. */
import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readConversations } from '../../../finetuning/data/conversations.js'
import { readDelimited } from '../../../finetuning/data/index.js'
import { readPlainText } from '../../../finetuning/tasks/plainText/index.js'
import { readTagged } from '../../../finetuning/tasks/tokenClassification/examples.js'
import { loadTask } from '../../../finetuning/tasks/loadTask.js'
import { refusalOf } from '../../support/refusal.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('packed')

const rows = [
  { text: 'Ä "good" one; always', label: 'good' },
  { text: 'dull, and\ttwo more', label: 'bad' },
]
const csv = `text,label\r\n${rows.map(({ text, label }) => `"${text.replaceAll('"', '""')}",${label}`).join('\r\n')}\r\n`
const tsv = 'text\tlabel\nfine\tgood\n"dull\tbad\n'

/** A file of `members` gzip files, one after the other, as several programs write them. */
const packed = (content: Uint8Array, members = 1): Uint8Array => {
  const length = Math.ceil(content.length / members)
  const parts = Array.from({ length: members }, (_, index) => gzipSync(content.subarray(index * length, (index + 1) * length)))
  return Buffer.concat(parts)
}

describe('a packed file', () => {
  it.each<readonly [string, string, (file: string) => Promise<{ readonly examples: readonly unknown[] }>]>([
    ['.csv', csv, (file) => readDelimited(file)],
    ['.csv', `\ufeff${csv}`, (file) => readDelimited(file)],
    ['.tsv', tsv, (file) => readDelimited(file)],
    ['.TSV', tsv, (file) => readDelimited(file)],
    ['.jsonl', rows.map((row) => JSON.stringify(row)).join('\n'), (file) => readDelimited(file)],
    ['.json', JSON.stringify(rows), (file) => readDelimited(file)],
    ['.txt', 'One\nparagraph.\n\nAnother.\n', (file) => readPlainText(file, {})],
    ['.conll', 'EU B-ORG\nrejects O\n\nPeter B-PER\n', (file) => readTagged(file, {})],
    ['.jsonl', '{"prompt":"What is two?","completion":"A number."}\n', (file) => readConversations(file, 'chat')],
  ])('is read as the plain %s file (%#)', async (ending, content, read) => {
    const { examples } = await read(write(`plain${ending}`, content))
    expect(examples.length).toBeGreaterThan(0)
    for (const gz of ['.gz', '.GZ'])
      for (const members of [1, 3])
        expect((await read(write(`packed${ending}${gz}`, packed(Buffer.from(content), members)))).examples).toEqual(examples)
  })

  it('is read whatever its texts are, across pieces of four megabytes too', async () => {
    const lineOf = (text: string): string => JSON.stringify({ text: `a${text}` })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.string({ unit: 'grapheme' }), { minLength: 1, maxLength: 20 }), async (texts) => {
        const file = write('any.jsonl.gz', packed(Buffer.from(texts.map(lineOf).join('\n'))))
        expect((await readPlainText(file, {})).examples.map(({ text }) => text)).toEqual(texts.map((text) => `a${text}`))
      }),
      { numRuns: 30 },
    )
    const texts = Array.from({ length: 6000 }, (_, index) => `${index}-${'€ä'.repeat(500)}-${Math.sin(index)}`)
    const large = write('large.jsonl.gz', packed(Buffer.from(texts.map(lineOf).join('\n')), 2))
    expect((await readPlainText(large, {})).examples.map(({ text }) => text)).toEqual(texts.map((text) => `a${text}`))
  })

  it('may be in another encoding', async () => {
    const file = write('latin.csv.gz', packed(Buffer.from('text,label\ncaf\xe9,good\nbar,bad\n', 'latin1')))
    expect((await readDelimited(file, { encoding: 'windows-1252' })).examples).toMatchObject([{ text: 'café' }, { text: 'bar' }])
    expect(await refusalOf(() => readDelimited(file))).toMatch(/row 2: expected text in UTF-8 \(or --encoding windows-1252\), got bytes/)
  })

  it('is known by its first bytes: neither a browser that unpacked it nor a name without .gz matters', async () => {
    const unpacked = write('reviews.csv.gz', csv)
    expect((await readDelimited(unpacked)).examples).toHaveLength(2)
    const renamed = write('reviews.csv', packed(Buffer.from(csv)))
    expect((await readDelimited(renamed)).examples).toHaveLength(2)
  })

  it('is a task as a plain one is, with words and tags by its ending', async () => {
    const file = write('words.conll.gz', packed(Buffer.from('EU B-ORG\nrejects O\n\nPeter B-PER\n')))
    expect((await loadTask({ task: file })).taskType.name).toBe('token-classification')
  })
})

describe('a packed file that is not what it should be', () => {
  const whole = packed(Buffer.from(csv))
  const damaged = Uint8Array.from(whole)
  damaged[whole.length - 6] = (damaged[whole.length - 6] ?? 0) ^ 0xff
  it.each<readonly [string, string, Uint8Array, string | RegExp]>([
    ['a file that is cut short', 'a.csv.gz', whole.subarray(0, -9), 'a.csv.gz: expected a whole gzip file, got one that is cut short'],
    ['a damaged file', 'a.csv.gz', damaged, /^a\.csv\.gz: expected a gzip file, got one that is damaged \(.+\)$/],
    [
      'a bomb',
      'a.jsonl.gz',
      packed(Buffer.alloc(2 ** 27, `${' '.repeat(9_999)}\n`)),
      /^a\.jsonl\.gz: expected text that gzip made at most 200 times smaller, got \d+ bytes of \d+$/,
    ],
    ['a bomb in quotes', 'a.csv.gz', packed(Buffer.alloc(2 ** 27, '"')), /gzip made at most 200 times smaller/],
    ['nothing', 'a.csv.gz', packed(new Uint8Array(0)), /^a\.csv\.gz: expected at least one row, got an empty file$/],
    ['Parquet', 'a.parquet.gz', whole, 'a.parquet.gz: expected a .parquet file, got a gzipped one (unpack it first)'],
    ['a name without the ending of its content', 'a.gz', whole, /got "\.gz" alone \(call it \.csv\.gz, after what it holds\)$/],
  ])('is refused in one line for %s', async (_, name, content, line) => {
    const said = await refusalOf(() => readDelimited(write(name, content)))
    expect(said.replaceAll(`${folder}/`, '')).toMatch(line)
  })
})
