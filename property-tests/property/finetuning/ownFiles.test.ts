/** Files as other programs write them: Excel's semicolons and Windows-1252, headers in other case, and labels that look like numbers. */
import { describe, expect, it } from 'vitest'
import { readDelimited, type DelimitedOptions } from '../../../finetuning/data/delimited.js'
import { readPlainText } from '../../../finetuning/tasks/plainText/index.js'
import { alignLabels } from '../../../finetuning/use/scoreAdapter.js'
import { rowsDigest } from '../../../finetuning/run/runRows.js'
import { loadEvaluation, loadTask, type TaskOptions } from '../../../finetuning/tasks/index.js'
import { refusalOf } from '../../support/refusal.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write: file } = temporaryFolder('own-files')
const textsOf = async (path: string, options: DelimitedOptions = {}): Promise<readonly string[]> =>
  (await readDelimited(path, options)).examples.map(({ text }) => text)
const refusal = async (work: () => Promise<unknown>): Promise<string> => (await refusalOf(work)).replaceAll(`${folder}/`, '')

/** Code points of the bytes 0x80 to 0x9f, from Unicode's CP1252.TXT; the five undefined ones as WHATWG's index has them. */
const cp1252 = [
  ...[0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021, 0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d, 0x8f],
  ...[0x90, 0x2018, 0x2019, 0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d, 0x17e, 0x178],
]
const bytesAbove127 = Buffer.from(Array.from({ length: 128 }, (_, i) => 128 + i))
const charactersAbove127 = String.fromCodePoint(...bytesAbove127.map((byte) => byte)).replace(/[\u0080-\u009f]/g, (c) =>
  String.fromCodePoint(cp1252[c.charCodeAt(0) - 0x80] ?? 0),
)

describe('--encoding', () => {
  it('reads every byte of Windows-1252, in each format of text', async () => {
    const put = (name: string, before: string, after: string): string =>
      file(name, Buffer.concat([Buffer.from(before), bytesAbove127, Buffer.from(after)]))
    for (const path of [
      put('a.csv', 'text,label\n"', '",1\nb,0\n'),
      put('a.tsv', 'text\tlabel\n', '\t1\nb\t0\n'),
      put('a.jsonl', '{"text":"', '","label":1}\n{"text":"b","label":0}\n'),
      put('a.json', '[{"text":"', '","label":1},{"text":"b","label":0}]'),
    ])
      for (const encoding of ['windows-1252', 'CP1252', ' latin1 '])
        expect(await textsOf(path, { encoding })).toEqual([charactersAbove127, 'b'])
    const text = put('a.txt', '', '\n\nb\n')
    expect((await readPlainText(text, { encoding: 'windows-1252' })).examples.map((example) => example.text)).toEqual([
      charactersAbove127,
      'b',
    ])
  })

  it('reads UTF-16 whose characters lie across the pieces of a large file', async () => {
    const text = `${'x'.repeat(2 ** 21 - 31)}${'😀'.repeat(20)}`
    const shifted = `y${text}`
    for (const [name, content] of [
      ['wide.tsv', `text\tlabel\n${text}\t1\n${shifted}\t0\n`],
      ['wide.csv', `text,label\n${text},1\n${shifted},0\n`],
    ] as const)
      expect(
        (await textsOf(file(name, Buffer.from(`\ufeff${content}`, 'utf16le')), { encoding: 'utf-16le' })).map((read) => read === text),
      ).toEqual([true, false])
  })

  it('is the remedy that a file in another encoding is refused with', async () => {
    for (const [name, mark] of [
      ['l.csv', ','],
      ['l.tsv', '\t'],
    ] as const)
      expect(await refusal(() => readDelimited(file(name, Buffer.from(`text${mark}label\ncaf\xe9${mark}1\n`, 'latin1'))))).toBe(
        `${name}, row 2: expected text in UTF-8 (or --encoding windows-1252), got bytes that are not UTF-8`,
      )
    for (const name of ['w.csv', 'w.jsonl'])
      expect(await refusal(() => readDelimited(file(name, Buffer.from('\ufefftext,label\n', 'utf16le'))))).toBe(
        `${name}: expected text in UTF-8 (or --encoding utf-16le), got text in UTF-16`,
      )
  })

  it('refuses an unknown name, bytes that the encoding does not have, and a Parquet file', async () => {
    const plain = file('p.csv', 'text,label\na,1\nb,0\n')
    expect(await refusal(() => readDelimited(plain, { encoding: 'excel' }))).toBe(
      '--encoding: expected the name of an encoding, such as windows-1252, iso-8859-15, utf-16le or utf-8, got "excel"',
    )
    for (const name of ['odd.tsv', 'odd.csv']) {
      const odd = file(name, Buffer.concat([Buffer.from('text\tlabel\na\t1\n', 'utf16le'), Buffer.of(65)]))
      expect(await refusal(() => readDelimited(odd, { encoding: 'utf-16le' }))).toBe(
        `${name}: expected text in utf-16le (--encoding), got bytes that are not`,
      )
    }
    expect(await refusal(() => readDelimited(file('x.parquet', 'PAR1'), { encoding: 'utf-8' }))).toBe(
      '--encoding: expected a file of text to go with it, got x.parquet',
    )
  })
})

