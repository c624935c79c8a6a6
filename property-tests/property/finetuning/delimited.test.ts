/** Files of the user: .tsv, .csv and .jsonl are read alike, labels become classes or scores, and an invalid file is refused in one line. */
import { parseEncoding, transcoder } from '../../../finetuning/data/encoding.js'
import { rmSync, truncateSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readDelimited, scoreColumn, type Dataset, type DelimitedOptions } from '../../../finetuning/data/index.js'
import { refusalOf } from '../../support/refusal.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('delimited')

const read = async (name: string, content: string | Uint8Array, options: DelimitedOptions = {}): Promise<Dataset> =>
  readDelimited(write(name, content), options)

const refusal = async (name: string, content: string | Uint8Array, options: DelimitedOptions = {}): Promise<string> => {
  return (await refusalOf(() => readDelimited(write(name, content), options))).replaceAll(`${folder}/`, '')
}

describe('reading .csv, .tsv and .jsonl', () => {
  const named = { text: 'review', textPair: 'reply', label: 'mood' }
  const expected = {
    labelNames: ['bad', 'good'],
    examples: [
      { text: 'I said "no"', textPair: 'Oh, well', label: 0, row: 2 },
      { text: 'Fine', textPair: '"Yes', label: 1, row: 3 },
    ],
    skipped: [],
  }

  it('reads .csv with quotes', async () => {
    expect(await read('a.csv', 'id,mood,review,reply\n1,bad,"I said ""no""","Oh, well"\n2,good,Fine,"""Yes"\n', named)).toMatchObject(
      expected,
    )
  })

  it('reads .tsv without quoting', async () => {
    expect(await read('a.tsv', 'id\tmood\treview\treply\n1\tbad\tI said "no"\tOh, well\n2\tgood\tFine\t"Yes\n', named)).toMatchObject(
      expected,
    )
  })

  it('reads .jsonl, whose rows may have their keys in any order', async () => {
    const lines = [
      '{"review":"I said \\"no\\"","reply":"Oh, well","mood":"bad"}',
      '{"mood":"good","id":[1],"reply":"\\"Yes","review":"Fine"}',
    ]
    const shifted = expected.examples.map((example) => ({ ...example, row: example.row - 1 })) // there is no header
    expect(await read('a.jsonl', lines.join('\n'), named)).toMatchObject({ ...expected, examples: shifted })
  })

  it('reads columns "text" and "label" by default, and accepts an extension in capitals', async () => {
    expect((await read('A.CSV', 'label,text\n1,a\n0,b\n')).examples).toMatchObject([
      { text: 'a', label: 1, row: 2 },
      { text: 'b', label: 0, row: 3 },
    ])
  })

  it('reads CRLF and a byte-order mark in each format', async () => {
    const examples = [
      { text: 'a', label: 1 },
      { text: 'b', label: 0 },
    ]
    expect((await read('b.csv', '\ufefftext,label\r\na,1\r\nb,0\r\n')).examples).toMatchObject(examples)
    expect((await read('b.tsv', '\ufefftext\tlabel\r\na\t1\r\nb\t0\r\n')).examples).toMatchObject(examples)
    expect((await read('b.jsonl', '\ufeff{"text":"a","label":1}\r\n{"text":"b","label":0}\r\n')).examples).toMatchObject(examples)
  })

  it('reads a .csv that mixes CRLF and LF, and ignores empty lines at its end', async () => {
    const examples = [
      { text: 'a', label: 1, row: 2 },
      { text: 'b', label: 0, row: 3 },
    ]
    expect((await read('e.csv', 'text,label\na,1\r\nb,0\n\r\n\n')).examples).toMatchObject(examples)
    expect((await read('e.csv', 'text,label\r\na,1\nb,0\n\n')).examples).toMatchObject(examples)
  })

  it('counts the lines of a .csv as an editor does, even if a text spans several', async () => {
    for (const end of ['\n', '\r\n']) {
      const content = ['text,label', '"one', 'two', 'three",1', 'b,0', '"c', 'd",1', ''].join(end)
      expect((await read('c.csv', content)).examples.map(({ row }) => row)).toEqual([2, 5, 6])
    }
  })
})

