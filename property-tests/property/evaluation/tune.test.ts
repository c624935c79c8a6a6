/** A search for settings: successive halving as laws, and a whole search with runs that only pretend to train. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { lockFolder } from '../../../accelerated/storage/folderLock.js'
import { trainCommand, tuneTable } from '../../../cli/commands/tune.js'
import { runCells, type Executor, type Run } from '../../../evaluation/jobs/executor.js'
import { listCandidates, planRungs, survivors, tune, type TuneEvent, type TuneOptions } from '../../../evaluation/tune/tune.js'
import { holdOutFold } from '../../../finetuning/data/holdOut.js'
import { classColumn, holdOut, type Example } from '../../../finetuning/data/index.js'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import { loadMetric } from '../../../finetuning/metrics/metricModule.js'
import { storedMetric } from '../../../finetuning/metrics/metricModule.js'
import { loadTask, type TaskOptions } from '../../../finetuning/tasks/index.js'
import { refuseForeignFiles } from '../../../finetuning/run/nodeFolder.js'
import { runInputs } from '../../../finetuning/run/runFingerprint.js'
import { runFormatVersion } from '../../../finetuning/run/runFiles.js'
import type { FinetuneEvent, RunOptions } from '../../../finetuning/run/run.js'
import { tinyConfig, writeTinyModel } from '../../cli/tinyModel.js'
import { toyFile } from '../../cli/toyTask.js'
import { refusalOf } from '../../support/refusal.js'
import { SEED } from '../../support/seed.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

describe('successive halving', () => {
  it(`takes every candidate first, a third each time after, and costs no round much more than the last (seed ${SEED})`, () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 20_000 }), (candidates, steps) => {
        const rungs = planRungs(candidates, steps)
        expect(rungs[0]?.candidates).toBe(candidates)
        expect(rungs.at(-1)?.steps).toBe(steps)
        for (const [i, rung] of rungs.entries()) {
          const next = rungs[i + 1]
          if (next === undefined) continue
          expect(next.candidates).toBe(Math.ceil(candidates / 3 ** (i + 1)))
          expect(Math.abs(next.steps - 3 * rung.steps)).toBeLessThanOrEqual(2)
          expect(rung.steps).toBeGreaterThanOrEqual(99)
        }
      }),
      { seed: SEED },
    ))

  it('of 12 candidates and 900 steps has three rounds, and of one candidate or few steps only one', () => {
    expect(planRungs(12, 900)).toEqual([
      { steps: 100, candidates: 12 },
      { steps: 300, candidates: 4 },
      { steps: 900, candidates: 2 },
    ])
    expect(planRungs(1, 900)).toEqual([{ steps: 900, candidates: 1 }])
    expect(planRungs(12, 299)).toEqual([{ steps: 299, candidates: 12 }])
  })

  it('keeps the highest scores, of equal ones the lower loss, and never one without a score', () => {
    const judged = { a: [0.5, 1], b: [0.9, 2], c: [0.9, 1], d: [NaN, 0], e: [0.5, NaN] } as const
    const names = Object.keys(judged) as readonly (keyof typeof judged)[]
    expect(survivors(names, 3, (name) => ({ score: judged[name][0], loss: judged[name][1] }))).toEqual(['c', 'b', 'e'])
    expect(survivors(['d'] as const, 1, () => ({ score: NaN, loss: 0 }))).toEqual([])
  })
})

describe('the candidates of a search', () => {
  const space = { learningRates: null, ranks: [4, 8], overrides: {} }
  it('are all combinations, with rates around the default of the method and alpha twice the rank', () => {
    const candidates = listCandidates({ ...space, methods: ['lora', 'full'] })
    expect(candidates.map(({ name }) => name)).toEqual([
      ...['lora, rank 4, 1.2e-4', 'lora, rank 4, 4e-4', 'lora, rank 4, 1.2e-3'],
      ...['lora, rank 8, 1.2e-4', 'lora, rank 8, 4e-4', 'lora, rank 8, 1.2e-3'],
      ...['full, 1.5e-5', 'full, 5e-5', 'full, 1.5e-4'],
    ])
    expect(candidates[4]?.settings).toEqual({ method: 'lora', rank: 8, loraAlpha: 16, learningRate: 4e-4 })
  })

  it("have AdaLoRA's own ranks", () => {
    const [first] = listCandidates({ ...space, methods: ['adalora'], learningRates: [1e-3] })
    expect(first).toEqual({
      name: 'adalora, rank 4, 1e-3',
      settings: { method: 'adalora', targetR: 4, initR: 6, loraAlpha: 12, learningRate: 1e-3 },
    })
  })
})

const { folder } = temporaryFolder('tune')

describe('folds', () => {
  it(`are disjoint, cover every text of a class with at least two, and leave each class a text to train on (seed ${SEED})`, () =>
    fc.assert(
      fc.property(fc.array(fc.nat(4), { minLength: 1, maxLength: 60 }), fc.integer({ min: 2, max: 7 }), (labels, of) => {
        const examples = labels.map((label, i) => ({ text: `text ${i}`, label, row: i }))
        const sizeOf = (label: number): number => labels.filter((other) => other === label).length
        const held = Array.from({ length: of }, (_, index) => {
          const split = holdOut<Example>({ seed: 0, strata: classColumn.strata, ...holdOutFold({ index, of }) })
          const parts = split(examples)
          for (const label of new Set(labels)) expect(parts.kept.some((example) => example.label === label)).toBe(true)
          return parts.held
        })
        const expected = examples.filter(({ label }) => sizeOf(label) > 1).map(({ text }) => text)
        expect(held.flatMap((part) => part.map(({ text }) => text)).sort()).toEqual([...expected].sort())
        for (const among of [labels, ...[...new Set(labels)].map((label) => [label])]) {
          const sizes = held.map((part) => part.filter(({ label }) => among.includes(label)).length)
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
        }
      }),
      { seed: SEED },
    ))

  const fileOf = async (name: string, labels: readonly number[]): Promise<string> => {
    const file = join(folder, name)
    await writeFile(file, `text,label\n${labels.map((label, i) => `text ${i},${label}\n`).join('')}`)
    return file
  }
  const foldsOf = (options: TaskOptions, of: number): Promise<readonly (readonly string[])[]> =>
    Promise.all(
      Array.from({ length: of }, async (_, index) => {
        const { evaluation } = await loadTask({ ...options, fold: { index, of } })
        return evaluation.examples.map(({ text }) => text)
      }),
    )

  it('are as large as each other for many classes of few texts', async () => {
    const task = await fileOf(
      'forty.csv',
      Array.from({ length: 160 }, (_, i) => i % 40),
    )
    expect((await foldsOf({ task }, 5)).map((held) => held.length)).toEqual([32, 32, 32, 32, 32])
  })

  it('hold out every row of a regression once, of small files too', async () => {
    for (const [rows, of] of [
      [5, 5],
      [15, 2],
      [19, 2],
      [29, 3],
      [101, 7],
    ] as const) {
      const task = await fileOf(
        'scores.csv',
        Array.from({ length: rows }, (_, i) => i / 8),
      )
      const folds = await foldsOf({ task, problemType: 'regression' }, of)
      expect(folds.flat().sort()).toEqual(Array.from({ length: rows }, (_, i) => `text ${i}`).sort())
      const sizes = folds.map((held) => held.length)
      expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1)
    }
  })

  it('are refused if there are more of them than texts', async () => {
    const task = await fileOf('four.csv', [0, 0, 1, 1, 2])
    expect(await refusalOf(() => foldsOf({ task }, 5))).toBe(
      `${task}: expected a different text for each of 5 folds (or fewer --folds), got 4 that can be held out`,
    )
  })
})

/** The runs of a search, one after another in this process. */
const made =
  (run: Run): Executor =>
  (cells, context) =>
    runCells(cells, { ...context, jobs: 1, run })

