/** Houlsby and Pfeiffer adapters from end to end: training, resuming, loading, exporting, and one line per unsupported case. */
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { resolveSettings } from '../../accelerated/training/settings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { errorReport } from '../../cli/terminal/reportError.js'
import { exportAdapter } from '../../finetuning/adapters/exportAdapter.js'
import type { ExportFormat } from '../../finetuning/adapters/exportFormats.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { FinetuneEvent, RunOptions } from '../../finetuning/runs/run.js'
import { evaluationOfRun, scoreAdapter } from '../../finetuning/adapters/scoreAdapter.js'
import { openTrainedAdapter } from '../../finetuning/adapters/trainedAdapter.js'
import { families, folderOf, methodFolder } from '../golden/golden.js'
import { toyFolder } from './toyFolder.js'

const names = ['houlsby', 'pfeiffer'] as const
const steps = 60

const cwd = toyFolder('bottleneck', { 'toy.tsv': 60 })

const optionsOf = (output: string, settings: SettingsInput): RunOptions => ({
  model: join(cwd, 'tiny'),
  task: { task: join(cwd, 'toy.tsv') },
  output: join(cwd, output),
  resume: false,
  settings: resolveSettings({
    maxSteps: steps,
    maxLength: 16,
    batchSize: 8,
    learningRate: 0.02,
    dropout: 0,
    reductionFactor: 4,
    evalSteps: 20,
    saveSteps: 25,
    device: 'cpu',
    threads: 1,
    ...settings,
  }),
})

/** Until the end, or until nothing more is asked of the run. */
const train = async (options: RunOptions, stop: (event: FinetuneEvent) => boolean = () => false): Promise<void> => {
  for await (const event of finetuneJob(options, new AbortController().signal)) if (stop(event)) return
}

const bytesOf = async (folder: string): Promise<Readonly<Record<string, string>>> =>
  Object.fromEntries(await Promise.all((await readdir(folder)).map(async (name) => [name, await readFile(join(folder, name), 'base64')])))

const opened = (adapter: string) =>
  openTrainedAdapter({ model: join(cwd, 'tiny'), adapter, device: 'cpu', precision: 'float32', threads: 1, maxLength: 16, batchSize: 8 })

/** What the command line says of it. */
const reportOf = async (refused: Promise<unknown>): Promise<ReturnType<typeof errorReport>> =>
  refused.then(
    () => ({ line: 'no error', exitCode: 0 }),
    (error: unknown) => errorReport(error),
  )

describe.each(names)('a run of %s', (method) => {
  beforeAll(() => train(optionsOf(method, { method })))

  it('learns, and writes a folder of the adapters library with its parameter count', async () => {
    const result = JSON.parse(await readFile(join(cwd, method, 'result.json'), 'utf8')) as {
      readonly best: { readonly scores: Readonly<Record<string, number>> }
      readonly trainableParameters: object
    }
    expect(result.best.scores['accuracy']).toBeGreaterThan(0.9)
    const each = 2 * 16 * 4 + 4 + 16
    expect(result.trainableParameters).toEqual({ adapter: (method === 'houlsby' ? 4 : 2) * each, head: 16 * 16 + 16 + 2 * 16 + 2 })
    expect((await readdir(join(cwd, method, 'adapter'))).sort()).toEqual(
      'README.md adapter.safetensors adapter_config.json head_config.json model_head.safetensors salora.json'.split(' '),
    )
    const predictor = await opened(join(cwd, method, 'adapter'))
    const scored = await scoreAdapter(predictor, await evaluationOfRun({ task: join(cwd, 'toy.tsv') })).finally(predictor.release)
    expect([predictor.labelNames, scored.scores]).toEqual([['bad', 'good'], result.best.scores])
  })

  it('resumes to the same bits after any step', async () => {
    const options = optionsOf(`${method}-stopped`, { method })
    await train(options, (event) => event.kind === 'step' && event.step === 33)
    expect(existsSync(join(options.output, 'adapter', 'adapter_config.json'))).toBe(false)
    await train({ ...options, resume: true })
    expect(await bytesOf(join(options.output, 'adapter'))).toEqual(await bytesOf(join(cwd, method, 'adapter')))
  })
})

describe.each(names)('an adapter of %s', (method) => {
  const exported = (family: (typeof families)[number], format: ExportFormat) =>
    exportAdapter({
      model: folderOf(family),
      adapter: join(methodFolder(family, method), 'saved'),
      format,
      output: join(cwd, `${family}-${method}-${format}`),
      precision: 'float32',
      maxLength: null,
      targeted: null,
    })

  it.each(families)('the adapter on %s is exported in its own layout, and within the graph that transformers.js opens', async (family) => {
    const folder = await exported(family, 'adapters')
    expect(folder.comparison.largestLogitDifference).toBe(0)
    const { comparison } = await exported(family, 'transformers.js')
    expect(comparison.largestLogit).toBeGreaterThan(0.1)
    expect(comparison.largestLogitDifference).toBeLessThan(1e-5 * comparison.largestLogit)
    const bytes = await readFile(join(cwd, `${family}-${method}-transformers.js`, 'onnx', 'model.onnx'), 'latin1')
    expect(bytes.split('.adapter.down.weight').length).toBeGreaterThan(2)
  })

  it.each(['merged', 'peft', 'peft-padded'] as const)('cannot be exported as %s, and nothing is written', async (format) => {
    expect(await reportOf(exported('roberta', format))).toEqual({
      line: `--format: expected one of adapters, transformers.js for an adapter of method ${method}, got ${format}`,
      exitCode: 2,
    })
    expect(existsSync(join(cwd, `roberta-${method}-${format}`))).toBe(false)
  })
})