describe('labels of a file', () => {
  const csv = (...labels: readonly string[]): string => `text,label\n${labels.map((label, i) => `t${i},${label}\n`).join('')}`

  it('sorts classes numerically if all are integers, otherwise alphabetically', async () => {
    expect((await read('l.csv', csv('10', '9', '-1', '9'))).labelNames).toEqual(['-1', '9', '10'])
    expect((await read('l.csv', csv('10', '9', 'x'))).labelNames).toEqual(['10', '9', 'x'])
    expect((await read('l.csv', csv('10', '9', '-1', '9'))).examples.map(({ label }) => label)).toEqual([2, 1, 0, 1])
  })

  it('strips the blanks around a label', async () => {
    expect((await read('l.csv', csv(' yes', 'no ', 'yes'))).labelNames).toEqual(['no', 'yes'])
  })

  it('accepts JSON numbers and booleans as labels', async () => {
    expect((await read('l.jsonl', '{"text":"a","label":2}\n{"text":"b","label":"1"}')).labelNames).toEqual(['1', '2'])
    expect((await read('l.jsonl', '{"text":"a","label":true}\n{"text":"b","label":false}')).labelNames).toEqual(['false', 'true'])
  })

  it('reads scores for a regression', async () => {
    const { labelNames, examples } = await read('l.csv', csv('0.5', '-2', '1e3', '3'), { labelColumn: scoreColumn })
    expect(labelNames).toBeNull()
    expect(examples.map(({ label }) => label)).toEqual([0.5, -2, 1000, 3])
  })

  it('uses the classes of the training data for the evaluation data', async () => {
    const labelNames = ['good', 'bad', 'mixed']
    expect(await read('l.csv', csv('bad', 'bad'), { labelNames })).toMatchObject({ labelNames, examples: [{ label: 1 }, { label: 1 }] })
    expect(await refusal('l.csv', csv('bad', 'ugly'), { labelNames })).toBe(
      'l.csv, row 3: expected a label of the training data (good, bad or mixed), got "ugly"',
    )
  })

  it('refuses half of a character, because two of them would have one name in the files of a run', async () => {
    expect(await refusal('a.jsonl', '{"text":"a","label":"\\ud800"}\n{"text":"b","label":"\\ud801"}\n')).toMatch(
      /^a\.jsonl, (row|line) 1: expected a label in Unicode, got half of a character \("\\ud800"\)$/,
    )
    const { labelNames } = await read('a.jsonl', '{"text":"a","label":"\\ud83c\\udfac"}\n{"text":"b","label":"b"}\n')
    expect(labelNames).toEqual(['b', '🎬'])
  })

  it('refuses real numbers as classes, invalid numbers as scores, and a single class', async () => {
    expect(await refusal('l.csv', csv('1', '0', '0.5'))).toBe(
      'l.csv, row 4: expected a class (text or an integer; --problem-type regression reads real numbers, and --labels-as-text any text), got "0.5"',
    )
    for (const label of ['high', '1e999', 'NaN']) {
      expect(await refusal('l.csv', csv('1', label), { labelColumn: scoreColumn })).toBe(
        `l.csv, row 3: expected a real number as label, got "${label}"`,
      )
    }
    expect(await refusal('l.csv', csv('1', '-2e30'), { labelColumn: scoreColumn })).toBe(
      'l.csv, row 3: expected a score from −1e30 to 1e30, got "-2e30"',
    )
    expect(await refusal('l.csv', csv('1', '1'))).toBe('l.csv: expected at least two classes, got only "1"')
    expect(await refusal('l.csv', csv('1', ' '))).toBe('l.csv, row 3: expected a label (or --skip-missing), got an empty one')
  })
})