describe('a .csv file without --delimiter', () => {
  it("is cut as its header shows, as Excel's semicolons, with a note", async () => {
    for (const [mark, name] of [
      [';', '";"'],
      ['\t', 'tabs'],
      ['|', '"|"'],
    ] as const) {
      const path = file('excel.csv', `text${mark}label\r\n"a, b${mark} c"${mark}1\r\nd${mark}0\r\n`)
      const { examples, notes } = await readDelimited(path)
      expect(examples.map(({ text }) => text)).toEqual([`a, b${mark} c`, 'd'])
      expect(notes).toEqual([`${path}: the header has ${name} between its cells, and so are rows read`])
    }
  })

  it('is cut at commas if the header has one, or if its one cell is a requested column', async () => {
    expect((await readDelimited(file('comma.csv', 'text;x,label\na;b,1\nc,0\n'), { text: 'text;x' })).notes).toBeUndefined()
    const one = await readPlainText(file('one.csv', 'text\na;b\nc;d\n'), { text: 'text' })
    expect(one.examples.map(({ text }) => text)).toEqual(['a;b', 'c;d'])
    const odd = await readPlainText(file('odd.csv', 'a;b\nc;d\n'), { text: 'a;b' })
    expect(odd.examples.map(({ text }) => text)).toEqual(['c;d'])
  })
})

