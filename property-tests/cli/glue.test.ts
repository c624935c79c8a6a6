/** salora glue: runs of a small model, killed and resumed, and one line per error. */
import { mkdir, mkdtemp, readdir, readFile, readlink, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { unzipSync } from 'fflate'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { stopRunProcess } from '../../reporting/board/runProcess.js'
import { sweepLine, sweepView } from '../../reporting/board/views/sweepView.js'
import { openWatch } from '../../reporting/board/watch.js'
import type { RunResult } from '../../finetuning/runs/run.js'
import type { GlueSweepResult } from '../../evaluation/glue/glueSweep.js'
import { tableLine } from '../../evaluation/glue/sweepTableText.js'
import { saloraHere } from './inProcess.js'
import { salora } from './spawnSalora.js'
import { writeTinyModel } from './tinyModel.js'

let root = ''
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-glue-'))
  await writeTinyModel(join(root, 'tiny'))
  await mkdir(join(root, 'glue/CoLA'), { recursive: true })
  const rows = (count: number, of: string) =>
    Array.from({ length: count }, (_, i) => `a\t${i % 2}\t\t${of} sentence ${i} is ${i % 2 === 0 ? 'bad' : 'good'}.\n`).join('')
  await writeFile(join(root, 'glue/CoLA/train.tsv'), rows(24, 'A'))
  await writeFile(join(root, 'glue/CoLA/dev.tsv'), rows(8, 'That'))
  const names = ['entailment', 'neutral', 'contradiction']
  const pairs = (count: number, of: string) =>
    Array.from({ length: count }, (_, i) => `${of} ${i}.\tIt is ${names[i % 3]}.\t${names[(i * i) % 3]}\n`).join('')
  await mkdir(join(root, 'glue/MNLI'), { recursive: true })
  for (const [file, count] of Object.entries({ train: 24, dev_matched: 10, dev_mismatched: 7 }))
    await writeFile(join(root, `glue/MNLI/${file}.tsv`), `sentence1\tsentence2\tgold_label\n${pairs(count, file)}`)
})
afterAll(() => rm(root, { recursive: true }))

const flags = ['--model', 'tiny', '--data', 'glue', '--tasks', 'cola', '--epochs', '2', '--batch-size', '4', '--max-length', '16']
const machine = ['--device', 'cpu', '--threads', '1']
const sweep = (output: string, ...more: ReadonlyArray<string>) => [
  'glue',
  ...flags,
  ...machine,
  ...['--methods', 'lora,salora', '--seeds', '2', '--output', output, ...more],
]
/** What is the same, however long it took. */
const timeless = (text: string): GlueSweepResult['table'] => {
  const { table } = JSON.parse(text) as GlueSweepResult
  return { ...table, rows: table.rows.map((row) => ({ ...row, seconds: null, peakMemoryBytes: null })) }
}

describe('a run on MNLI', () => {
  it('reports both accuracies, which salora evaluate confirms on each file', async () => {
    const mnli = [
      '--model',
      'tiny',
      '--task',
      'mnli',
      '--data',
      'glue',
      '--max-length',
      '16',
      '--device',
      'cpu',
      '--threads',
      '1',
      '--json',
    ]
    const train = await salora(['train', ...mnli, '--method', 'lora', '--max-steps', '4', '--batch-size', '4', '--output', 'mnli'], {
      cwd: root,
    })
    expect(train.stderr).toContain('24 training examples, 17 evaluation examples')
    type Trained = { readonly best: Pick<Scored, 'scores'> } & Pick<Scored, 'majority'>
    const { best, majority } = JSON.parse(train.stdout) as Trained
    type Scored = { readonly scores: Readonly<Record<string, number>>; readonly majority: { readonly share: number } }
    const scored = async (...more: ReadonlyArray<string>): Promise<Scored> => {
      const { code, stdout, stderr } = await salora(['evaluate', ...mnli, '--adapter', 'mnli/adapter', ...more], { cwd: root })
      expect(code, stderr).toBe(0)
      return JSON.parse(stdout) as Scored
    }
    const file = (name: string): ReadonlyArray<string> => ['--eval-data', `glue/MNLI/${name}.tsv`]
    const [both, matched, other] = [await scored(), await scored(...file('dev_matched')), await scored(...file('dev_mismatched'))]
    expect(both.scores['mismatchedAccuracy']).toBe(other.scores['accuracy'])
    expect(both).toMatchObject({ scores: matched.scores, majority: matched.majority })
    expect([best.scores['accuracy'], best.scores['mismatchedAccuracy']]).toEqual([matched.scores['accuracy'], other.scores['accuracy']])
    expect(majority).toEqual(matched.majority)
    expect(both.majority.share).not.toBe(other.majority.share)
    expect(matched.scores['accuracy']).not.toBe(other.scores['accuracy'])
  })
})