describe('an invalid file is refused in one line', () => {
  it('names a missing column, its flag, and the columns of the file', async () => {
    expect(await refusal('m.csv', 'sentence,label\na,1\n')).toBe(
      'm.csv, row 1: expected a column "text" (--text), got the columns "sentence", "label" (did you mean --text sentence?)',
    )
    expect(await refusal('m.tsv', 'text\tclass\na\t1\n', { label: 'mood' })).toBe(
      'm.tsv, row 1: expected a column "mood" (--label), got the columns "text", "class" (did you mean --label class?)',
    )
    expect(await refusal('m.csv', 'id,text\n1,a\n')).toBe('m.csv, row 1: expected a column "label" (--label), got the columns "id", "text"')
    expect(await refusal('m.tsv', 'text;label\na;1\n')).toBe(
      'm.tsv, row 1: expected a column "label" (--label), got the columns "text;label" (--delimiter ";" would cut it)',
    )
    expect(await refusal('m.csv', 'review;stars\na;1\n')).toBe(
      'm.csv, row 1: expected a column "label" (--label), got the columns "review", "stars" (did you mean --label stars --text review?)',
    )
    expect(await refusal('m.csv', 'text,label\na,1\n', { textPair: 'reply' })).toBe(
      'm.csv, row 1: expected a column "reply" (--text-pair), got the columns "text", "label"',
    )
    expect(await refusal('m.jsonl', '{"text":"a","label":1}\n{"text":"b"}')).toBe(
      'm.jsonl, row 2: expected a column "label" (--label), got the columns "text"',
    )
    expect(await refusal('m.jsonl', '{}')).toBe('m.jsonl, row 1: expected a column "label" (--label), got no columns')
  })

  it('accepts a column called __proto__ or constructor', async () => {
    expect(await refusal('p.jsonl', '{"text":"a","label":1}', { text: 'constructor' })).toBe(
      'p.jsonl, row 1: expected a column "constructor" (--text), got the columns "text", "label" (did you mean --text text?)',
    )
    expect(
      (await read('p.jsonl', '{"__proto__":"a","label":1}\n{"__proto__":"b","label":0}', { text: '__proto__' })).examples[0]?.text,
    ).toBe('a')
  })

  it('refuses one column requested twice', async () => {
    expect(await refusal('t.csv', 'text,label\na,1\n', { textPair: 'text' })).toBe(
      't.csv: expected different columns for text, text pair and label, got "text" named twice',
    )
  })

  it('names a row with the wrong number of columns, including an empty line', async () => {
    expect(await refusal('w.csv', 'text,label\na,1\na,b,1\n')).toBe('w.csv, row 3: expected 2 columns, got 3 columns')
    expect(await refusal('w.csv', 'text,label\na,1\n\nb,0\n')).toBe('w.csv, row 3: expected 2 columns, got 1 column')
    expect(await refusal('w.tsv', 'text\tlabel\na\t1\n\nb\t0\n')).toBe('w.tsv, row 3: expected 2 columns, got 1 column')
    expect(await refusal('w.jsonl', '{"text":"a","label":1}\n\n7\n')).toBe('w.jsonl, row 3: expected a JSON object, got "7"')
  })

  it('refuses a quote that never closes, and one inside an unquoted cell', async () => {
    expect(await refusal('q.csv', 'text,label\na,1\n"b,0\n')).toMatch(
      /^q\.csv, row \d: expected a closing quote, got the end of the file inside a quoted field$/,
    )
    expect(await refusal('q.csv', 'text,label\n"a"b,1\n')).toMatch(
      /^q\.csv, row 2: expected a quoted field with quotes at both ends and "" for a quote inside, got a stray quote/,
    )
    expect(await refusal('q.csv', 'text,label\na"b,1\n')).toMatch(/^q\.csv, row 2: expected a quoted field .*, got a stray quote/)
  })

  it('refuses a line that is not a JSON object, and a value that is not a text', async () => {
    for (const line of ['{"text":', '[1]', '7', 'null']) {
      expect(await refusal('j.jsonl', line)).toBe(`j.jsonl, row 1: expected a JSON object, got "${line}"`)
    }
    expect(await refusal('j.jsonl', '{"text":null,"label":1}')).toBe(
      'j.jsonl, row 1: expected a text in column "text" (or --skip-missing), got null',
    )
  })

  it.each([
    ['prompt,chosen,rejected', '(for pairs of answers, give this file by --data, with --task preference)'],
    ['id,question,choices,answer', '(for questions with choices, give this file by --data, with --task choice)'],
    ['id,tokens,ner_tags', '(for words with tags, add --problem-type token-classification)'],
    ['words,tags', '(for words with tags, add --problem-type token-classification)'],
    ['instruction,output', '(for conversations and instructions, give this file by --data, with --task alpaca)'],
  ])('names the task of rows with the columns %s', async (header, remedy) => {
    expect((await refusal('k.csv', `${header}\n${header}\n`)).endsWith(remedy)).toBe(true)
  })

  it('refuses an empty text', async () => {
    expect(await refusal('e.csv', 'text,label\na,1\n ,0\n')).toBe(
      'e.csv, row 3: expected a text in column "text" (or --skip-missing), got an empty one',
    )
    expect(await refusal('e.csv', 'text,b,label\na,,1\nb,c,0\n', { textPair: 'b' })).toBe(
      'e.csv, row 2: expected a text in column "b" (or --skip-missing), got an empty one',
    )
  })

  it('refuses an empty file, a header alone, an unknown extension, and bytes that are not UTF-8', async () => {
    for (const name of ['z.csv', 'z.tsv', 'z.jsonl'])
      expect(await refusal(name, '')).toBe(`${name}: expected at least one row, got an empty file`)
    expect(await refusal('z.csv', 'text,label\n')).toBe('z.csv: expected at least one row of data, got none')
    expect(await refusal('z.txt', 'PAR1')).toBe(
      'z.txt: expected a file whose name ends in .tsv, .csv, .jsonl, .json or .parquet, got ".txt"',
    )
    for (const [name, remedy] of [
      ['z.XLSX', 'save it as CSV'],
      ['z.csv.zip', 'unpack it first'],
      ['z.tar.gz', 'unpack it first'],
      ['z.arrow', 'write it as Parquet or CSV'],
    ] as const)
      expect(await refusal(name, 'PK')).toMatch(new RegExp(`, got ".*" \\(${remedy}\\)$`))
    for (const [name, head] of [
      ['u.csv', 'text,label\n'],
      ['u.tsv', 'text\tlabel\n'],
      ['u.jsonl', '{"text":"a","label":1}\n'],
    ] as const) {
      expect(await refusal(name, Buffer.concat([Buffer.from(head), Buffer.of(0xc3, 0x28)]))).toBe(
        `${name}, row 2: expected text in UTF-8 (or --encoding windows-1252), got bytes that are not UTF-8`,
      )
    }
  })

  it('reads the signs that Windows-1252 has in place of control characters, and keeps the five that it lacks', () => {
    const bytes = Buffer.of(0x80, 0x85, 0x92, 0x99, 0x9f, 0xe9, 0x81, 0x9d, 0x41)
    expect(transcoder('file', parseEncoding('windows-1252'))(bytes, true).toString('utf8')).toBe(
      '\u20ac\u2026\u2019\u2122\u0178\u00e9\u0081\u009dA',
    )
    expect(parseEncoding(' latin1 ')).toBe('windows-1252')
  })

  it('refuses a file of 2 GiB without reading it', async () => {
    const file = write('huge.csv', '')
    truncateSync(file, 2 ** 31) // a hole: it takes no room on the disk
    expect(await refusalOf(() => readDelimited(file))).toBe(`${file}: expected at most 2147483647 bytes (2 GiB), got 2147483648 bytes`)
    rmSync(file)
  })
})
