/** Sweeps: which runs they are, what becomes of each, and what their table says. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import type { ModelSpec } from '../../../accelerated/models/architecture.js'
import type { FinetuneEvent, FinetuneOptions, RunResult } from '../../../finetuning/runs/run.js'
import { runFormatVersion } from '../../../finetuning/runs/runFiles.js'
import { readSweep } from '../../../reporting/discovery/storedSweep.js'
import { glueSweep, type GlueSweepOptions } from '../../../evaluation/glue/glueSweep.js'
import { cellsOf, gridCells } from '../../../evaluation/glue/plan.js'
import { rowOf } from '../../../evaluation/glue/rows.js'
import { bestOf } from '../../../evaluation/glue/submission.js'
import type { Worked } from '../../../evaluation/glue/sweepTable.js'
import { bootstrapInterval, summaryOf } from '../../../evaluation/glue/statistics.js'
import { sweeps } from '../../../evaluation/glue/sweeps/index.js'
import { runCells, type ExecutorEvent } from '../../../evaluation/glue/executor.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { SEED } from '../../support/seed.js'

let root = ''
let outline: ModelSpec
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-sweep-'))
  await writeTinyModel(join(root, 'tiny'))
  outline = (await openModelFolder(join(root, 'tiny'))).model.spec
})
afterAll(() => rm(root, { recursive: true }))

const sweepNamed = (name: string) => sweeps.find((sweep) => sweep.name === name)!
const asked = (change: Partial<GlueSweepOptions> = {}): GlueSweepOptions => ({
  sweep: sweepNamed('table1'),
  model: join(root, 'tiny'),
  data: 'glue',
  tasks: ['mrpc', 'cola'],
  rows: ['lora', 'salora'].map(rowOf),
  seeds: [0, 1, 2],
  overrides: {},
  maxTrainSamples: null,
  output: join(root, 'out'),
  jobs: 2,
  reported: 'last',
  baseline: 'lora',
  grid: null,
  submission: null,
  ...change,
})

describe('a plan', () => {
  it('is every row on every task with every seed, seed by seed, each run with the recipe of its task', () => {
    const cells = cellsOf(asked(), outline)
    expect(cells.map(({ id }) => id).slice(0, 5)).toEqual([
      'mrpc.lora.seed-0',
      'mrpc.salora.seed-0',
      'cola.lora.seed-0',
      'cola.salora.seed-0',
      'mrpc.lora.seed-1',
    ])
    expect(new Set(cells.map(({ id }) => id)).size).toBe(12)
    expect(cells[1]?.options.settings).toMatchObject({ method: 'salora', epochs: 40, learningRate: 4e-4, batchSize: 32, seed: 0 })
    expect(cells[2]?.options.settings).toMatchObject({ method: 'lora', epochs: 20, learningRate: 5e-4, rank: 8 })
    expect(cells.every(({ options, task }) => options.task.task === task)).toBe(true)
  })

  it('gives a row its own settings above what is asked for all, each in its kind', () => {
    const rows = ['lora', 'full:learning-rate=2e-5', 'salora:retain=random:beta=0.2:target-modules=query+value'].map(rowOf)
    const cells = cellsOf(asked({ rows, overrides: { learningRate: 1e-3 }, tasks: ['mrpc'], seeds: [7] }), outline)
    expect(cells.map(({ options }) => options.settings.learningRate)).toEqual([1e-3, 2e-5, 1e-3])
    expect(cells[2]?.options.settings).toMatchObject({ retain: 'random', beta: 0.2, targetModules: ['query', 'value'], seed: 7 })
    expect(cells.map(({ id }) => id)).toEqual([
      'mrpc.lora.seed-7',
      'mrpc.full_learning-rate=2e-5.seed-7',
      'mrpc.salora_retain=random_beta=0.2_target-modules=query_value.seed-7',
    ])
  })

  it('has folders that a disk and the queue can name, however long a row is, and another for each row', () => {
    const modules = ['attention.self.query', 'attention.self.key', 'attention.self.value', 'attention.output.dense', 'intermediate.dense']
    const long = `lora:target-modules=${[...modules, ...modules, ...modules].join('+')}`
    const cells = cellsOf(asked({ rows: [rowOf(long), rowOf(`${long}:rank=4`)], tasks: ['mrpc'], seeds: [123] }), outline)
    for (const { id } of cells) expect(id.length).toBeLessThan(150)
    expect(new Set(cells.map(({ id }) => id)).size).toBe(2)
  })

  it.each([
    ['salora:retain', /^--methods: expected settings of salora behind it, such as salora:learning-rate=1e-4, got "salora:retain"$/],
    ['full:rank=4', /^--methods: expected settings of full behind it/],
    ['lora:seed=4', /^--methods: expected settings of lora behind it/],
    ['lora:rank-pattern=ranks.json', /^--methods: expected settings of lora behind it/],
    ['lora:rank=four', /^--methods: expected a number behind =, got "lora:rank=four"$/],
    ['lora:use-rslora=1', /^--methods: expected true or false behind =/],
    [':retain=random', /^--methods: expected some of /],
  ])('does not take the row %s', (name, message) => expect(() => rowOf(name)).toThrow(message))

  it('puts what the user asks for above the row, and the row above the recipe', () => {
    const [cell] = cellsOf(asked({ rows: [rowOf('lora-4')], overrides: { epochs: 2, learningRate: 1e-3 }, maxTrainSamples: 10 }), outline)
    expect(cell?.options.settings).toMatchObject({ rank: 4, loraAlpha: 8, epochs: 2, learningRate: 1e-3 })
    expect(cell?.options.task).toEqual({ task: 'mrpc', data: 'glue', maxTrainSamples: '10' })
  })

  it.each([
    ['table3', ['salora', 'salora, λ = 0', 'salora, β = 0']],
    ['figure5', ['lora', ...[0.125, 0.25, 0.375, 0.5, 0.625, 0.75].map((b) => `salora, b = ${b}`)]],
    ['table4', [16, 32, 64].flatMap((size) => [`lora, batch ${size}`, `salora, batch ${size}`])],
  ])('of %s has its rows', (name, rows) => {
    expect(
      sweepNamed(name)
        .rows(outline, null)
        .map((row) => row.name),
    ).toEqual(rows)
  })

  it.each(sweeps.map((sweep) => [sweep.name, sweep] as const))('of %s has a folder of its own for each run', (_, sweep) => {
    const ids = cellsOf(asked({ sweep, rows: null, tasks: [], seeds: [0, 1] }), outline).map(({ id }) => id)
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([])
  })

  it('of figure 1 has one kind of matrix at a time, of each layer one, and one layer at a time, of which it has all', () => {
    const cells = cellsOf(asked({ sweep: sweepNamed('figure1'), rows: null, tasks: [], seeds: [0] }), outline)
    const targets = cells.map(({ options }) => options.settings['targetModules'] as ReadonlyArray<string>)
    const { layers, matrices } = outline
    expect(cells.length).toBe(4 * (matrices.length / layers.length + layers.length))
    const hit = (target: ReadonlyArray<string>) =>
      matrices.filter(({ name }) => target.some((end) => name === end || name.endsWith(`.${end}`)))
    expect(targets.slice(0, 4).map((target) => hit(target).length)).toEqual(new Array(4).fill(layers.length))
    expect(hit(targets.at(-1) ?? []).map(({ name }) => name)).toEqual(
      matrices.filter(({ name }) => name.startsWith(`${layers.at(-1)?.name}.`)).map(({ name }) => name),
    )
  })

  it('of a grid tries every rate once, and never on the reported examples unless it is told to', () => {
    const rates = [1e-4, 3e-4, 1e-3]
    const cells = gridCells(asked(), outline, { rates, on: 'train' })
    expect(cells.length).toBe(2 * 2 * 3)
    expect(cells.every(({ options }) => options.task.holdOutTrain === true)).toBe(true)
    expect(gridCells(asked(), outline, { rates, on: 'dev' }).some(({ options }) => options.task.holdOutTrain === true)).toBe(false)
    expect(cells.slice(3, 6).map(({ options }) => options.settings.learningRate)).toEqual(rates)
    expect(new Set(cells.map(({ id }) => id)).size).toBe(12)
  })

  it('of a grid leaves a row that has a rate of its own as it is', () => {
    const rows = ['lora', 'full:learning-rate=2e-5'].map(rowOf)
    const cells = gridCells(asked({ rows }), outline, { rates: [1e-4, 3e-4], on: 'train' })
    expect(cells.map(({ row }) => row)).toEqual(['lora', 'lora', 'lora', 'lora'])
  })

  it.each(['loran', 'lora-0', 'full-4', 'lora-99999', ''])('refuses the row %j', (name) => {
    expect(() => rowOf(name)).toThrow(/^--methods: expected some of .*, got /)
  })
})

describe(`statistics (seed ${SEED})`, () => {
  it('are mean, largest deviation and median, and an interval within the values that has the mean', () =>
    fc.assert(
      fc.property(fc.array(fc.double({ min: -100, max: 100, noNaN: true }), { minLength: 1, maxLength: 6 }), (values) => {
        const { mean, maximumDeviation, median, interval, count } = summaryOf(values)!
        expect(count).toBe(values.length)
        expect(mean).toBeCloseTo(values.reduce((a, b) => a + b, 0) / values.length, 9)
        expect(maximumDeviation).toBeCloseTo(Math.max(Math.max(...values) - mean, mean - Math.min(...values)), 9)
        const sorted = [...values].sort((a, b) => a - b)
        expect(median).toBeCloseTo(((sorted[(values.length - 1) >> 1] ?? NaN) + (sorted[values.length >> 1] ?? NaN)) / 2, 9)
        expect(interval[0]).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9)
        expect(interval[1]).toBeLessThanOrEqual(Math.max(...values) + 1e-9)
        expect(interval[0]).toBeLessThanOrEqual(mean + 1e-9)
        expect(interval[1]).toBeGreaterThanOrEqual(mean - 1e-9)
      }),
      { seed: SEED, numRuns: 25 },
    ))

  it('of many values have the interval of the normal distribution', () => {
    // of 0, 1, …, 99: σ / √n = 28.87 / 10, and 1.96 of that about the mean
    const [low, high] = bootstrapInterval(Array.from({ length: 100 }, (_, i) => i))
    expect(low).toBeCloseTo(49.5 - 1.96 * 2.887, 0)
    expect(high).toBeCloseTo(49.5 + 1.96 * 2.887, 0)
    expect(summaryOf([])).toBeNull()
  })
})

/** A run that writes what a run writes, and scores by its settings. `steps` before it is stopped; Infinity: never. */
const madeUp = (begun: string[], fails: (output: string) => boolean = () => false) =>
  async function* (options: FinetuneOptions, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<FinetuneEvent> {
    const id = options.output.split('/').at(-1) ?? ''
    begun.push(`${id}${options.resume ? ' resumed' : ''}`)
    const { model, task, settings } = options
    const { mkdir } = await import('node:fs/promises')
    await mkdir(options.output, { recursive: true })
    await writeFile(join(options.output, 'config.json'), JSON.stringify({ formatVersion: runFormatVersion, model, task, settings }))
    yield { kind: 'start', steps: 2, stepsPerEpoch: 1, resumedAt: 0, evalSteps: 1, stage: null, announcement: null }
    await new Promise((resolve) => setTimeout(resolve, 1))
    if (fails(id)) throw new Error(`no ${id}`)
    const score = 0.5 + 0.01 * settings.seed + (settings.method === 'salora' ? 0.1 : 0) + Math.min(settings.learningRate, 5e-4) * 100
    const scores = {
      accuracy: score,
      matthews: score / 2,
      f1: score,
      ...(id.startsWith('mnli') ? { mismatchedAccuracy: score - 0.25 } : {}),
    }
    const result = {
      ...{
        device: 'cpu',
        examples: { training: 1, evaluation: 1 },
        majority: null,
        best: { step: 1, scores: { accuracy: 0.99, matthews: 0.9 } },
      },
      ...{
        last: { step: 2, scores },
        interrupted: signal.aborted,
        stepsDone: 2,
        steps: 2,
        seconds: 3,
        peakMemoryBytes: 5e8,
        seed: settings.seed,
      },
      ...{ trainableParameters: { adapter: 100, gates: 4, head: 10 }, output: options.output, revision: null },
      ...(settings.method === 'salora' ? { retainedDensity: 0.5 } : {}),
    } satisfies RunResult as RunResult
    await writeFile(join(options.output, 'result.json'), JSON.stringify(result))
    yield { kind: 'result', result }
  }

describe('a sweep', () => {
  const ran = async (
    options: GlueSweepOptions,
    run: ReturnType<typeof madeUp>,
    stopAt: (event: ExecutorEvent) => boolean = () => false,
  ) => {
    const stop = new AbortController()
    return glueSweep(
      options,
      stop.signal,
      (event) => (event.kind !== 'planned' && event.kind !== 'note' && stopAt(event) ? stop.abort() : undefined),
      (cells, context) => runCells(cells, { ...context, jobs: options.jobs, run }),
    )
  }

  it('tells mean and largest deviation over seeds, the pairs’ differences, and what a run costs', async () => {
    const { table } = await ran(asked({ output: join(root, 'table') }), madeUp([]))
    const [lora, salora] = table.rows
    expect(lora?.cells[0]?.summary?.mean).toBeCloseTo(100 * (0.5 + 0.01 + 0.04), 9)
    expect(lora?.cells[0]?.summary?.maximumDeviation).toBeCloseTo(1, 9)
    expect(salora?.cells[1]?.summary?.mean).toBeCloseTo(100 * ((0.5 + 0.01 + 0.05 + 0.1) / 2), 9)
    expect(salora?.cells[0]?.retained).toBe(0.5)
    expect(salora?.average).toBeCloseTo(((salora?.cells[0]?.summary?.mean ?? 0) + (salora?.cells[1]?.summary?.mean ?? 0)) / 2, 9)
    expect(lora).toMatchObject({ parameters: { method: 104, head: 10 }, seconds: 3, peakMemoryBytes: 5e8 })
    expect(table.differences.map(({ row, task, mean, pairs }) => [row, task, mean.toFixed(6), pairs])).toEqual([
      ['salora', 'mrpc', '10.000000', 3],
      ['salora', 'cola', '5.000000', 3],
    ])
    const markdown = await readFile(join(root, 'table', 'table.md'), 'utf8')
    expect(markdown).toContain('| lora | 0.00 M | 0.00 M | 55.00 ± 1.00 | 28.00 ± 0.50 | 41.50 | 3 | 0.50 GB |')
    expect((await readFile(join(root, 'table', 'table.csv'), 'utf8')).split('\n')[1]).toMatch(/^lora,mrpc,accuracy,3,55(\.\d+)?,/)
    expect(await readFile(join(root, 'table', 'table.tex'), 'utf8')).toContain('55.00$_{\\pm 1.00}$')
  })

  it('tells both of MNLI’s accuracies, and averages and compares by the matched', async () => {
    const output = join(root, 'mnli')
    const { table } = await ran(asked({ output, tasks: ['mnli', 'mrpc'] }), madeUp([]))
    const [matched, other] = table.rows[0]?.cells ?? []
    const center = matched?.summary?.mean ?? NaN
    expect(matched?.second).toMatchObject({ name: 'mismatched', summary: { mean: expect.closeTo(center - 25, 9), count: 3 } })
    expect(other).not.toHaveProperty('second')
    expect(table.rows[0]?.average).toBeCloseTo((center + (other?.summary?.mean ?? NaN)) / 2, 9)
    expect(table.differences[0]?.mean).toBeCloseTo(10, 9)
    const [markdown, csv, tex] = await Promise.all(['md', 'csv', 'tex'].map((type) => readFile(join(output, `table.${type}`), 'utf8')))
    const [of, apart] = [center.toFixed(2), (center - 25).toFixed(2)]
    expect(markdown).toContain(`| mnli (accuracy; after the stroke: mismatched) | mrpc (accuracy) |`)
    expect(markdown).toContain(`| ${of} ± 1.00 / ${apart} ± 1.00 |`)
    expect(csv).toMatch(/^lora,mnli mismatched,accuracy,3,\d/m)
    expect(tex).toContain(`${of}$_{\\pm 1.00}$ / ${apart}$_{\\pm 1.00}$`)
    expect((await readSweep(output))?.table).toEqual(table)
  })

  it('submits the predictions of the seed that did best', async () => {
    const options = asked({ output: join(root, 'submitted') })
    const worked: Worked[] = []
    await glueSweep(
      options,
      new AbortController().signal,
      () => undefined,
      async (cells, context) => {
        const outcomes = await runCells(cells, { ...context, jobs: 1, run: madeUp([]) })
        worked.push(...cells.map((cell, i) => ({ cell, outcome: outcomes[i]! })))
        return outcomes
      },
    )
    expect(bestOf(worked, 'salora', 'mrpc', 'last')?.cell.id).toBe('mrpc.salora.seed-2')
    expect(bestOf(worked, 'salora', 'mrpc', 'best')?.cell.id).toBe('mrpc.salora.seed-0')
    expect(bestOf(worked, 'full', 'mrpc', 'last')).toBeNull()
  })

  it('says in each table that people read what was shortened', async () => {
    const output = join(root, 'shortened')
    await ran(asked({ output, maxTrainSamples: 10, overrides: { epochs: 2 }, seeds: [0] }), madeUp([]))
    for (const file of ['table.md', 'table.tex'])
      expect((await readFile(join(output, file), 'utf8')).split('\n')[0]).toMatch(
        /methods by tasks; tiny; 1 seed; last evaluation on dev; the first 10 training examples of each task; epochs 2$/,
      )
  })

  it('tells the best evaluation where it is asked to', async () => {
    const { table } = await ran(asked({ output: join(root, 'best'), reported: 'best', seeds: [0] }), madeUp([]))
    expect(table.rows[0]?.cells[0]?.summary?.mean).toBeCloseTo(99, 9)
    expect(table.title).toContain('best evaluation on dev')
  })

  it('keeps what is done, goes on with what was begun, and adds what is new', async () => {
    const output = join(root, 'kept')
    const begun: string[] = []
    let ended = 0
    // while the third is made: its result says that it was interrupted
    const first = await ran(asked({ output, jobs: 1 }), madeUp(begun), (event) => event.kind === 'started' && ++ended === 3)
    expect([first.done, begun.length]).toEqual([2, 3])
    await rm(join(output, 'cells', 'mrpc.lora.seed-0', 'result.json')) // as if it had been killed
    const so = begun.length
    const second = await ran(asked({ output, jobs: 2, seeds: [0, 1] }), madeUp(begun))
    expect([second.cells, second.done]).toEqual([8, 8])
    expect(begun.slice(so)).toContain('mrpc.lora.seed-0 resumed')
    expect(begun.slice(so)).toContain(`${begun[2]} resumed`)
    expect(begun.slice(so)).not.toContain('mrpc.salora.seed-0')
    const whole = await ran(asked({ output, jobs: 3 }), madeUp(begun))
    const alone = await ran(asked({ output: join(root, 'alone'), jobs: 1 }), madeUp([]))
    expect(whole.table).toEqual(alone.table)
  })

  it('goes on where a run fails, says which and why, and tries it again when it is called again', async () => {
    const output = join(root, 'failing')
    const failing = (id: string): boolean => id === 'cola.lora.seed-1'
    for (const attempts of [1, 2]) {
      const result = await ran(asked({ output }), madeUp([], failing))
      expect(result.failed).toEqual([{ cell: 'cola.lora.seed-1', message: 'no cola.lora.seed-1', attempts }])
      expect(result.done).toBe(11)
      expect(result.table.rows[0]?.cells[1]).toMatchObject({ failures: ['no cola.lora.seed-1'], summary: { count: 2 } })
      expect(result.table.differences.find(({ task }) => task === 'cola')?.pairs).toBe(2)
    }
    expect((await ran(asked({ output }), madeUp([]))).failed).toEqual([])
    expect(await readdir(join(output, 'failures'))).toEqual([])
  })

  it('refuses a folder whose runs have other settings, before any run begins', async () => {
    const output = join(root, 'other')
    await ran(asked({ output, seeds: [0] }), madeUp([]))
    const begun: string[] = []
    await expect(ran(asked({ output, overrides: { epochs: 2 } }), madeUp(begun))).rejects.toThrow(
      /mrpc\.lora\.seed-0: expected a run of this sweep \(or another --output\), got one of another: epochs was 40 and is 2/,
    )
    expect(begun).toEqual([])
  })

  it('is alone in its folder', async () => {
    const output = join(root, 'twice')
    const slow = async function* (...given: Parameters<ReturnType<typeof madeUp>>) {
      await new Promise((resolve) => setTimeout(resolve, 400))
      yield* madeUp([])(...given)
    }
    const one = asked({ output, seeds: [0] })
    const both = await Promise.allSettled([ran(one, slow), ran(one, slow)])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it('takes for each task and row the rate that was best on the grid, the smallest of equal ones', async () => {
    const result = await ran(
      asked({ output: join(root, 'grid'), grid: { rates: [3e-4, 5e-4, 7e-4], on: 'train' }, seeds: [0] }),
      madeUp([]),
    )
    // the made-up score rises up to 5e-4
    expect(new Set(Object.values(result.chosen))).toEqual(new Set([5e-4]))
    expect(Object.keys(result.chosen).length).toBe(4)
    expect(result.table.title).toContain('learning rates chosen of 0.0003, 0.0005, 0.0007 on a held-out tenth of train')
    const config = JSON.parse(await readFile(join(root, 'grid/cells/mrpc.lora.seed-0/config.json'), 'utf8')) as {
      readonly settings: object
    }
    expect(config.settings).toMatchObject({ learningRate: 5e-4 })
  })

  it('says where no rate of the grid could be scored that the recipe’s is kept, and of no other', async () => {
    const notes: string[] = []
    const run = madeUp([], (id) => id.startsWith('cola.lora.grid-'))
    const result = await glueSweep(
      asked({ output: join(root, 'unscored'), grid: { rates: [3e-4, 7e-4], on: 'train' }, seeds: [0] }),
      new AbortController().signal,
      (event) => (event.kind === 'note' ? notes.push(event.what) : undefined),
      (cells, context) => runCells(cells, { ...context, jobs: 2, run }),
    )
    expect(notes).toEqual(["cola, lora: no rate of --grid could be scored, so it has the recipe's"])
    expect(Object.keys(result.chosen)).toEqual(['mrpc, lora', 'mrpc, salora', 'cola, salora'])
    const config = JSON.parse(await readFile(join(root, 'unscored/cells/cola.lora.seed-0/config.json'), 'utf8')) as {
      readonly settings: object
    }
    expect(config.settings).toMatchObject({ learningRate: 5e-4 }) // Table A2's of CoLA
  })
})
