/** Sweeps over GLUE: their plan, their execution, and their table. */
import { existsSync } from 'node:fs'
import { readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import type { ModelSpec } from '../../../accelerated/models/architecture.js'
import type { FinetuneEvent, RunOptions, RunResult } from '../../../finetuning/run/run.js'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import { runFormatVersion } from '../../../finetuning/run/runFiles.js'
import { readSweep } from '../../../reporting/runs/readStored.js'
import { glueSweep } from '../../../evaluation/glue/glueSweep.js'
import { type GlueSweepOptions, planCells, gridCells } from '../../../evaluation/glue/plan.js'
import { parseRow, sweeps } from '../../../evaluation/glue/sweep.js'
import { sweepTable } from '../../../evaluation/glue/sweepTable.js'
import { runCells, type ExecutorEvent } from '../../../evaluation/jobs/executor.js'
import { writeTinyModel } from '../../cli/tinyModel.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('sweep')
let spec: ModelSpec
beforeAll(async () => {
  await writeTinyModel(join(root, 'tiny'))
  spec = (await openModelFolder(join(root, 'tiny'))).model.spec
})

const sweepNamed = (name: string) => sweeps.find((sweep) => sweep.name === name)!
const request = (change: Partial<GlueSweepOptions> = {}): GlueSweepOptions => ({
  sweep: sweepNamed('table1'),
  model: embeddedModel,
  data: 'glue',
  tasks: ['mrpc', 'cola'],
  rows: ['lora', 'salora'].map(parseRow),
  seeds: [0, 1, 2],
  overrides: {},
  maxTrainSamples: null,
  output: join(root, 'out'),
  jobs: 2,
  reported: 'last',
  baseline: 'lora',
  grid: null,
  ...change,
})

describe('the plan of a sweep', () => {
  it('has every row on every task with every seed, seed by seed, each with the recipe of its task', () => {
    const cells = planCells(request(), spec)
    expect(cells.map(({ id }) => id).slice(0, 5)).toEqual(
      'mrpc.lora.seed-0 mrpc.salora.seed-0 cola.lora.seed-0 cola.salora.seed-0 mrpc.lora.seed-1'.split(' '),
    )
    expect(new Set(cells.map(({ id }) => id)).size).toBe(12)
    expect(cells[1]?.options.settings).toMatchObject({
      method: 'salora',
      epochs: 40,
      learningRate: 4e-4,
      batchSize: 32,
      seed: 0,
      gateStart: 0.2,
      gateEnd: 0.5,
    })
    expect(cells[2]?.options.settings).toMatchObject({ method: 'lora', epochs: 20, learningRate: 5e-4, rank: 8 })
    expect(cells.every(({ options, task }) => options.task.task === task)).toBe(true)
  })

  it('lets the settings of a row override those for all rows, and parses each by its type', () => {
    const rows = ['lora', 'full:learning-rate=2e-5', 'salora:retain=random:beta=0.2:target-modules=query+value'].map(parseRow)
    const cells = planCells(request({ rows, overrides: { learningRate: 1e-3 }, tasks: ['mrpc'], seeds: [7] }), spec)
    expect(cells.map(({ options }) => options.settings.learningRate)).toEqual([1e-3, 2e-5, 1e-3])
    expect(cells[2]?.options.settings).toMatchObject({ retain: 'random', beta: 0.2, targetModules: ['query', 'value'], seed: 7 })
    expect(cells.map(({ id }) => id)).toEqual([
      'mrpc.lora.seed-7',
      'mrpc.full_learning-rate=2e-5.seed-7',
      'mrpc.salora_retain=random_beta=0.2_target-modules=query_value.seed-7',
    ])
  })

  it('names a folder for each row that disks and the queue accept, however long the row is', () => {
    const modules = ['attention.self.query', 'attention.self.key', 'attention.self.value', 'attention.output.dense', 'intermediate.dense']
    const long = `lora:target-modules=${[...modules, ...modules, ...modules].join('+')}`
    const cells = planCells(request({ rows: [parseRow(long), parseRow(`${long}:rank=4`)], tasks: ['mrpc'], seeds: [123] }), spec)
    for (const { id } of cells) expect(id.length).toBeLessThan(150)
    expect(new Set(cells.map(({ id }) => id)).size).toBe(2)
  })

  it.each([
    ['salora:retain', /^--methods: expected settings of salora after a colon, such as salora:learning-rate=1e-4, got "salora:retain"$/],
    ['full:rank=4', /^--methods: expected settings of full after a colon/],
    ['lora:seed=4', /^--methods: expected settings of lora after a colon/],
    ['lora:rank-pattern=ranks.json', /^--methods: expected settings of lora after a colon/],
    ['lora:rank=four', /^--methods: expected a number after =, got "lora:rank=four"$/],
    ['lora:use-rslora=1', /^--methods: expected true or false after =/],
    [':retain=random', /^--methods: expected one or more of /],
  ])('refuses the row %s', (name, message) => expect(() => parseRow(name)).toThrow(message))

  it('lets the user override the row, and the row override the recipe', () => {
    const [cell] = planCells(
      request({ rows: [parseRow('lora-4')], overrides: { epochs: 2, learningRate: 1e-3 }, maxTrainSamples: 10 }),
      spec,
    )
    expect(cell?.options.settings).toMatchObject({ rank: 4, loraAlpha: 8, epochs: 2, learningRate: 1e-3 })
    expect(cell?.options.task).toEqual({ task: 'mrpc', data: 'glue', maxTrainSamples: '10' })
  })

  it.each([
    ['table3', ['salora', 'salora, λ = 0', 'salora, β = 0']],
    ['figure5', ['lora', ...[0.125, 0.25, 0.375, 0.5, 0.625, 0.75].map((b) => `salora, b = ${b}`)]],
    ['table4', [16, 32, 64].flatMap((size) => [`lora, batch ${size}`, `salora, batch ${size}`])],
  ])('the plan for %s has the rows of the paper', (name, rows) => {
    expect(
      sweepNamed(name)
        .rows(spec, null)
        .map((row) => row.name),
    ).toEqual(rows)
  })

  it.each(sweeps.map((sweep) => [sweep.name, sweep] as const))('the plan for %s has a different folder for each run', (_, sweep) => {
    const ids = planCells(request({ sweep, rows: null, tasks: [], seeds: [0, 1] }), spec).map(({ id }) => id)
    expect(ids.filter((id, i) => ids.indexOf(id) !== i)).toEqual([])
  })

  it('the plan for figure 1 adapts one kind of matrix in all layers, or all matrices of one layer', () => {
    const cells = planCells(request({ sweep: sweepNamed('figure1'), rows: null, tasks: [], seeds: [0] }), spec)
    const targets = cells.map(({ options }) => options.settings['targetModules'] as readonly string[])
    const { layers, matrices } = spec
    expect(cells.length).toBe(4 * (matrices.length / layers.length + layers.length))
    const hit = (target: readonly string[]) => matrices.filter(({ name }) => target.some((end) => name === end || name.endsWith(`.${end}`)))
    expect(targets.slice(0, 4).map((target) => hit(target).length)).toEqual(new Array(4).fill(layers.length))
    expect(hit(targets.at(-1) ?? []).map(({ name }) => name)).toEqual(
      matrices.filter(({ name }) => name.startsWith(`${layers.at(-1)?.name}.`)).map(({ name }) => name),
    )
  })

  it('the plan of a grid tries every rate once, on held-out training examples unless dev is requested', () => {
    const rates = [1e-4, 3e-4, 1e-3]
    const cells = gridCells(request(), spec, { rates, on: 'train' })
    expect(cells.length).toBe(2 * 2 * 3)
    expect(cells.every(({ options }) => options.task.holdOutTrain === true)).toBe(true)
    expect(gridCells(request(), spec, { rates, on: 'dev' }).some(({ options }) => options.task.holdOutTrain === true)).toBe(false)
    expect(cells.slice(3, 6).map(({ options }) => options.settings.learningRate)).toEqual(rates)
    expect(new Set(cells.map(({ id }) => id)).size).toBe(12)
    const reported = planCells(request(), spec).map(({ seed }) => seed)
    expect(cells.filter(({ seed }) => reported.includes(seed))).toEqual([])
  })

  it('the plan of a grid has no run for a row with a learning rate of its own', () => {
    const rows = ['lora', 'full:learning-rate=2e-5'].map(parseRow)
    const cells = gridCells(request({ rows }), spec, { rates: [1e-4, 3e-4], on: 'train' })
    expect(cells.map(({ row }) => row)).toEqual(['lora', 'lora', 'lora', 'lora'])
  })

  it.each(['loran', 'lora-0', 'full-4', 'lora-99999', ''])('refuses the row %j', (name) => {
    expect(() => parseRow(name)).toThrow(/^--methods: expected one or more of .*, got /)
  })
})

/** A fake run: writes the files of a run, and scores by its settings. */
const fakeRun = (begun: string[], fails: (output: string) => boolean = () => false) =>
  async function* (options: RunOptions, { signal }: { readonly signal: AbortSignal }): AsyncGenerator<FinetuneEvent> {
    const id = options.output.split('/').at(-1) ?? ''
    begun.push(`${id}${options.resume ? ' resumed' : ''}`)
    const { model, task, settings } = options
    const { mkdir } = await import('node:fs/promises')
    await mkdir(options.output, { recursive: true })
    await writeFile(join(options.output, 'config.json'), JSON.stringify({ formatVersion: runFormatVersion, model, task, settings }))
    yield { kind: 'start', steps: 2, stepsPerEpoch: 1, resumedAt: 0, evalSteps: 1, chosenEpochs: null, stage: null, announcement: null }
    await new Promise((resolve) => setTimeout(resolve, 1))
    if (fails(id)) throw new Error(`no ${id}`)
    const score = 0.5 + 0.01 * settings.seed + (settings.method === 'salora' ? 0.1 : 0) + Math.min(settings.learningRate ?? NaN, 5e-4) * 100
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
  const runSweep = async (
    options: GlueSweepOptions,
    run: ReturnType<typeof fakeRun>,
    stopAt: (event: ExecutorEvent) => boolean = () => false,
  ) => {
    const stop = new AbortController()
    return glueSweep(
      options,
      stop.signal,
      (event) => (event.kind !== 'planned' && event.kind !== 'message' && stopAt(event) ? stop.abort() : undefined),
      (cells, context) => runCells(cells, { ...context, jobs: options.jobs, run }),
    )
  }

  it('has a table with means and deviations over seeds, differences of pairs, and costs of runs', async () => {
    const { table } = await runSweep(request({ output: join(root, 'table') }), fakeRun([]))
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
    // two tasks with effects 10 and 5: 7.5 ± 2.5, and t₁ of 0.975 is 12.706
    const [overall] = table.overall
    expect(overall).toMatchObject({ row: 'salora', tasks: 2, pairs: 6 })
    expect(overall?.mean).toBeCloseTo(7.5, 9)
    expect(overall?.standardError).toBeCloseTo(2.5, 9)
    expect(overall?.interval?.[1]).toBeCloseTo(7.5 + 2.5 * 12.7062047, 6)
    const markdown = await readFile(join(root, 'table', 'table.md'), 'utf8')
    expect(markdown).toContain('| lora | 0.00 M | 0.00 M | 55.00 ± 1.00 | 28.00 ± 0.50 | 41.50 | 3 | 0.50 GB |')
    expect(markdown).toContain('| salora | all 2 tasks | 7.50 ± 2.50 | -24.27 … 39.27 | 6 |')
    expect((await readFile(join(root, 'table', 'table.csv'), 'utf8')).split('\n')[1]).toMatch(/^lora,mrpc,accuracy,3,55(\.\d+)?,/)
    expect(await readFile(join(root, 'table', 'table.tex'), 'utf8')).toContain('55.00$_{\\pm 1.00}$')
  })

  it('shows both accuracies of MNLI, and averages and compares the matched one', async () => {
    const output = join(root, 'mnli')
    const { table } = await runSweep(request({ output, tasks: ['mnli', 'mrpc'] }), fakeRun([]))
    const [matched, other] = table.rows[0]?.cells ?? []
    const center = matched?.summary?.mean ?? NaN
    expect(matched?.second).toMatchObject({ name: 'mismatched', summary: { mean: expect.closeTo(center - 25, 9), count: 3 } })
    expect(other).not.toHaveProperty('second')
    expect(table.rows[0]?.average).toBeCloseTo((center + (other?.summary?.mean ?? NaN)) / 2, 9)
    expect(table.differences[0]?.mean).toBeCloseTo(10, 9)
    const [markdown, csv, tex] = await Promise.all(['md', 'csv', 'tex'].map((type) => readFile(join(output, `table.${type}`), 'utf8')))
    const [of, farther] = [center.toFixed(2), (center - 25).toFixed(2)]
    expect(markdown).toContain(`| mnli (accuracy / mismatched accuracy) | mrpc (accuracy) |`)
    expect(markdown).toContain(`| ${of} ± 1.00 / ${farther} ± 1.00 |`)
    expect(csv).toMatch(/^lora,mnli mismatched,accuracy,3,\d/m)
    expect(tex).toContain(`${of}$_{\\pm 1.00}$ / ${farther}$_{\\pm 1.00}$`)
    expect((await readSweep(output))?.table).toEqual(table)
  })

  it('names the reduced settings in the title of each readable table', async () => {
    const output = join(root, 'shortened')
    await runSweep(request({ output, maxTrainSamples: 10, overrides: { epochs: 2 }, seeds: [0] }), fakeRun([]))
    for (const file of ['table.md', 'table.tex'])
      expect((await readFile(join(output, file), 'utf8')).split('\n')[0]).toMatch(
        /methods by tasks; model; 1 seed; last evaluation on dev; first 10 training examples of each task; epochs 2$/,
      )
  })

  it('reports the best evaluation on request', async () => {
    const { table } = await runSweep(request({ output: join(root, 'best'), reported: 'best', seeds: [0] }), fakeRun([]))
    expect(table.rows[0]?.cells[0]?.summary?.mean).toBeCloseTo(99, 9)
    expect(table.title).toContain('best evaluation on dev')
  })

  it('reuses finished runs, resumes started ones, and adds new ones', async () => {
    const output = join(root, 'kept')
    const begun: string[] = []
    let started = 0
    // the third run is interrupted, and its result says so
    const first = await runSweep(request({ output, jobs: 1 }), fakeRun(begun), (event) => event.kind === 'started' && ++started === 3)
    expect([first.done, begun.length]).toEqual([2, 3])
    await rm(join(output, 'cells', 'mrpc.lora.seed-0', 'result.json')) // as if the run had been killed
    const before = begun.length
    const second = await runSweep(request({ output, jobs: 2, seeds: [0, 1] }), fakeRun(begun))
    expect([second.cells, second.done]).toEqual([8, 8])
    expect(begun.slice(before)).toContain('mrpc.lora.seed-0 resumed')
    expect(begun.slice(before)).toContain(`${begun[2]} resumed`)
    expect(begun.slice(before)).not.toContain('mrpc.salora.seed-0')
    const expected = await runSweep(request({ output, jobs: 3 }), fakeRun(begun))
    const alone = await runSweep(request({ output: join(root, 'alone'), jobs: 1 }), fakeRun([]))
    expect(expected.table).toEqual(alone.table)
  })

  it('continues after a failed run, reports its error, and retries it in the next call', async () => {
    const output = join(root, 'failing')
    const failing = (id: string): boolean => id === 'cola.lora.seed-1'
    for (const attempts of [1, 2]) {
      const result = await runSweep(request({ output }), fakeRun([], failing))
      expect(result.failed).toEqual([{ cell: 'cola.lora.seed-1', message: 'no cola.lora.seed-1', attempts }])
      expect(result.done).toBe(11)
      expect(result.table.rows[0]?.cells[1]).toMatchObject({ failures: ['no cola.lora.seed-1'], summary: { count: 2 } })
      expect(result.table.differences.find(({ task }) => task === 'cola')?.pairs).toBe(2)
    }
    expect((await runSweep(request({ output }), fakeRun([]))).failed).toEqual([])
    expect(await readdir(join(output, 'failures'))).toEqual([])
  })

  it('refuses a folder whose runs have other settings before any run starts', async () => {
    const output = join(root, 'other')
    await runSweep(request({ output, seeds: [0] }), fakeRun([]))
    const begun: string[] = []
    await expect(runSweep(request({ output, overrides: { epochs: 2 } }), fakeRun(begun))).rejects.toThrow(
      /mrpc\.lora\.seed-0: expected a run of this sweep \(or another --output\), got a run of another sweep: epochs was 40 and is 2/,
    )
    expect(begun).toEqual([])
  })

  it('refuses texts longer than the model, and the folder of a run, before any run starts', async () => {
    const begun: string[] = []
    const long = join(root, 'too long')
    await expect(runSweep(request({ output: long, overrides: { maxLength: 500 } }), fakeRun(begun))).rejects.toThrow(
      "maxLength: expected at most the model's 256 positions, got 500",
    )
    const taken = join(root, 'other/cells/mrpc.lora.seed-0')
    await expect(runSweep(request({ output: taken }), fakeRun(begun))).rejects.toThrow(
      `--output ${taken}: expected a new folder, or one of an earlier call, got config.json of a run`,
    )
    expect([begun, existsSync(long), existsSync(join(taken, 'cells'))]).toEqual([[], false, false])
  })

  it('has no deviations in its table with a single seed', async () => {
    const output = join(root, 'single')
    const { table } = await runSweep(request({ output, seeds: [0] }), fakeRun([]))
    const [markdown, tex] = await Promise.all(['md', 'tex'].map((type) => readFile(join(output, `table.${type}`), 'utf8')))
    const score = table.rows[0]?.cells[0]?.values['0'] ?? NaN
    expect(markdown).toContain(`| ${score.toFixed(2)} |`)
    expect(tex).toContain(` & ${score.toFixed(2)} & `)
    expect(tex).not.toContain('\\pm')
  })

  it('locks its folder', async () => {
    const output = join(root, 'twice')
    const slow = async function* (...args: Parameters<ReturnType<typeof fakeRun>>) {
      await new Promise((resolve) => setTimeout(resolve, 400))
      yield* fakeRun([])(...args)
    }
    const one = request({ output, seeds: [0] })
    const both = await Promise.allSettled([runSweep(one, slow), runSweep(one, slow)])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
  })

  it('uses the best rate of the grid for each task and row, the smallest of equal ones', async () => {
    const result = await runSweep(
      request({ output: join(root, 'grid'), grid: { rates: [3e-4, 5e-4, 7e-4], on: 'train' }, seeds: [0] }),
      fakeRun([]),
    )
    // the fake score rises up to 5e-4
    expect(new Set(Object.values(result.chosen))).toEqual(new Set([5e-4]))
    expect(Object.keys(result.chosen).length).toBe(4)
    expect(result.table.title).toContain('learning rates chosen from 0.0003, 0.0005, 0.0007 on a held-out tenth of train')
    const config = JSON.parse(await readFile(join(root, 'grid/cells/mrpc.lora.seed-0/config.json'), 'utf8')) as {
      readonly settings: object
    }
    expect(config.settings).toMatchObject({ learningRate: 5e-4 })
  })

  it("keeps the recipe's rate and says so if no rate of the grid has a score", async () => {
    const messages: string[] = []
    const run = fakeRun([], (id) => id.startsWith('cola.lora.grid-'))
    const result = await glueSweep(
      request({ output: join(root, 'unscored'), grid: { rates: [3e-4, 7e-4], on: 'train' }, seeds: [0] }),
      new AbortController().signal,
      (event) => (event.kind === 'message' ? messages.push(event.text) : undefined),
      (cells, context) => runCells(cells, { ...context, jobs: 2, run }),
    )
    expect(messages).toEqual(["cola, lora: no rate of --grid has a score; using the recipe's rate"])
    expect(Object.keys(result.chosen)).toEqual(['mrpc, lora', 'mrpc, salora', 'cola, salora'])
    const config = JSON.parse(await readFile(join(root, 'unscored/cells/cola.lora.seed-0/config.json'), 'utf8')) as {
      readonly settings: object
    }
    expect(config.settings).toMatchObject({ learningRate: 5e-4 }) // Table A2's of CoLA
  })
})

it('the table of a sweep looks at each cell as often, however many rows it has', () => {
  const looks = (rows: number): number => {
    let count = 0
    const ended = Array.from({ length: 2 * rows }, (_, i) => ({
      get cell() {
        count++
        return { row: `row ${i >> 1}`, task: 'mrpc' as const, seed: i % 2 }
      },
      outcome: { kind: 'stopped' as const },
    }))
    const table = sweepTable(ended, { title: 'T', reported: 'best', baseline: null, paper: () => null })
    expect(table.rows.map(({ name }) => name)).toEqual(Array.from({ length: rows }, (_, i) => `row ${i}`))
    return count
  }
  expect(looks(160) / looks(20)).toBeLessThan(9)
})
