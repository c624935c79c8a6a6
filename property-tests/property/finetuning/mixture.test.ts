/** Several files with weights: the rows of each in an epoch, the held-out rows, and the same rows in a resumed run. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rowsDrawn } from '../../../finetuning/tasks/files/mixture.js'
import type { Example } from '../../../finetuning/data/index.js'
import { finetuneJob } from '../../../finetuning/nodeMachine.js'
import type { FinetuneOptions, RunConfig, RunResult } from '../../../finetuning/run/run.js'
import { loadTask, type TaskOptions } from '../../../finetuning/tasks/index.js'
import { saloraIn } from '../../cli/inProcess.js'
import { fixtures } from '../../golden/golden.js'
import { refusalOf } from '../../support/refusal.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('mixture')
const csv = (name: string, rows: readonly (readonly [string, string])[]): string =>
  write(name, ['text,label', ...rows.map((row) => row.join(','))].join('\n'))
const numbered = (name: string, count: number): readonly (readonly [string, string])[] =>
  Array.from({ length: count }, (_, i) => [`${name} ${i}`, i % 2 === 0 ? 'good' : 'bad'] as const)
const [a, b, dev] = [csv('a.csv', numbered('a', 12)), csv('b.csv', numbered('b', 40)), csv('dev.csv', numbered('dev', 4))]

const trainingOf = async (options: TaskOptions): Promise<readonly Example[]> => (await loadTask(options)).train.examples
/** How often each text occurs. */
const countsOf = (examples: readonly Example[]): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (const { text } of examples) counts.set(text, (counts.get(text) ?? 0) + 1)
  return counts
}
const ofFile = (examples: readonly Example[], name: string): readonly Example[] =>
  examples.filter(({ text }) => text.startsWith(`${name} `))

describe(`the rows of each file in an epoch (seed ${SEED})`, () => {
  const files = fc.array(fc.record({ rows: fc.integer({ min: 1, max: 1_000 }), weight: fc.double({ min: 0.1, max: 10, noNaN: true }) }), {
    minLength: 1,
    maxLength: 5,
  })
  it('are its share of all rows, less than one row apart, and together all rows', () => {
    fc.assert(
      fc.property(files, (list) => {
        const rows = list.map((file) => file.rows)
        const weights = list.map(({ weight }) => weight)
        const [total, sum] = [rows.reduce((x, n) => x + n, 0), weights.reduce((x, w) => x + w, 0)]
        const drawn = rowsDrawn(rows, weights)
        drawn.forEach((count, i) => {
          const share = (total * (weights[i] ?? 0)) / sum
          expect(share < 1 ? count === 1 : Math.abs(count - share) < 1).toBe(true)
        })
        if (drawn.every((count) => count > 1)) expect(drawn.reduce((x, n) => x + n, 0)).toBe(total)
      }),
      { seed: SEED },
    )
  })

  it('are never none of a file, however little it weighs', () => {
    expect(rowsDrawn([2, 3], [1, 100])).toEqual([1, 5])
    expect(rowsDrawn([1, 1, 40], [1, 1, 1_000])).toEqual([1, 1, 42])
  })

  it('occur once each without weights, in the order of the files', async () => {
    const texts = (await trainingOf({ task: a, mixData: [b], evalData: dev })).map(({ text }) => text)
    expect(texts).toEqual([...numbered('a', 12), ...numbered('b', 40)].map(([text]) => text))
  })

  it('are repeated evenly, or chosen without repetition, by weights', async () => {
    const examples = await trainingOf({ task: a, mixData: b, mixWeights: '3,1', evalData: dev })
    expect(examples.length).toBe(52)
    // 39 of 52 rows are from the 12 of a: each 3 times and 3 of them once more
    const [ofA, ofB] = [ofFile(examples, 'a'), ofFile(examples, 'b')].map((part) => [...countsOf(part).values()].sort())
    expect(ofA).toEqual([...new Array<number>(9).fill(3), ...new Array<number>(3).fill(4)])
    expect(ofB).toEqual(new Array<number>(13).fill(1))
    const labels = await loadTask({ task: a, mixData: b, mixWeights: [3, 1], evalData: dev })
    for (const { text, label } of labels.train.examples)
      expect(labels.labelNames?.[label]).toBe(Number(text.split(' ')[1]) % 2 === 0 ? 'good' : 'bad')
  })

  it('are the same at each reading, and others with another holdOutSeed', async () => {
    const read = async (more: Partial<TaskOptions> = {}) =>
      (await trainingOf({ task: a, mixData: b, mixWeights: '1,1', evalData: dev, ...more })).map(({ text }) => text)
    const first = await read()
    expect(await read()).toEqual(first)
    expect(await read({ holdOutSeed: 1 })).not.toEqual(first)
  })
})