describe('salora glue', () => {
  it('writes the same table whether it was killed and resumed or not', async () => {
    const uninterrupted = await salora(sweep('whole', '--json', '--quiet'), { cwd: root })
    expect([uninterrupted.code, uninterrupted.stderr]).toEqual([0, ''])
    const result = JSON.parse(uninterrupted.stdout) as GlueSweepResult
    expect([result.cells, result.done, result.failed]).toEqual([4, 4, []])
    expect(result.table.rows.map(({ name, cells }) => [name, cells[0]?.summary?.count])).toEqual([
      ['lora', 2],
      ['salora', 2],
    ])
    expect(result.table.rows[1]?.cells[0]?.retained).toBeCloseTo(0.5, 1)

    const killed = await salora(sweep('killed'), {
      cwd: root,
      onError: (text, child) => (text.includes('seed-0: ') ? child.kill('SIGKILL') : undefined),
    })
    expect(killed.signal).toBe('SIGKILL')
    // a board knows the cells that have no folder yet, and makes the table that the sweep itself made
    const watch = openWatch(root)
    await watch.refresh()
    const [whole0, killed0] = ['whole', 'killed'].map((name) => [...watch.sweeps().values()].find((one) => one.name === name))
    if (whole0 === undefined || killed0 === undefined) throw new Error('expected both sweeps')
    expect(sweepView(whole0).table?.rows.map((row) => row.slice(1))).toEqual(result.table.rows.map((row) => tableLine(row).slice(1)))
    const { counts, cells, isRunning } = sweepLine(killed0)
    expect([cells, isRunning, counts.finished + counts.waiting + counts.crashed]).toEqual([4, false, 4])
    expect([counts.finished, counts.waiting].map((count) => count > 0)).toEqual([true, true])

    const rest = await salora(sweep('killed', '--jobs', '2', '--json'), { cwd: root })
    expect(rest.code).toBe(0)
    expect(rest.stderr).toContain('already done')
    expect(timeless(rest.stdout)).toEqual(timeless(uninterrupted.stdout))

    const more = await salora([...sweep('whole'), '--seeds', '3'], { cwd: root })
    expect(more.stdout).toContain('6 of 6 runs done')
    expect(more.stderr.match(/: already done/g)?.length).toBe(4)
    expect(await readFile(join(root, 'whole/table.md'), 'utf8')).toMatch(
      /^methods by tasks; tiny; 3 seeds; last evaluation on dev; .*\n\n\| {2}\| parameters \| head \| cola \(matthews\) \|/,
    )
  }, 120_000)
})