describe('a header', () => {
  const contents = {
    'h.csv': 'TEXT,Label\na,1\nb,0\n',
    'h.tsv': 'TEXT\tLabel\na\t1\nb\t0\n',
    'h.jsonl': '{"TEXT":"a","Label":1}\n{"TEXT":"b","Label":0}\n',
    'h.json': '[{"TEXT":"a","Label":1},{"TEXT":"b","Label":0}]',
  }
  it.each(['{"messages":[]}', '{"conversations":[],"source":"x"}', '{"instruction":"a","output":"b"}', '{"prompt":"a","completion":"b"}'])(
    'a file of conversations is recognized where a label is missing: %s',
    async (row) => {
      expect(await refusal(() => readDelimited(file('chats.jsonl', `${row}\n`)))).toMatch(
        / \(for conversations and instructions, give this file by --data, with --task alpaca\)$/,
      )
    },
  )

  it.each(Object.entries(contents))('matches without regard to case in %s, with a note', async (name, content) => {
    const path = file(name, content)
    const { examples, notes } = await readDelimited(path)
    expect(examples.map(({ text, label }) => [text, label])).toEqual([
      ['a', 1],
      ['b', 0],
    ])
    expect(notes).toEqual([`${path}: the column "Label" is read as "label"`, `${path}: the column "TEXT" is read as "text"`])
  })

  it('matches exactly where it can, and is refused where two columns differ in case alone', async () => {
    expect(await textsOf(file('e.csv', 'Text,text,label\nno,a,1\nno,b,0\n'))).toEqual(['a', 'b'])
    expect(await refusal(() => readDelimited(file('t.csv', 'Text,TEXT,label\na,b,1\n')))).toBe(
      't.csv, row 1: expected a column "text" (--text), got the columns "Text", "TEXT", "label" (did you mean --text Text?)',
    )
    expect(await refusal(() => readDelimited(file('d.csv', 'Label,x\na,b\n'), { text: 'LABEL' }))).toBe(
      'd.csv, row 1: expected different columns for text, text pair and label, got "Label" for two',
    )
  })

  it.each<readonly [string, DelimitedOptions, string]>([
    ['id,review,stars', {}, '--label stars --text review'],
    ['id,Sentence,label', {}, '--text Sentence'],
    ['id,my text,label', { text: 'mytext' }, '--text "my text"'],
    ['reviews,stars', { text: 'review', label: 'stars' }, '--text reviews'],
    ['sentence1,sentence2,label', { text: 'sentence1', textPair: 'second' }, '--text-pair sentence2'],
  ])('%s has likely columns for the missing ones', async (header, options, likely) => {
    expect(await refusal(() => readDelimited(file('likely.csv', `${header}\n`), options))).toContain(`(did you mean ${likely}?)`)
  })

  it('has likely columns by their content where no name says so: long texts, and few short values', async () => {
    const rows = Array.from({ length: 12 }, (_, i) => [
      i + 1,
      `2026-01-${10 + i}`,
      `Das Paket ${i} kam nie an; wo ist es?`,
      i % 3,
      ['Lob', 'Frage'][i % 2],
    ])
    const header = ['Nr', 'Datum', 'Nachricht', 'Stufe', 'Kategorie']
    const excel = file('excel.csv', [header, ...rows].map((row) => row.map((cell) => `"${cell}"`).join(';')).join('\r\n'))
    const json = rows.map((row) => JSON.stringify(Object.fromEntries(row.map((cell, i) => [header[i], cell])))).join('\n')
    for (const path of [excel, file('objects.jsonl', json)])
      expect(await refusal(() => readDelimited(path))).toMatch(
        / \(--label\), got the columns .*, "Kategorie" \(did you mean --label Kategorie --text Nachricht\?\)$/,
      )
    const named = { text: 'Nachricht', label: 'Kategorie' }
    expect((await readDelimited(excel, named)).labelNames).toEqual(['Frage', 'Lob'])
    // by its name, by its content; and neither in a file without a header
    expect(await refusal(() => readDelimited(file('half.csv', 'review,Art\na b,x\nc d,y\ne f,x\ng h,y\n')))).toContain(
      '--label Art --text review',
    )
    expect(await refusal(() => readDelimited(file('bare.csv', 'a b,x\nc d,y\ne f,x\ng h,y\n')))).not.toContain('did you mean')
  })

  it('has no likely column where no name says so', async () => {
    expect(await refusal(() => readDelimited(file('unlikely.csv', 'a,b,c,label\n')))).toBe(
      'unlikely.csv, row 1: expected a column "text" (--text), got the columns "a", "b", "c", "label"',
    )
  })
})

