/** salora predict: multi-line texts, one prediction per text in order, and complete documents after signals and errors. */
import { spawn } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parse } from 'csv-parse/sync'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { textLines } from '../../cli/input/textLines.js'
import { SEED } from '../support/seed.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { program } from './spawnSalora.js'
import { writeAdapter } from './tinyAdapter.js'
import { toyFolder } from './toyFolder.js'

const cwd = toyFolder('predict', {})
beforeAll(async () => {
  await writeAdapter(join(cwd, 'adapter'), join(cwd, 'tiny'), ['bad', 'good, or so'])
})

const predict = ['predict', '--model', 'tiny', '--adapter', 'adapter', '--device', 'cpu', '--max-length', '16']
const texts = ['two\nlines', 'a "quoted" word', 'a tab\there, a comma; and so on', 'naïve – 東京 🎬', '  blanks  ', 'plain']

type Answer = { readonly label: string; readonly score: number; readonly scores?: Readonly<Record<string, number>> }
const answersIn = (stdout: string): readonly Answer[] => jsonLines<Answer>(stdout)

describe('multi-line texts of salora predict', () => {
  const fixture = (name: string): string => fileURLToPath(new URL(`../golden/fixtures/pandas/${name}`, import.meta.url))
  const cell = (text: string): string => `"${text.replaceAll('"', '""')}"`

  it('give the same predictions from files in every format and from standard input', async () => {
    const given = async (args: readonly string[], input = '') => {
      const { code, stdout, stderr } = await saloraIn([...predict, '--quiet', ...args], { cwd, input })
      expect([code, stderr]).toEqual([0, 'warning: 1 of 6 texts are longer than --max-length 16 and are truncated\n'])
      return answersIn(stdout).map(({ label, score }) => ({ label, score: score.toFixed(5) })) // batches round differently
    }
    const csv = ['id,text', ...texts.map((text, i) => `${i},${cell(text)}`)].join('\n')
    const all = await given(['--from', 'csv'], csv)
    expect(all).toHaveLength(6)
    expect(new Set(all.map(({ score }) => score)).size).toBeGreaterThan(3)
    expect(await given(['--from', 'jsonl'], texts.map((text) => JSON.stringify({ text })).join('\n'))).toEqual(all)
    expect(
      await given(
        ['--from', 'tsv', '--quote'],
        csv
          .replaceAll('\t', ' ')
          .replace(/^(\w+),/gm, '$1\t')
          .replace('a tab here', 'a tab\there'),
      ),
    ).toEqual(all)
    for (const args of [
      ['--input', fixture('pandas-zstd.parquet')],
      ['--input', fixture('pandas.csv'), '--delimiter', ';'],
      ['--input', fixture('pandas.tsv'), '--quote'],
    ])
      expect(await given(args), args.join(' ')).toEqual(all)
  })

  it('come from the lines of a .txt file as from standard input, and a flag of columns does not go with one', async () => {
    const lines = 'a good film\nbad, bad\n'
    await writeFile(join(cwd, 'lines.txt'), `\ufeff${lines}`)
    const [file, stream] = [await saloraIn([...predict, '--input', 'lines.txt'], { cwd }), await saloraIn(predict, { cwd, input: lines })]
    expect([file.code, file.stdout]).toEqual([0, stream.stdout])
    expect(answersIn(file.stdout)).toHaveLength(2)
    const refused = await saloraIn([...predict, '--input', 'lines.txt', '--text', 'review'], { cwd })
    expect([refused.code, refused.stderr]).toEqual([2, '--input: expected a file with named columns, got lines of text\n'])
    const absent = await saloraIn([...predict, '--input', 'absent.txt'], { cwd })
    expect([absent.code, absent.stderr]).toMatchObject([1, 'absent.txt: expected a file, got none there\n'])
  })

  it('come from the command line as from standard input, an error in its place', async () => {
    const given = ['plain', '', 'naïve – 東京']
    const [typed, piped] = [await saloraIn([...predict, ...given], { cwd }), await saloraIn(predict, { cwd, input: given.join('\n') })]
    expect(typed.stdout).toBe(piped.stdout)
    expect(answersIn(typed.stdout)).toHaveLength(3)
    expect([typed.code, typed.stderr]).toEqual([1, 'text 2: expected a text, got an empty one\n'])
  })

  it('go back to a spreadsheet with the delimiter that it wrote, and cells that contain it are quoted', async () => {
    await writeFile(join(cwd, 'excel.csv'), 'id;text;price\r\n1;a good film;1,50\r\n2;"bad; so bad";2\r\n')
    const { stdout } = await saloraIn([...predict, '--input', 'excel.csv', '--to', 'csv', '--quiet'], { cwd })
    const [header = '', ...rows] = stdout.trimEnd().split('\n')
    expect(header).toBe('id;text;price;label;score;score_bad;score_good, or so;error')
    expect(rows.map((row) => row.split(';').length)).toEqual([8, 9])
    const [first, second] = parse(stdout, { delimiter: ';' }).slice(1) as readonly (readonly string[])[]
    expect([first?.slice(0, 3), second?.slice(0, 3)]).toEqual([
      ['1', 'a good film', '1,50'],
      ['2', 'bad; so bad', '2'],
    ])
  })

  it('are written to CSV unchanged, with the other columns, beside their predictions', async () => {
    const { code, stdout } = await saloraIn([...predict, '--quiet', '--input', fixture('pandas.json'), '--to', 'csv'], { cwd })
    expect(code).toBe(0)
    const { stdout: lines } = await saloraIn([...predict, '--quiet', '--input', fixture('pandas.json')], { cwd })
    const answers = answersIn(lines)
    const classes = ['bad', 'good, or so']
    const given = JSON.parse(readFileSync(fixture('pandas.json'), 'utf8')) as readonly Readonly<Record<string, string | number | null>>[]
    expect(parse(stdout)).toEqual([
      ['id', 'text', 'input_label', 'label', 'score', ...classes.map((name) => `score_${name}`), 'error'],
      ...texts.map((text, i) => {
        const { label = '', score = NaN, scores = {} } = answers[i] ?? {}
        const ofRow = [given[i]?.['id'], text, given[i]?.['label'] ?? '']
        return [...ofRow, label, score, ...classes.map((name) => scores[name]), ''].map(String)
      }),
    ])
  })

  it('keep the digits of whole numbers beyond 2^53 beside them, in JSON lines and in CSV, from standard input and from files', async () => {
    const given = '{"tweet_id":1234567890123456789,"more":{"ids":[-9007199254740993]},"text":"good film"}\n'
    await writeFile(join(cwd, 'id.jsonl'), given)
    await writeFile(join(cwd, 'id.json'), `[${given}]`)
    for (const args of [
      ['--from', 'jsonl'],
      ['--input', 'id.jsonl'],
      ['--input', 'id.json'],
    ]) {
      const { stdout } = await saloraIn([...predict, '--quiet', ...args], { cwd, input: given })
      expect(stdout).toMatch(/^\{"tweet_id":1234567890123456789,"more":\{"ids":\[-9007199254740993\]\},"label":/)
      const csv = await saloraIn([...predict, '--quiet', '--to', 'csv', ...args], { cwd, input: given })
      expect(csv.stdout.split('\n')[1]).toMatch(/^1234567890123456789,"\{""ids"":\[-9007199254740993\]\}",good film,/)
    }
  })

  it('are written to CSV with all columns of the first row that has a text, and a warning names those of later rows', async () => {
    const csvOf = async (...rows: readonly string[]) => {
      const args = [...predict, '--quiet', '--from', 'jsonl', '--to', 'csv']
      const { code, stdout, stderr } = await saloraIn(args, { cwd, input: rows.join('\n') })
      const cells = parse(stdout) as readonly (readonly string[])[]
      return { code, stderr, cells: cells.map((row) => [...row.slice(0, -5), row.at(-1)]) }
    }
    expect(await csvOf('not json', '{"id":1,"other":"a"}', '{"id":2,"text":"good"}', '{"id":3,"text":"bad"}', '[]')).toEqual({
      code: 1,
      stderr:
        'warning: standard input: expected the columns of the first row in every row, got also the columns "other"; --to jsonl keeps all\n' +
        'standard input, line 1: expected a JSON object, got "not json" (and 2 more invalid lines)\n',
      cells: [
        ['id', 'text', 'error'],
        ['', '', 'expected a JSON object, got "not json"'],
        ['1', '', 'expected a column "text" (--text), got the columns "id", "other"'],
        ['2', 'good', ''],
        ['3', 'bad', ''],
        ['', '', 'expected a JSON object, got "[]"'],
      ],
    })
    expect(await csvOf('{"text":"good"}', '{"id":2,"text":"bad"}', '{"id":3,"more":4,"text":"fine"}')).toEqual({
      code: 0,
      stderr:
        'warning: standard input: expected the columns of the first row in every row, got also the columns "id", "more"; --to jsonl keeps all\n',
      cells: [
        ['text', 'error'],
        ['good', ''],
        ['bad', ''],
        ['fine', ''],
      ],
    })
    expect((await csvOf('not json')).cells).toEqual([
      ['text', 'error'],
      ['', 'expected a JSON object, got "not json"'],
    ])
    const long = await csvOf(...new Array<string>(1_001).fill('{"other":"a"}'), '{"text":"good"}')
    expect(long.cells[0]).toEqual(['other', 'error']) // a thousand rows wait for a text
    expect(long.stderr).toMatch(/^warning: .* got also the columns "text"; --to jsonl keeps all\n/)
  })

  it('keep columns of one name, and columns in the order of the file, also those named like numbers', async () => {
    const given = 'id,id,text,2021,1999\n7,8,good film,a,b\n'
    await writeFile(join(cwd, 'dup.csv'), given)
    for (const args of [
      ['--from', 'csv'],
      ['--input', 'dup.csv'],
    ]) {
      const { stdout } = await saloraIn([...predict, '--quiet', '--to', 'csv', ...args], { cwd, input: given })
      expect(stdout).toMatch(/^id,id_2,text,2021,1999,label,.*\n7,8,good film,a,b,/)
      const lines = await saloraIn([...predict, '--quiet', ...args], { cwd, input: given })
      expect(JSON.parse(lines.stdout)).toMatchObject({ id: '7', id_2: '8', '2021': 'a', '1999': 'b' })
    }
  })

  it('keep their other columns where they get an error', async () => {
    const { stdout } = await saloraIn([...predict.slice(0, -1), '3', '--quiet', '--from', 'jsonl', '--text-pair', 'b'], {
      cwd,
      input: '{"id":5,"text":"a","b":"c"}\n{"id":6,"text":"a"}\n',
    })
    expect(stdout.trimEnd().split('\n')).toEqual([
      '{"id":5,"error":"--max-length: expected 5 to 78 tokens for two texts, including 4 special tokens, got 3"}',
      expect.stringMatching(/^\{"id":6,"error":"expected a column ../) as string,
    ])
  })

  it('with --escape-formulas have an apostrophe before what a spreadsheet would run, and numbers have none', async () => {
    const given = ['=1+1', '+a', '-a', '@a', '\ta', '-5', '+1.5', 'a=b']
    const csv = ['id,text', ...given.map((id) => `"${id}",a`)].join('\n')
    const idsOf = async (...flags: readonly string[]): Promise<readonly unknown[]> => {
      const { stdout } = await saloraIn([...predict, '--quiet', '--from', 'csv', '--to', 'csv', ...flags], { cwd, input: csv })
      return parse(stdout).map(([id]) => id)
    }
    expect(await idsOf()).toEqual(['id', ...given])
    expect(await idsOf('--escape-formulas')).toEqual(['id', "'=1+1", "'+a", "'-a", "'@a", "'\ta", '-5', '+1.5', 'a=b'])
  })

  it('may begin with a byte-order mark in every format', async () => {
    for (const [format, before] of [
      ['csv', '"text"\n'],
      ['tsv', 'text\n'],
      ['jsonl', ''],
    ] as const) {
      const input = `\ufeff${before}${format === 'jsonl' ? '{"text":"a"}' : 'a'}\n`
      const { code, stdout } = await saloraIn([...predict, '--quiet', '--from', format], { cwd, input })
      expect([code, answersIn(stdout).length], format).toEqual([0, 1])
    }
  })

  it('keep one prediction or error per text, in order', async () => {
    const [first, last] = ['a plain text', 'other words of another length']
    const input = [{ text: first }, { text: null }, 7, { other: 'b' }, { text: last }].map((row) => `${JSON.stringify(row)}\n`).join('')
    const { code, stdout, stderr } = await saloraIn([...predict, '--quiet', '--from', 'jsonl'], { cwd, input })
    expect(code).toBe(1)
    const alone = async (text: string): Promise<object> => {
      const [answer] = answersIn((await saloraIn([...predict, '--quiet'], { cwd, input: `${text}\n` })).stdout)
      return { label: answer?.label, score: expect.closeTo(answer?.score ?? NaN, 5) as number }
    }
    const [answerToFirst, answerToLast] = [await alone(first ?? ''), await alone(last ?? '')]
    expect(answerToFirst).not.toEqual(answerToLast)
    expect(answersIn(stdout)).toMatchObject([
      answerToFirst,
      { error: 'expected a text, got an empty one' },
      { error: 'expected a JSON object, got "7"' },
      { error: 'expected a column "text" (--text), got the columns "other"' },
      answerToLast,
    ])
    expect(stderr).toBe('standard input, line 2: expected a text, got an empty one (and 2 more invalid lines)\n')
  })
})

describe('salora predict --json', () => {
  it('prints one array even if a text gets an error', async () => {
    const { code, stdout } = await saloraIn([...predict.slice(0, -1), '3', '--json', '--quiet'], { cwd, input: 'a\nb\tc\nd\n' })
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toMatchObject([
      { label: expect.any(String) },
      { error: '--max-length: expected 5 to 78 tokens for two texts, including 4 special tokens, got 3' },
      { label: expect.any(String) },
    ])
  })

  it.each<readonly [NodeJS.Signals, number]>([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ])('prints one complete array when %s stops it', async (signal, expected) => {
    const child = spawn(process.execPath, [program, ...predict, '--json', '--quiet'], { cwd, stdio: ['pipe', 'pipe', 'ignore'] })
    child.stdin.write('a film\nanother film\n')
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      if (stdout === '') child.kill(signal)
      stdout += text
    })
    const code = await new Promise((resolve) => child.on('close', resolve))
    expect(code).toBe(expected)
    expect(JSON.parse(stdout)).toHaveLength(2)
  })
})

describe('the lines of standard input', () => {
  const collected = async (chunks: readonly Uint8Array[]) => {
    const lines = []
    for await (const batch of textLines(
      (async function* () {
        yield* chunks
      })(),
    ))
      lines.push(...batch)
    return lines
  }

  it(`do not depend on how their bytes arrive (seed ${SEED})`, async () => {
    const text = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }).map((s) => `x${s.replace(/[\t\r\n]/g, ' ')}`)
    await fc.assert(
      fc.asyncProperty(
        fc.array(text, { maxLength: 8 }),
        fc.array(fc.nat(200), { maxLength: 10 }),
        fc.boolean(),
        async (lines, cuts, ended) => {
          const bytes = Buffer.from(`${lines.join('\n')}${ended && lines.length > 0 ? '\n' : ''}`)
          const places = [0, ...cuts.map((at) => Math.min(at, bytes.length)).sort((a, b) => a - b), bytes.length]
          const chunks = places.slice(1).map((end, i) => bytes.subarray(places[i], end))
          expect(await collected(chunks)).toEqual(lines.map((given, i) => ({ line: i + 1, given: { text: given } })))
        },
      ),
      { seed: SEED },
    )
  })

  it('give each text or pair with its line number', async () => {
    expect(await collected([Buffer.from('one\r\ntwo\tthree\n\nlast')])).toEqual([
      { line: 1, given: { text: 'one' } },
      { line: 2, given: { text: 'two', textPair: 'three' } },
      { line: 3, problem: 'expected a text, got an empty one' },
      { line: 4, given: { text: 'last' } },
    ])
  })

  it('lose a byte-order mark before the first line, and nowhere else', async () => {
    const mark = Buffer.from('\ufeff')
    const expected = [
      { line: 1, given: { text: 'one' } },
      { line: 2, given: { text: '\ufefftwo' } },
      { line: 3, given: { text: 'th\ufeffree' } },
    ]
    const marked = Buffer.concat([mark, Buffer.from('one\n\ufefftwo\nth\ufeffree')])
    expect(await collected([marked])).toEqual(expected)
    expect(await collected([marked.subarray(0, 2), marked.subarray(2)])).toEqual(expected)
    expect(await collected([Buffer.from('\ufeff\ufeffone')])).toEqual([{ line: 1, given: { text: '\ufeffone' } }])
  })

  it('take linear time for a line of 64 MiB in pieces of 64 KiB', async () => {
    const began = process.cpuUsage()
    const lines = await collected(Array.from({ length: 1024 }, () => Buffer.alloc(2 ** 16, 'a')))
    expect(lines).toHaveLength(1)
    const { user, system } = process.cpuUsage(began)
    expect(user + system).toBeLessThan(3e6) // microseconds of the processor
  })

  it('give an error for more texts than two, which names the format that has them', async () => {
    expect(await collected([Buffer.from('a\tb\nc\td\te\n')])).toEqual([
      { line: 1, given: { text: 'a', textPair: 'b' } },
      { line: 2, problem: 'expected a text, or two separated by a tab, got 3 (--from jsonl reads texts with tabs)' },
    ])
  })

  it('give an error beyond 128 MiB, and are not kept in memory', async () => {
    const piece = Buffer.alloc(2 ** 20, 'a')
    const lines = await collected([...Array.from({ length: 200 }, () => piece), Buffer.from('\nshort')])
    expect(lines).toEqual([
      { line: 1, problem: `expected at most ${2 ** 27} bytes in a line, got ${200 * 2 ** 20}` },
      { line: 2, given: { text: 'short' } },
    ])
  })
})

/** util-linux's program; that of macOS and BSD has other options. */
const hasScript = process.platform === 'linux' && existsSync('/usr/bin/script')

describe.skipIf(!hasScript)('a terminal', () => {
  it('salora predict on a terminal explains its input and prompts for each text', async () => {
    const command = [process.execPath, program, ...predict].join(' ')
    const terminal = spawn('/usr/bin/script', ['-qefc', command, '/dev/null'], { cwd, stdio: ['pipe', 'pipe', 'ignore'] })
    let shown = ''
    let typed = 0
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text
      if (typed === 0 && shown.includes('> ')) terminal.stdin.write(++typed && 'a film\n')
      if (typed === 1 && /score.*\n> $/s.test(shown)) terminal.stdin.write(++typed && '\x04')
    })
    const code = await new Promise((resolve) => terminal.on('close', resolve))
    expect(code).toBe(0)
    expect(shown).toMatch(/type a text and Enter \(a tab between the two texts of a pair\); Ctrl-D ends\r\n> .*"label":"[^"]*","score"/s)
  })
})