describe('salora glue --submission', () => {
  it("writes the predictions of the best seed in GLUE's format and order", async () => {
    const texts = Array.from({ length: 9 }, (_, i) => `Sentence ${i} is ${i % 3 === 0 ? 'bad' : 'good'}.`)
    await writeFile(join(root, 'glue/CoLA/test.tsv'), `index\tsentence\n${texts.map((text, i) => `${i}\t${text}\n`).join('')}`)
    const args = sweep('submitted', '--methods', 'lora', '--submission', 'for/glue.zip', '--json', '--quiet')
    const { code, stdout } = await salora(args, { cwd: root })
    expect(code).toBe(0)
    const { submission, table } = JSON.parse(stdout) as GlueSweepResult
    const values = table.rows[0]?.cells[0]?.values ?? {}
    const best = (values['0'] ?? 0) >= (values['1'] ?? 0) ? 0 : 1
    expect(submission).toMatchObject({ row: 'lora', runs: { cola: `cola.lora.seed-${best}` } })
    expect(submission?.missing).toContain('MNLI-mm.tsv')
    const zip = unzipSync(await readFile(join(root, 'for/glue.zip')))
    expect(Object.keys(zip)).toEqual(['CoLA.tsv'])
    const run = await salora(['predict', '--run', `submitted/cells/cola.lora.seed-${best}`], { cwd: root, input: `${texts.join('\n')}\n` })
    const isAcceptable = (line: string): boolean => (JSON.parse(line) as { readonly label: string }).label === 'acceptable'
    const rows = run.stdout
      .trim()
      .split('\n')
      .map((line, i) => `${i}\t${isAcceptable(line) ? 1 : 0}\n`)
    expect(Buffer.from(zip['CoLA.tsv'] ?? []).toString()).toBe(`index\tprediction\n${rows.join('')}`)
  }, 60_000)

  it('names the run whose adapter a worker kept, and still writes the table', async () => {
    const args = sweep('kept', '--methods', 'lora', '--seeds', '1', '--max-steps', '2', '--quiet')
    expect((await salora(args, { cwd: root })).code).toBe(0)
    await rm(join(root, 'kept/cells/cola.lora.seed-0/adapter'), { recursive: true })
    await rm(join(root, 'kept/table.md'))
    const { code, stderr } = await salora([...args, '--submission', 'kept.zip'], { cwd: root })
    expect(code).toBe(2)
    expect(stderr).toMatch(
      /^--submission: expected the adapter of cola\.lora\.seed-0 in .*adapter, got none \(a worker with --local-root keeps its adapters\)\n$/,
    )
    expect(await readdir(join(root, 'kept'))).toContain('table.md')
  }, 60_000)

  it("writes MNLI's three files, with the diagnostic set as the official script stores it", async () => {
    const texts = Array.from({ length: 5 }, (_, i) => `${i}\tText ${i}.\tIt is ${i % 2 === 0 ? 'neutral' : 'entailment'}.\n`)
    const test = `index\tsentence1\tsentence2\n${texts.join('')}`
    await mkdir(join(root, 'glue/diagnostic'))
    for (const file of ['MNLI/test_matched', 'MNLI/test_mismatched', 'diagnostic/diagnostic'])
      await writeFile(join(root, `glue/${file}.tsv`), test)
    const args = [
      '--tasks',
      'mnli',
      '--methods',
      'lora',
      '--seeds',
      '1',
      '--max-steps',
      '2',
      '--submission',
      'mnli.zip',
      '--json',
      '--quiet',
    ]
    const { code, stderr } = await salora(sweep('three', ...args), { cwd: root })
    expect([code, stderr]).toEqual([0, ''])
    const zip = unzipSync(await readFile(join(root, 'mnli.zip')))
    expect(Object.keys(zip)).toEqual(['MNLI-m.tsv', 'MNLI-mm.tsv', 'AX.tsv'])
    for (const bytes of Object.values(zip))
      expect(Buffer.from(bytes).toString()).toMatch(/^index\tprediction\n(\d\t(entailment|neutral|contradiction)\n){5}$/)
  }, 60_000)
})

/** The processes that make cells of this test's own sweeps, by the folder that each works in. */
const cellProcesses = async (): Promise<ReadonlyArray<number>> => {
  const numbers = (await readdir('/proc')).filter((name) => /^\d+$/.test(name))
  const processIds = await Promise.all(
    numbers.map(async (pid) => {
      const [words, cwd] = await Promise.all([
        readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''),
        readlink(`/proc/${pid}/cwd`).catch(() => ''),
      ])
      return words.includes('cellProcess.js') && cwd === (await realpath(root)) ? [Number(pid)] : []
    }),
  )
  return processIds.flat()
}
const long = ['--epochs', '100000', '--methods', 'lora', '--seeds', '2']