/** A run that scores by its learning rate and length, and fails where `failing` says so. */
const pretendRun = (begun: string[], failing: (options: RunOptions) => boolean = () => false) =>
  async function* (options: RunOptions): AsyncGenerator<FinetuneEvent> {
    const { model, task, settings, output, metric } = options
    begun.push(`${settings.method} ${settings.learningRate} ${settings.maxSteps} ${JSON.stringify(task.fold ?? null)}`)
    await mkdir(output, { recursive: true })
    if (failing(options)) throw new Error('no memory')
    const inputs = await runInputs(await openModelFolder(model), await loadTask(task), undefined)
    const stored = metric === undefined ? {} : { metric: storedMetric(await loadMetric(metric)) }
    const config = { formatVersion: runFormatVersion, model, task, settings, inputs, ...stored }
    await writeFile(join(output, 'config.json'), JSON.stringify(config))
    const score = 1 - Math.abs(Math.log10((settings.learningRate ?? NaN) / 1e-3)) / 4 + (settings.maxSteps ?? 0) / 1e5
    const scores = { accuracy: score, loss: 1 - score }
    const best = { step: settings.maxSteps ?? 0, scores, selection: score }
    const result = {
      ...{ device: 'cpu', revision: null, examples: { training: 1, evaluation: 1 }, trainableParameters: {}, majority: null },
      ...{ selectedBy: 'accuracy', best, last: best, interrupted: false, stepsDone: 1, steps: 1 },
      ...{ seconds: 1, peakMemoryBytes: 1, seed: 0, output },
    }
    await writeFile(join(output, 'result.json'), JSON.stringify(result))
    yield { kind: 'result', result }
  }