describe('labels that look like numbers', () => {
  const several = { problemType: 'multi-label', mergeLabels: 'case' } as const
  const rows = (...labels: readonly string[]): string => `text,label\n${labels.map((label, i) => `text ${i},${label}\n`).join('')}`

  it('are named as the file writes them, in the order of the numbers', async () => {
    const { labelNames, examples } = await readDelimited(file('n.csv', rows('10.0', '2.0', '2.0', '-1.0')))
    expect(labelNames).toEqual(['-1.0', '2.0', '10.0'])
    expect(examples.map(({ label }) => label)).toEqual([2, 1, 1, 0])
  })

  it('are one class where the file writes 1 and 1.0, which is reported', async () => {
    const { labelNames, mergedLabels } = await readDelimited(file('m.csv', rows('1', '1.0', '0', '1.00')))
    expect([labelNames, mergedLabels]).toEqual([['0', '1'], [['1', '1.0', '1.00']]])
  })

  it('are classes of their own with labelsAsText: 1.10 is a version', async () => {
    const versions = file('v.csv', rows('1.10', '1.1', '1.9', '1', '1.0'))
    expect(await refusal(() => readDelimited(versions))).toContain('and --labels-as-text any text')
    const { labelNames, mergedLabels } = await readDelimited(versions, { labelsAsText: true })
    expect([labelNames, mergedLabels]).toEqual([['1', '1.0', '1.1', '1.10', '1.9'], undefined])
    const evaluation = (content: string): Promise<unknown> =>
      readDelimited(file('ve.csv', content), { labelsAsText: true, labelNames: ['1.1', '1.9'] })
    expect(await refusal(() => evaluation(rows('1.9', '1.10')))).toBe(
      've.csv, row 3: expected a label of the training data (1.1 or 1.9), got "1.10"',
    )
    expect(await refusal(() => loadTask({ task: versions, problemType: 'regression', labelsAsText: true }))).toBe(
      '--labels-as-text: expected classes as labels, got a regression',
    )
  })

  it('are one class with mergeLabels if they differ only in case or blanks, under the spelling that most rows have', async () => {
    const labels = ['Praise', 'refund', 'REFUND', 'praise', 'very  good', 'refund', 'praise ', 'Very good', 'Very good']
    const path = file('spellings.csv', rows(...labels))
    expect((await readDelimited(path)).labelNames).toHaveLength(6)
    const { labelNames, examples, notes } = await readDelimited(path, { mergeLabels: 'case' })
    expect(labelNames).toEqual(['Very good', 'praise', 'refund'])
    expect(examples.map(({ label }) => labelNames?.[label]?.toLowerCase())).toEqual(
      labels.map((label) => label.trim().replaceAll(/ +/g, ' ').toLowerCase()),
    )
    expect(notes?.[0]).toBe(`${path}: the class "praise" includes the rows labeled "Praise"`)
    const other = file('others.csv', rows('REFUND', 'very good'))
    const read = (mergeLabels?: string) => readDelimited(other, { labelNames: labelNames ?? [], ...(mergeLabels ? { mergeLabels } : {}) })
    expect((await read('case')).examples.map(({ label }) => label)).toEqual([2, 0])
    expect(await refusal(() => read())).toContain('others.csv, row 2: expected a label of the training data')
    expect(await refusal(() => read('blanks'))).toBe('--merge-labels: expected case, got "blanks"')
    const sets = await loadTask({ task: file('sets.csv', rows('Loud|fast', 'loud', 'loud|Fast|LOUD', 'fast')), ...several })
    expect([sets.labelNames, [...sets.train.examples, ...sets.evaluation.examples].find(({ row }) => row === 4)?.labels]).toEqual([
      ['fast', 'loud'],
      [1, 0],
    ])
    const regression = { task: path, problemType: 'regression', mergeLabels: 'case' }
    expect(await refusal(() => loadTask(regression))).toBe('--merge-labels: expected classes as labels, got a regression')
  })

  it('match the classes of a run that named them otherwise, so that stored runs remain what they are', async () => {
    const [whole, real] = [file('whole.csv', rows('0', '1', '1')), file('real.csv', rows('0.0', '1.0', '1.0'))]
    const [one, other] = [await readDelimited(whole), await readDelimited(real)]
    expect(rowsDigest(other)).toBe(rowsDigest(one))
    expect((await readDelimited(whole, { labelNames: ['0.0', '1.0'] })).examples.map(({ label }) => label)).toEqual([0, 1, 1])
    const outputs = { head: 'sequence', labels: 2, problemType: 'single_label_classification', taskType: 'classification' } as const
    const aligned = (task: string, labelNames?: readonly string[]) =>
      loadEvaluation({ task }).then((labeled) => alignLabels(labeled, { outputs, labelNames, called: 'adapter' }))
    expect((await aligned(real, ['1', '0'])).evaluation.examples.map(({ label }) => label)).toEqual([1, 0, 0])
    expect((await aligned(real)).evaluation.examples.map(({ label }) => label)).toEqual([0, 1, 1])
    const options: TaskOptions = { task: real, evalData: whole, positiveLabel: '1' }
    expect(await loadTask(options)).toMatchObject({ labelNames: ['0.0', '1.0'], positive: 1 })
  })
})