describe('the held-out rows of several files', () => {
  it('are a tenth of each class of all files, are not weighed, and have no text that is trained on', async () => {
    const both = csv('both.csv', [...numbered('a', 12), ...numbered('c', 30)]) // the texts of a.csv are in it, too
    const { train, evaluation, heldOut } = await loadTask({ task: a, mixData: [both], mixWeights: '5,1' })
    // 42 different texts, 21 of each class
    expect([heldOut, countsOf(evaluation.examples).size]).toEqual([true, 4])
    const trained = new Set(train.examples.map(({ text }) => text))
    expect(evaluation.examples.filter(({ text }) => trained.has(text))).toEqual([])
    expect(train.examples.length).toBe(54 - evaluation.examples.length)
  })

  it('and the rows are those of the file of texts for a decoder, too', async () => {
    const [one, two] = ['one', 'two'].map((name) =>
      write(
        `${name}.jsonl`,
        Array.from({ length: 20 }, (_, i) => JSON.stringify({ prompt: `${name} ${i}`, completion: 'yes' })).join('\n'),
      ),
    )
    const { train, evaluation } = await loadTask({ task: 'alpaca', data: one ?? '', mixData: [two ?? ''], mixWeights: '1,3' })
    expect(evaluation.examples.length).toBe(4)
    expect(train.examples.length).toBe(36)
    expect(train.examples.filter(({ text }) => text.includes('one ')).length).toBe(9)
  })
})

describe('a wrong mixture', () => {
  it('is refused in one line that names the flag or the file', async () => {
    const message = async (more: Partial<TaskOptions>): Promise<string> =>
      (await refusalOf(() => loadTask({ task: a, mixData: [b], ...more }))).replaceAll(folder, '@')
    for (const mixWeights of ['1', '1,0', '1,-1', '1,x', '1,,2', '1,2,3'])
      expect(await message({ mixWeights })).toBe(`--mix-weights: expected 2 numbers above 0, one for each file, got "${mixWeights}"`)
    expect(await refusalOf(() => loadTask({ task: a, mixWeights: '1' }))).toBe(
      '--mix-weights: expected --mix-data, whose files are weighed, got none given',
    )
    expect(await message({ mixData: 'x.csv,,y.csv' })).toBe('--mix-data: expected names of files, separated by commas, got an empty one')
    expect(await message({ mixData: [join(folder, 'none.csv')] })).toMatch(/^@\/none\.csv: expected/)
    expect(await message({ mixData: [write('c.csv', 'review,label\nx,good\n')] })).toMatch(/^@\/c\.csv, row 1: expected a column "text"/)
    expect(await message({ mixData: [csv('d.csv', [['x', 'awful']])] })).toMatch(/^@\/d\.csv, row 2: expected .*"awful"/)
    expect(await message({ task: 'sentiment' })).toMatch(/^--mix-data: expected none with --task sentiment/)
  })
})