const pretend = (...args: Parameters<typeof pretendRun>): Executor => made(pretendRun(...args))

describe('a search', () => {
  const optionsOf = async (name: string, change: Partial<TuneOptions> = {}): Promise<TuneOptions> => {
    const task = join(folder, 'toy.tsv')
    await writeFile(task, toyFile(100))
    return {
      ...{ model: embeddedModel, task: { task }, output: join(folder, name), folds: 1, jobs: 1 },
      ...{ methods: ['lora'], learningRates: [1e-5, 1e-4, 1e-3, 1e-2], ranks: [8], overrides: { maxSteps: 300 } },
      ...change,
    }
  }
  const never = new AbortController().signal

  it('trains all candidates shortly, the best third long, names the best and its command, and repeats no run', async () => {
    const begun: string[] = []
    const options = await optionsOf('whole')
    const result = await tune(options, never, () => undefined, pretend(begun))
    expect(begun).toEqual([
      ...['lora 0.00001 100 null', 'lora 0.0001 100 null', 'lora 0.001 100 null', 'lora 0.01 100 null'],
      ...['lora 0.001 300 null', 'lora 0.0001 300 null'],
    ])
    expect([result.best?.name, result.best?.steps, result.selectedBy]).toEqual(['lora, rank 8, 1e-3', 300, 'accuracy'])
    expect(tuneTable(result)).toEqual([
      'candidate           100 steps  300 steps  time of a run',
      'lora, rank 8, 1e-3   1.0010     1.0030 *          1.0 s',
      'lora, rank 8, 1e-4   0.7510     0.7530            1.0 s',
      'lora, rank 8, 1e-2   0.7510            –          1.0 s',
      'lora, rank 8, 1e-5   0.5010            –          1.0 s',
    ])
    expect(trainCommand(options, result.best ?? (result.trials[0] as never))).toBe(
      `salora train --model ${embeddedModel} --task ${options.task.task} --method lora --rank 8 --lora-alpha 16 --max-steps 300 --learning-rate 0.001`,
    )
    expect(await tune(options, never, () => undefined, pretend(begun))).toEqual(result)
    expect(begun).toHaveLength(6)
    expect(JSON.parse(await readFile(join(options.output, 'tune.json'), 'utf8'))).toEqual(result)
  })

  it('lists a candidate that failed after those with scores, which are negative where the loss decides', () => {
    const settings = { method: 'lora' } as const
    const trial = (name: string, score: number | null) => ({ name, settings, steps: 100, score, loss: null, seconds: null, failure: null })
    const trials = [trial('failed', null), trial('bad', -7.5), trial('good', -0.25), trial('fair', -2)]
    const result = { selectedBy: 'loss', rungs: [{ steps: 100, candidates: 4 }], trials, best: null, interrupted: false }
    expect(tuneTable(result).map((row) => row.split(' ')[0])).toEqual(['candidate', 'good', 'fair', 'bad', 'failed'])
  })

  it('resumes after it was stopped, and writes its result only then', async () => {
    const begun: string[] = []
    const options = await optionsOf('stopped')
    const stop = new AbortController()
    const stopped = await tune(
      options,
      stop.signal,
      (event) => event.kind === 'ended' && begun.length === 2 && stop.abort(),
      pretend(begun),
    )
    expect([stopped.interrupted, stopped.trials, begun.length]).toEqual([true, [], 2])
    await expect(readFile(join(options.output, 'tune.json'))).rejects.toThrow('ENOENT')
    const result = await tune(options, never, () => undefined, pretend(begun))
    expect([result.best?.name, begun.length]).toEqual(['lora, rank 8, 1e-3', 6])
  })

  it('says of a run that somebody stopped alone that it can resume, not that its score is wrong', async () => {
    const options = await optionsOf('one stopped', { overrides: { maxSteps: 3 } })
    const stops = ({ settings }: RunOptions): boolean => settings.learningRate === 1e-4
    const run = pretendRun([])
    const execute = made(async function* (of) {
      if (!stops(of)) yield* run(of)
    })
    const { trials } = await tune(options, never, () => undefined, execute)
    expect(trials.map(({ failure }) => failure)).toEqual([null, 'it was stopped; rerun the search to resume it', null, null])
  })

  it('is refused before its first run if no run can have the length of texts, or if its folder has a run', async () => {
    const begun: string[] = []
    const long = await optionsOf('too long', { overrides: { maxSteps: 3, maxLength: 257 } })
    await expect(tune(long, never, () => undefined, pretend(begun))).rejects.toThrow(
      "maxLength: expected at most the model's 256 positions, got 257",
    )
    const taken = await optionsOf('a run')
    await mkdir(taken.output)
    await writeFile(
      join(taken.output, 'config.json'),
      JSON.stringify({ formatVersion: runFormatVersion, model: 'm', task: {}, settings: {} }),
    )
    await expect(tune(taken, never, () => undefined, pretend(begun))).rejects.toThrow(
      `--output ${taken.output}: expected a new folder, or one of an earlier call, got config.json of a run`,
    )
    expect([begun, existsSync(long.output), existsSync(join(taken.output, 'cells'))]).toEqual([[], false, false])
  })

  it('leaves its folder to no run', async () => {
    const options = await optionsOf('searched', { overrides: { maxSteps: 3 } })
    await tune(options, never, () => undefined, pretend([]))
    await expect(refuseForeignFiles(options.output)).rejects.toThrow('got tune.json without one')
  })

  it('compares no runs on other rows: it is refused once the file has changed', async () => {
    const options = await optionsOf('changed', { overrides: { maxSteps: 3 } })
    await tune(options, never, () => undefined, pretend([]))
    expect((await tune(options, never, () => undefined, pretend([]))).best).not.toBeNull()
    await writeFile(options.task.task, toyFile(60))
    await expect(tune(options, never, () => undefined, pretend([]))).rejects.toThrow(
      /1e-5\.3-steps: expected a run on the same rows and the same model \(or another --output\), got a run on others: training rows was "90 of sha256/,
    )
  })

  it('gives each run its metric, and refuses runs that another module scored', async () => {
    const metric = join(folder, 'own.mjs')
    const write = (score: number): Promise<void> =>
      writeFile(metric, `export const name = 'own'\nexport const higherIsBetter = false\nexport const score = () => ${score}\n`)
    await write(1)
    const options = await optionsOf('scored', { metric, overrides: { maxSteps: 3 } })
    const named = { ...options, task: { ...options.task, metricForBestModel: 'own' } }
    const begun: string[] = []
    await tune(named, never, () => undefined, pretend(begun))
    await tune(options, never, () => undefined, pretend(begun)) // its own name is its default
    expect(begun).toHaveLength(4)
    await write(2)
    await expect(tune(options, never, () => undefined, pretend(begun))).rejects.toThrow(
      /expected a run with the metric of this search \(or another --output\), got a run with another: sha256 was /,
    )
    const texts = { ...options, task: { task: 'text', data: options.task.task, text: 'text' }, output: join(folder, 'none') }
    await expect(tune(texts, never, () => undefined, pretend(begun))).rejects.toThrow(/^metric: expected none with /)
    expect(existsSync(texts.output)).toBe(false)
  })

  it('loses a candidate whose run fails, and says why', async () => {
    const failing = ({ settings }: RunOptions): boolean => settings.learningRate === 1e-3
    const result = await tune(await optionsOf('failing'), never, () => undefined, pretend([], failing))
    expect(result.trials.find(({ failure }) => failure !== null)).toMatchObject({
      name: 'lora, rank 8, 1e-3',
      score: null,
      failure: 'no memory',
    })
    expect(result.best?.name).toBe('lora, rank 8, 1e-4')
  })

  it('with folds holds out each part once, and judges by the mean', async () => {
    const begun: string[] = []
    const options = await optionsOf('folds', { folds: 3, learningRates: [1e-3], overrides: { maxSteps: 30 } })
    const result = await tune(options, never, () => undefined, pretend(begun))
    expect(begun.map((line) => line.replace(/^.* 30 /, ''))).toEqual([0, 1, 2].map((index) => `{"index":${index},"of":3}`))
    expect(result.best?.score).toBeCloseTo(1.0003, 12)
    expect(await tune(options, never, () => undefined, pretend(begun))).toEqual(result)
    expect(begun).toHaveLength(3)
    const parts = await Promise.all([0, 1, 2].map((index) => loadTask({ ...options.task, fold: { index, of: 3 } })))
    expect(parts.map(({ evaluation }) => evaluation.examples.length)).toEqual([34, 33, 33])
    expect(new Set(parts.flatMap(({ evaluation }) => evaluation.examples.map(({ text }) => text))).size).toBe(100)
  })

  it('has folds by default for few rows and a sentence encoder, and elsewhere says that few held-out rows are chance', async () => {
    const sentences = join(folder, 'sentences')
    await writeTinyModel(sentences, { 'config.json': JSON.stringify({ ...tinyConfig, architectures: ['RobertaModel'] }) })
    await mkdir(join(sentences, '1_Pooling'))
    await writeFile(join(sentences, '1_Pooling/config.json'), '{"pooling_mode_cls_token": false, "pooling_mode_mean_tokens": true}')
    const short = { learningRates: [1e-3], overrides: { maxSteps: 3, maxLength: 16 }, folds: null }
    const judged = async (name: string, change: Partial<TuneOptions>) => {
      const [begun, lines]: [string[], string[]] = [[], []]
      const options = await optionsOf(name, { ...short, ...change })
      const listen = (event: TuneEvent): void => void (event.kind === 'judges' && lines.push(event.message.replaceAll(`${folder}/`, '')))
      await tune(options, never, listen, pretend(begun))
      return [begun.length, lines]
    }
    const few = 'toy.tsv: 10 held-out rows would choose among the candidates, which is chance: --folds 3 lets all 100 judge'
    expect(await judged('by-folds', { model: sentences })).toEqual([
      3,
      ['each candidate trains 3 times, and each of the 100 rows judges it once (--folds 1: 10 rows do)'],
    ])
    expect(await judged('by-ten', { model: sentences, folds: 1 })).toEqual([1, [few]])
    expect(await judged('plain', {})).toEqual([1, [few]])
    expect(await judged('asked', { folds: 2 })).toEqual([2, []])
    const task = { task: join(folder, 'toy.tsv'), evalData: join(folder, 'toy.tsv') }
    expect(await judged('file', { model: sentences, task })).toEqual([1, []])
  })

  it('is refused for a model that does not open, and while another process searches there, before any run', async () => {
    const begun: string[] = []
    const missing = await optionsOf('missing', { model: join(folder, 'nowhere') })
    await expect(tune(missing, never, () => undefined, pretend(begun))).rejects.toThrow('nowhere')
    expect(existsSync(missing.output)).toBe(false)
    const options = await optionsOf('locked')
    await mkdir(options.output)
    const lock = await lockFolder(options.output, 'a test')
    await expect(tune(options, never, () => undefined, pretend(begun))).rejects.toThrow(`--output ${options.output}: expected`)
    await lock.release()
    expect(begun).toEqual([])
  })

  it('never reads the test split, which its command scores at the end', async () => {
    const begun: RunOptions[] = []
    const remember = async function* (options: RunOptions): AsyncGenerator<FinetuneEvent> {
      begun.push(options)
      yield* pretendRun([])(options)
    }
    const options = await optionsOf('tested', { learningRates: [1e-3], overrides: { maxSteps: 3 } })
    const withTest = { ...options, task: { ...options.task, testData: 'missing.tsv' } }
    const { best } = await tune(withTest, never, () => undefined, made(remember))
    expect(begun.map(({ task }) => task)).toEqual([options.task])
    expect(best === null ? '' : trainCommand(withTest, best)).toContain(' --test-data missing.tsv ')
  })

  it('of a task of GLUE never reads its dev file, and has no folds', async () => {
    const begun: RunOptions[] = []
    const remember = async function* (options: RunOptions): AsyncGenerator<FinetuneEvent> {
      begun.push(options)
      yield* pretendRun([])(options)
    }
    const data = join(folder, 'glue', 'SST-2')
    await mkdir(data, { recursive: true })
    await writeFile(join(data, 'train.tsv'), ['sentence\tlabel', ...Array.from({ length: 40 }, (_, i) => `text ${i}\t${i % 2}`)].join('\n'))
    const options = await optionsOf('glue', { task: { task: 'sst2', data }, learningRates: [1e-3], overrides: { maxSteps: 3 } })
    await tune(options, never, () => undefined, made(remember))
    expect(begun.map(({ task }) => task)).toEqual([{ task: 'sst2', data, holdOutTrain: true }])
    await expect(tune({ ...options, folds: 2 }, never, () => undefined, made(remember))).rejects.toThrow(
      '--folds: expected 1 with --task sst2: only files have folds, got 2',
    )
  })
})