describe.skipIf(process.platform !== 'linux')('the process of each run of a sweep (on Linux)', () => {
  const begun = async (name: string): Promise<string> => {
    const folder = join(root, name, 'cells/cola.lora.seed-0')
    await expect.poll(() => readFile(join(folder, 'metrics.jsonl'), 'utf8').catch(() => '')).toContain('"step":3')
    return folder
  }

  it('can be killed without harm to the others: the run is reported as failed, with the signal', async () => {
    const sweeping = salora(sweep('shot', ...long, '--max-steps', '400', '--json', '--quiet'), { cwd: root })
    await begun('shot')
    const [pid = 0] = await cellProcesses()
    process.kill(pid, 'SIGKILL')
    const { code, stdout, stderr } = await sweeping
    expect(code).toBe(1)
    const { done, failed } = JSON.parse(stdout) as GlueSweepResult
    expect([done, failed]).toEqual([1, [{ cell: 'cola.lora.seed-0', attempts: 1, message: expect.stringMatching(/got SIGKILL \(/) }]])
    expect(stderr).toMatch(
      /^warning: cola\.lora\.seed-0 failed \(1 attempt\): the run's process: expected a process that ends by itself, got SIGKILL[^\n]*\n$/,
    )
    const rest = await salora(sweep('shot', ...long, '--max-steps', '400', '--json', '--quiet'), { cwd: root })
    expect([rest.code, (JSON.parse(rest.stdout) as GlueSweepResult).done]).toEqual([0, 2])
  }, 120_000)

  it('can be stopped by a board: the run is saved, and the sweep continues with the others', async () => {
    const sweeping = salora(sweep('stopped', ...long, '--max-steps', '1000', '--json'), { cwd: root })
    const folder = await begun('stopped')
    await expect.poll(() => stopRunProcess(folder)).toMatchObject({ command: 'cell' })
    const { code, stdout } = await sweeping
    const { done, failed } = JSON.parse(stdout) as GlueSweepResult
    expect([code, done, failed]).toEqual([0, 1, []])
    const saved = JSON.parse(await readFile(join(folder, 'result.json'), 'utf8')) as RunResult
    expect(saved.interrupted).toBe(true)
    expect(saved.stepsDone).toBeLessThan(1000)
  }, 120_000)

  it('ends when the sweep is killed, and saves when the sweep is stopped', async () => {
    const killed = await salora(sweep('gone', ...long, '--max-steps', '100000'), {
      cwd: root,
      onStart: (child) => void begun('gone').then(() => child.kill('SIGKILL')),
    })
    expect(killed.signal).toBe('SIGKILL')
    await expect.poll(cellProcesses).toEqual([])
    const stepsWritten = async (): Promise<number> =>
      (await readFile(join(root, 'gone/cells/cola.lora.seed-0/metrics.jsonl'), 'utf8').catch(() => '')).split('\n').length
    const before = await stepsWritten()
    const stopped = await salora(sweep('gone', ...long, '--max-steps', '100000'), {
      cwd: root,
      onStart: (child) =>
        void expect
          .poll(stepsWritten)
          .toBeGreaterThan(before)
          .then(() => child.kill('SIGINT')),
    })
    expect([stopped.code, stopped.signal]).toEqual([130, null])
    expect(await cellProcesses()).toEqual([])
    const { interrupted } = JSON.parse(await readFile(join(root, 'gone/cells/cola.lora.seed-0/result.json'), 'utf8')) as RunResult
    expect(interrupted).toBe(true)
  }, 120_000)
})

describe('salora glue prints one line for', () => {
  const base = ['--model', 'tiny', '--data', 'glue', '--output', 'x']
  it.each<readonly [string, ReadonlyArray<string>, RegExp, number]>([
    ['no model', ['--data', 'glue', '--output', 'x'], /^--model is required: a folder in Hugging Face layout or a hub id/, 2],
    ['no data', ['--model', 'tiny', '--output', 'x'], /^--data is required: a folder/, 2],
    ['no output', ['--model', 'tiny', '--data', 'glue'], /^--output is required: the folder of the sweep/, 2],
    ['another sweep', [...base, '--sweep', 'table9'], /^--sweep: expected one of table1, .*got "table9"/, 2],
    ['another task', [...base, '--tasks', 'imdb'], /^--tasks: expected some of cola, .*got imdb/, 2],
    ['a task twice', [...base, '--tasks', 'cola,cola'], /^--tasks: expected each once, got cola twice/, 2],
    ['another method', [...base, '--methods', 'ladder'], /^--methods: expected one or more of .* got "ladder"/, 2],
    ['a method twice', [...base, '--methods', 'lora,lora'], /^--methods: expected each once, got lora twice/, 2],
    [
      'methods of a sweep that has its own',
      [...base, '--sweep', 'table3', '--methods', 'lora'],
      /^--methods: expected none with this sweep/,
      2,
    ],
    ['no seeds', [...base, '--seeds', '0'], /^--seeds: expected a whole number of at least 1, got 0/, 2],
    ['half a job', [...base, '--jobs', '0.5'], /^--jobs: expected a whole number/, 2],
    [
      'a baseline that is no row',
      [...base, '--methods', 'lora', '--baseline', 'salora'],
      /^--baseline: expected a row of the table \(lora\), got "salora"/,
      2,
    ],
    [
      'a submission of no row',
      [...base, '--methods', 'lora', '--submission', 'x.zip', '--submission-row', 'full'],
      /^--submission-row: expected a row of the table \(lora\), got "full"/,
      2,
    ],
    [
      'a submission without a test file',
      [...base, '--tasks', 'rte', '--methods', 'lora', '--submission', 'x.zip'],
      /^--submission: expected GLUE's test files in .*glue, got none for rte$/m,
      2,
    ],
    [
      'a submission below a file',
      [...base, '--methods', 'lora', '--submission', join(import.meta.dirname, 'glue.test.ts', 'x.zip')],
      /^--submission .*x\.zip: expected a folder that can be written, got /,
      1,
    ],
    ['several jobs where runs are timed', [...base, '--sweep', 'table4', '--jobs', '2'], /^--jobs: expected 1 with this sweep, .*got 2/, 2],
    ['a row of no submission', [...base, '--submission-row', 'lora'], /^--submission-row: expected --submission beside it/, 2],
    [
      'a submission that is no zip',
      [...base, '--submission', 'x.txt'],
      /^--submission: expected a file whose name ends in \.zip, got x\.txt/,
      2,
    ],
    ['a part without a grid', [...base, '--select-on', 'dev'], /^--select-on: expected --grid beside it/, 2],
    ['a grid of no number', [...base, '--grid', '1e-4,many'], /^--grid: expected a number, got "many"/, 2],
    ['a grid that has a rate twice', [...base, '--grid', '1e-4,0.0001'], /^--grid: expected each once, got 0.0001 twice/, 2],
    ['a grid of rates that teach nothing', [...base, '--grid', '0,1e-4'], /^--grid: expected learning rates above 0, got 0/, 2],
    ['a rate beside a grid', [...base, '--grid', '--learning-rate', '1e-3'], /^--learning-rate: expected either a rate or --grid/, 2],
    ['data that are not there', ['--model', 'tiny', '--data', 'nowhere', '--output', 'x'], /nowhere: expected a folder of .*, got none/, 1],
    [
      'data that are one file',
      ['--model', 'tiny', '--data', 'glue/CoLA/dev.tsv', '--output', 'x'],
      /dev\.tsv: expected a folder of .*, got a file/,
      1,
    ],
    ['a model that is not there', ['--model', 'none', '--data', 'glue', '--output', 'x', '--offline'], /none: expected/, 1],
  ])('%s', async (_, args, message, code) => {
    const refused = await saloraHere(
      'glue',
      ...args.map((arg) => (['tiny', 'glue', 'glue/CoLA/dev.tsv', 'x'].includes(arg) ? join(root, arg) : arg)),
      '--quiet',
    )
    expect(refused.stderr).toMatch(message)
    expect(refused.stderr.trim().split('\n').length).toBe(1)
    expect([refused.code, refused.stdout]).toEqual([code, ''])
  })

  it('all runs of a task whose folder is missing, while the others continue', async () => {
    const { code, stderr, stdout } = await salora(
      [
        'glue',
        ...flags,
        ...machine,
        '--tasks',
        'cola,mrpc',
        '--methods',
        'lora',
        '--seeds',
        '2',
        '--output',
        'missing',
        '--quiet',
        '--json',
      ],
      { cwd: root },
    )
    expect(code).toBe(1)
    expect((JSON.parse(stdout) as GlueSweepResult).failed).toMatchObject([
      { cell: 'mrpc.lora.seed-0', attempts: 1 },
      { cell: 'mrpc.lora.seed-1', attempts: 1 },
    ])
    expect(stderr).toMatch(
      /^warning: mrpc\.lora\.seed-0 and 1 more run failed \(1 attempt\): .*glue: expected train\.tsv of mrpc here or in MRPC\/, got neither\n$/,
    )
  })
})