describe('a run on several files', () => {
  const options = (output: string, task: Partial<TaskOptions> = {}, more: Partial<FinetuneOptions> = {}): FinetuneOptions => ({
    model: join(fixtures, 'roberta'),
    task: { task: a, mixData: [b], mixWeights: '2,1', evalData: dev, ...task },
    output: join(folder, output),
    settings: { method: 'lora', maxSteps: 6, saveSteps: 2, evalSteps: 6, batchSize: 8, maxLength: 12, device: 'cpu', rank: 2, threads: 1 },
    ...more,
  })
  const run = async (given: FinetuneOptions, stopAfter = Infinity): Promise<RunResult> => {
    const stop = new AbortController()
    for await (const event of finetuneJob(given, stop.signal)) {
      if (event.kind === 'step' && event.step >= stopAfter) stop.abort()
      if (event.kind === 'result') return event.result
    }
    throw new Error('expected a result')
  }
  const file = (output: string, ...names: readonly string[]): Promise<string> => readFile(join(folder, output, ...names), 'latin1')

  it('resumes with the same bits, stores its files and weights, and names them in the model card', async () => {
    await run(options('whole'))
    expect((await run(options('stopped'), 3)).interrupted).toBe(true)
    expect((await run(options('stopped', {}, { resume: true }))).stepsDone).toBe(6)
    expect(await file('stopped', 'adapter', 'adapter_model.safetensors')).toBe(await file('whole', 'adapter', 'adapter_model.safetensors'))
    const { task } = JSON.parse(await file('whole', 'config.json')) as RunConfig
    expect(task).toMatchObject({ task: a, mixData: [b], mixWeights: '2,1' })
    // 52 rows: 34.67 and 17.33
    const card = await file('whole', 'adapter', 'README.md')
    expect(card).toContain(
      'trained on 52 rows of `a.csv` and `b.csv`; an epoch has 35 of `a.csv`, which has 12, 17 of `b.csv`, which has 40',
    )
    expect(card).toContain('--task a.csv --mix-data b.csv --mix-weights 2,1 --eval-data dev.csv')
    expect(card).not.toContain(folder)
    expect(await refusalOf(() => run(options('whole', { mixWeights: '1,1' }, { resume: true })))).toContain(
      'mixWeights was "2,1" and is "1,1"',
    )
  })

  it('is begun by salora train with paths as typed, and reports the rows of each file before the first step', async () => {
    const flags = '--max-steps 1 --batch-size 8 --max-length 12 --method lora --device cpu --output typed'.split(' ')
    const mixture = ['--task', 'a.csv', '--mix-data', 'b.csv', '--mix-weights', '1,1']
    const { code, stderr } = await saloraIn(['train', '--model', join(fixtures, 'roberta'), ...mixture, ...flags], { cwd: folder })
    expect(code).toBe(0)
    expect(stderr.replaceAll(folder, '@')).toContain('each epoch draws 23 rows from the 9 of @/a.csv, 23 rows from the 37 of @/b.csv')
    expect(stderr).not.toContain('duplicate')
    const { task } = JSON.parse(await file('typed', 'config.json')) as RunConfig
    expect(task).toMatchObject({ mixData: [b], mixWeights: '1,1' })
    expect((await saloraIn(['evaluate', '--run', 'typed', '--device', 'cpu', '--json'], { cwd: folder })).code).toBe(0)
    expect((await saloraIn(['train', '--resume', '--output', 'typed', '--max-steps', '2', '--quiet'], { cwd: folder })).code).toBe(0)
  })
})

describe('salora inspect', () => {
  it('counts the rows of each file', async () => {
    const { stdout } = await saloraIn(['inspect', 'a.csv', '--mix-data', 'b.csv', '--mix-weights', '1,3'], { cwd: folder })
    expect(stdout.replaceAll(folder, '@')).toContain(
      ['@/a.csv and @/b.csv', 'rows        52', '  @/a.csv  12  13 in an epoch', '  @/b.csv  40  39 in an epoch', 'classes     2'].join(
        '\n',
      ),
    )
    const { sets } = JSON.parse((await saloraIn(['inspect', 'a.csv', '--mix-data', 'b.csv', '--json'], { cwd: folder })).stdout) as {
      readonly sets: readonly { readonly files: unknown }[]
    }
    expect(sets[0]?.files).toEqual([
      { source: a, rows: 12, drawn: 12 },
      { source: b, rows: 40, drawn: 40 },
    ])
  })
})
