/** predict and evaluate know the columns that a run was trained on, and keep the others. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parse } from 'csv-parse/sync'
import { beforeAll, describe, expect, it } from 'vitest'
import { inheritColumns } from '../../cli/options/taskRequest.js'
import { openOutput } from '../../cli/format/answers.js'
import { toWholeRow, type WholeRow } from '../../finetuning/data/rows.js'
import { finetuneJob } from '../../index.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn } from './inProcess.js'
import { toyRows } from './toyTask.js'
import { toyFolder } from './toyFolder.js'

const folder = toyFolder('run-columns', {})
const at = (name: string): string => join(folder, name)
const rows = toyRows(24).map(({ text, label }, i) => ({ id: i, review: text, stars: label }))
const asCsv = (mark: string, given: readonly object[] = rows): string =>
  [Object.keys(rows[0] ?? {}).join(mark), ...given.map((row) => Object.values(row).join(mark))].join('\n')

beforeAll(async () => {
  await writeFile(at('train.csv'), asCsv(';'))
  await writeFile(at('new.csv'), asCsv(';', rows.slice(0, 3)))
  await writeFile(
    at('new.jsonl'),
    rows
      .slice(0, 3)
      .map((row) => JSON.stringify({ ...row, label: 7, tags: ['a'] }))
      .join('\n'),
  )
  const task = { task: at('train.csv'), text: 'review', label: 'stars', delimiter: ';' }
  const settings = { method: 'lora', maxSteps: 1, batchSize: 4, maxLength: 16, device: 'cpu' } as const
  const train = async (output: string, textPair: { readonly textPair?: string }): Promise<void> => {
    const job = { model: at('tiny'), task: { ...task, ...textPair }, output: at(output), settings }
    for await (const _ of finetuneJob(job, new AbortController().signal));
  }
  await train('run', {})
  await train('pairs', { textPair: 'id' })
})

const salora = (...args: readonly string[]) => saloraIn([...args, '--run', 'run', '--quiet'], { cwd: folder })
const lines = (stdout: string): readonly Readonly<Record<string, unknown>>[] => jsonLines<Readonly<Record<string, unknown>>>(stdout)

describe('the columns of a run', () => {
  it('are those of predict, which keeps the others in JSON lines', async () => {
    const { code, stdout, stderr } = await salora('predict', '--input', 'new.csv')
    expect([code, stderr]).toEqual([0, ''])
    const answer = { label: expect.any(String) as string, score: expect.any(Number) as number, scores: expect.any(Object) as object }
    expect(lines(stdout)).toEqual([0, 1, 2].map((i) => ({ id: String(i), stars: i % 2 === 0 ? 'good' : 'bad', ...answer })))
    const typed = await salora('predict', '--input', 'new.jsonl')
    expect(lines(typed.stdout)[1]).toEqual({ id: 1, stars: 'bad', input_label: 7, tags: ['a'], ...answer })
    const streamed = await saloraIn(['predict', '--run', 'run', '--quiet', '--from', 'jsonl'], {
      cwd: folder,
      input: readFileSync(at('new.jsonl')),
    })
    expect(streamed.stdout).toBe(typed.stdout)
  })

  it('are written to CSV with a score of each class, from a file and from standard input', async () => {
    const { stdout } = await salora('predict', '--input', 'new.csv', '--to', 'csv')
    const [header, first = []] = parse(stdout, { delimiter: ';' }) as readonly (readonly string[])[]
    expect(header).toEqual(['id', 'review', 'stars', 'label', 'score', 'score_bad', 'score_good', 'error'])
    expect(first.slice(0, 3)).toEqual(['0', 'good fine great film number 0', 'good'])
    expect(Number(first[5]) + Number(first[6])).toBeCloseTo(1, 12)
    const input = `${asCsv(',', rows.slice(0, 2))}\n9,too,many,cells\n`
    const piped = await saloraIn(['predict', '--run', 'run', '--quiet', '--from', 'csv', '--to', 'csv'], { cwd: folder, input })
    expect(piped.code).toBe(1)
    expect((parse(piped.stdout) as readonly (readonly string[])[]).map((cells) => [cells[0], cells.at(-1)])).toEqual([
      ['id', 'error'],
      ['0', ''],
      ['1', ''],
      ['', 'expected 3 columns, got 4'],
    ])
  })

  it('yield to flags, and to a line of text', async () => {
    await writeFile(at('other.csv'), 'body\ngood film')
    expect((await salora('predict', '--input', 'other.csv')).stderr).toMatch(/^other\.csv, row 1: expected a column "review" \(--text\)/)
    expect(lines((await salora('predict', '--input', 'other.csv', '--text', 'body', '--delimiter', ',')).stdout)).toHaveLength(1)
    const plain = await saloraIn(['predict', '--run', 'run', '--quiet'], { cwd: folder, input: 'good film\n' })
    expect(Object.keys(lines(plain.stdout)[0] ?? {})).toEqual(['label', 'score', 'scores'])
  })

  it('say how many texts a line and a row must have', async () => {
    const piped = (run: string, input: string, ...args: readonly string[]) =>
      saloraIn(['predict', '--run', run, '--quiet', ...args], { cwd: folder, input })
    const single = await piped('run', 'good film\ngood\tfilm\n')
    expect([single.code, single.stderr]).toEqual([
      1,
      'standard input, line 2: text, cut at tabs: expected one text, as in the data of the run, got two\n',
    ])
    expect(lines(single.stdout)).toEqual([
      expect.objectContaining({ label: expect.any(String) as string }),
      { error: 'text, cut at tabs: expected one text, as in the data of the run, got two' },
    ])
    const tab = await piped('run', '{"review":"good\\tfilm"}\n', '--from', 'jsonl')
    expect([tab.code, tab.stderr]).toEqual([0, ''])
    const pair = await piped('run', '{"review":"good","other":"film"}\n', '--from', 'jsonl', '--text-pair', 'other')
    expect(lines(pair.stdout)).toEqual([{ error: 'text: expected one text, as in the data of the run, got two' }])
    const pairs = await piped('pairs', 'good film\ngood\tfilm\n')
    expect(lines(pairs.stdout)).toEqual([
      { error: 'text, cut at tabs: expected two texts, as in the data of the run, got one' },
      expect.objectContaining({ label: expect.any(String) as string }),
    ])
  })

  it('are those of evaluate for another file', async () => {
    const { code, stdout } = await salora('evaluate', '--task', 'new.csv')
    expect(code).toBe(0)
    expect(stdout).toMatch(/^class +precision +recall +f1 +examples$/m)
    expect(stdout).toMatch(/^3 examples of .*new\.csv$/m)
  })

  it('say how cells are separated only for a file of the same ending, and nothing of a task with a name', () => {
    const task = { task: 'a.csv', text: 'review', label: 'stars', delimiter: ';', positiveLabel: 'good' }
    expect(inheritColumns(task, 'b.CSV')).toEqual({ text: 'review', label: 'stars', delimiter: ';' })
    for (const file of ['b.tsv', null]) expect(inheritColumns(task, file)).toEqual({ text: 'review', label: 'stars' })
    for (const none of [null, { task: 'sst2', data: 'glue' }]) expect(inheritColumns(none, 'b.csv')).toEqual({})
  })
})

describe('the output of predict', () => {
  const writtenRow = (format: 'csv' | 'jsonl', row?: WholeRow): string => {
    let text = ''
    const output = openOutput(format, {}, { columns: ['value'], classes: [] }, (piece) => {
      text += piece
    })
    if (row !== undefined) output.write({ text: 'a' }, { json: { value: 1 }, cells: ['1'] }, row)
    output.end()
    return text
  }

  it('writes a header even without a row, and whole numbers of any size', () => {
    const written = (format: 'csv' | 'jsonl', row?: Readonly<Record<string, unknown>>) =>
      writtenRow(format, row === undefined ? undefined : toWholeRow(row))
    expect(written('csv')).toBe('text,value,error\n')
    expect(written('csv', { text: 'a', n: 7n, none: null, list: [1n] })).toBe('text,n,none,list,value,error\na,7,,[1],1,\n')
    expect(written('jsonl', { text: 'a', n: 7n })).toBe('{"n":7,"value":1}\n')
    expect(written('jsonl', { text: 'a', n: 1234567890123456789n })).toBe('{"n":1234567890123456789,"value":1}\n')
  })

  it('names columns apart that share a name, with each other or with an answer', () => {
    const names = ['id', 'value', 'text', 'id', 'input_value', 'id_2', 'value', 'id', '']
    const row = { names, values: [1, 2, 'a', 3, 4, 5, 6, 7, 8] }
    expect(writtenRow('csv', row)).toBe(
      'id,input_value_2,text,id_3,input_value,id_2,input_value_3,id_4,,value,error\n1,2,a,3,4,5,6,7,8,1,\n',
    )
    expect(JSON.parse(writtenRow('jsonl', row))).toEqual({
      ...{ id: 1, input_value_2: 2, id_3: 3, input_value: 4, id_2: 5, input_value_3: 6, id_4: 7, '': 8 },
      ...{ value: 1 },
    })
    const wide = Array.from({ length: 20_000 }, (_, i) => (i % 2 === 0 ? 'id' : `id_${i}`))
    const header = writtenRow('csv', { names: wide, values: wide }).split('\n')[0]?.split(',') ?? []
    expect(new Set(header).size).toBe(wide.length + 2)
  })
})
