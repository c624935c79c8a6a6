/** The settings of an existing run: resumed after its end or after an upgrade, or used for another run. */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { taskOptions } from '../../cli/options/taskRequest.js'
import { typedRequest } from './typedFlags.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import { readRunConfig } from '../../finetuning/run/runFiles.js'
import { treeOf } from '../hostile/survival.js'
import { saloraHere } from './inProcess.js'
import { runJob } from './jobRun.js'
import { toyFile } from './toyTask.js'
import { toyFolder } from './toyFolder.js'

const root = toyFolder('settings')
const at = (...names: readonly string[]): string => join(root, ...names)
const flags = (output: string) => ({
  ...{ model: at('tiny'), task: at('toy.tsv'), output: at(output), maxSteps: '4', batchSize: '4', saveSteps: '2' },
  ...{ maxLength: '16', device: 'cpu', threads: '1' },
})
beforeAll(async () => {
  await runJob(flags('run'))
})

describe('a finished run', () => {
  it('reports with --resume that it is finished', async () => {
    const { code, stderr } = await saloraHere('train', '--resume', '--output', at('run'))
    expect([code, stderr]).toEqual([0, `${at('run')}: this run is already finished (a larger --max-steps or --epochs extends it)\n`])
  })

  it.each([
    [['--learning-rate', '0.5', '--batch-size', '8'], 'learningRate was 0.0004 and is 0.5; batchSize was 4 and is 8'],
    [['--max-steps', '40', '--seed', '3'], 'seed was 0 and is 3'], // more steps alone make it longer
  ])('does not report so with other settings: %s', async (more, note) => {
    const before = await treeOf(at('run'))
    const { code, stdout, stderr } = await saloraHere('train', '--resume', '--output', at('run'), ...more)
    expect([code, stdout]).toEqual([1, ''])
    expect(stderr).toBe(
      `${at('run')}/config.json: expected the settings that the run, which is finished, began with ${remedyIn('run')}, got ${note}\n`,
    )
    expect(await treeOf(at('run'))).toEqual(before)
  })
})

/** What a refused resume offers, where the run has an adapter. */
const remedyIn = (output: string): string =>
  `(to start a new run from its adapter: --config ${at(output)}/config.json --adapter ${at(output)}/adapter and another --output)`

describe('a refused resume', () => {
  it.each([
    ['lora', 'other rows', []],
    ['salora', 'another rate', ['--learning-rate', '0.5']],
    ['houlsby', 'other rows', []],
    ['prompt', 'another seed', ['--seed', '5']],
  ] as const)('of %s with %s names flags that start a new run from the adapter', async (method, what, more) => {
    const [output, rows] = [`refused-${method}`, `${method}.tsv`]
    await writeFile(at(rows), toyFile(40))
    await runJob({ ...flags(output), task: at(rows), method, maxSteps: '30', learningRate: '0.01' })
    await rm(at(output, 'result.json'))
    if (what === 'other rows') await writeFile(at(rows), toyFile(60))
    const { code, stderr } = await saloraHere('train', '--resume', '--output', at(output), '--quiet', ...more)
    const began = what === 'other rows' ? 'the model and the data that the run began with' : 'the settings that the run began with'
    expect([code, stderr]).toEqual([1, expect.stringContaining(`${at(output)}/config.json: expected ${began} ${remedyIn(output)}, got `)])
    const typed = (/--config \S+ --adapter \S+/.exec(stderr)?.[0] ?? '').split(' ')
    const started = await saloraHere('train', ...typed, ...more, '--output', at(`from-${output}`), '--quiet')
    expect([started.code, await readRunConfig(at(`from-${output}`))]).toMatchObject([0, { adapter: at(output, 'adapter') }])
  })

  it.each([
    ['a rank that the adapter does not have', 'lora', ['--rank', '2']],
    ['a method whose run is a model', 'full', ['--seed', '5']],
    ['a method whose adapter has fewer ranks than its run', 'adalora', ['--seed', '5']],
  ] as const)('names no flags with %s', async (_, method, more) => {
    const output = `without-${method}`
    await runJob({ ...flags(output), method })
    const { code, stderr } = await saloraHere('train', '--resume', '--output', at(output), '--quiet', ...more)
    expect([code, stderr]).toEqual([1, expect.stringContaining('began with, got ')])
  })
})

describe('a run on another device', () => {
  it('does not resume, finished or not: the error names the device and the remedy', async () => {
    await runJob({ ...flags('stopped') }, 2)
    for (const name of ['run', 'stopped']) {
      const before = await readFile(at(name, 'config.json'), 'utf8')
      await writeFile(at(name, 'config.json'), JSON.stringify({ ...(JSON.parse(before) as object), device: 'webgpu' }))
      const { code, stderr } = await saloraHere('train', '--resume', '--output', at(name), '--device', 'cpu', '--quiet')
      expect([code, stderr]).toEqual([
        2,
        `--device: expected webgpu, on which the run in ${at(name)} began (to train on another device, start a new run with another --output), got cpu\n`,
      ])
      await writeFile(at(name, 'config.json'), before)
    }
  })
})

describe('a run that names no method', () => {
  it('trains LoRA of rank 8 at its own rate', async () => {
    const { settings } = (await readRunConfig(at('run')))!
    expect(settings).toMatchObject({ method: 'lora', rank: 8, loraAlpha: 16, learningRate: 4e-4 })
  })

  it('is resumed by its own method, as SaLoRA where that was the default, and keeps its budget', async () => {
    const { interrupted } = await runJob({ ...flags('earlier'), method: 'salora', density: '0.25', gateStart: '0.2', gateEnd: '0.5' }, 2)
    expect(interrupted).toBe(true)
    expect(await runJob({ ...flags('earlier'), resume: true })).toMatchObject({ stepsDone: 4, targetDensity: 0.25 })
    expect((await readRunConfig(at('earlier')))!.settings).toMatchObject({ method: 'salora', density: 0.25 })
  })

  it('has the method of its --config file, whose SaLoRA settings need it', async () => {
    await writeFile(
      at('named.json'),
      JSON.stringify({ ...flags('named'), maxSteps: 4, batchSize: 4, saveSteps: 2, maxLength: 16, threads: 1 }),
    )
    expect((await typedRequest({ config: at('named.json') })).settings.method).toBe('lora')
    expect((await typedRequest({ config: at('named.json'), method: 'salora' })).settings).toMatchObject({ method: 'salora', density: 0.5 })
    await writeFile(at('gated.json'), JSON.stringify({ density: 0.25 }))
    await expect(typedRequest({ ...flags('gated'), config: at('gated.json') })).rejects.toThrow(
      `${at('gated.json')}: density: expected a setting of method lora, got 0.25 (it belongs to salora: use method salora)`,
    )
    await writeFile(at('gated.json'), JSON.stringify({ density: 0.25, method: 'salora' }))
    expect((await typedRequest({ ...flags('gated'), config: at('gated.json') })).settings).toMatchObject({
      method: 'salora',
      density: 0.25,
    })
  })
})

describe("a run's own config.json as --config", () => {
  it.each([
    ['salora', { gateStart: '0.2', gateEnd: '0.5' }],
    ['lora', { targetModules: 'query' }],
    ['full', {}],
  ])('the config.json of a %s run gives the same model, task and settings, and flags override them', async (method, more) => {
    const output = `like-${method}`
    await runJob({ ...flags(output), method, ...more })
    const { model, task, settings } = (await readRunConfig(at(output)))!
    const repeated = await typedRequest({ config: at(output, 'config.json'), output: at('another') })
    expect(repeated).toEqual({ model, task, settings, output: at('another'), resume: false })
    const changed = await typedRequest({ config: at(output, 'config.json'), output: at('another'), seed: '9' })
    expect(changed.settings).toEqual({ ...settings, seed: 9 })
  })

  it('is refused in one line if it is broken', async () => {
    await writeFile(at('broken.json'), JSON.stringify({ model: 'm', task: { task: 7 }, settings: [] }))
    await expect(typedRequest({ config: at('broken.json') })).rejects.toThrow(/broken\.json: expected the config\.json of a run whose /)
  })
})

describe('a setting that an upgrade added', () => {
  /** The run as the version before wrote it: unfinished, without one of its settings. */
  const olderBy = async (output: string, setting: string): Promise<void> => {
    await runJob({ ...flags(output), method: 'salora', gateStart: '0.2', gateEnd: '0.5' })
    await rm(at(output, 'result.json'))
    const file = at(output, 'config.json')
    const { settings, ...rest } = JSON.parse(await readFile(file, 'utf8')) as { readonly settings: Readonly<Record<string, unknown>> }
    const { [setting]: removed, ...older } = settings
    expect(removed).toBeDefined()
    await writeFile(file, JSON.stringify({ ...rest, settings: older }))
  }
  const warnings = async (output: string): Promise<readonly string[]> => {
    const lines: string[] = []
    const request = await typedRequest({ resume: true, output: at(output) })
    for await (const event of finetuneJob({ ...request, output: at(output) }, new AbortController().signal))
      if (event.kind === 'warning') lines.push(event.message)
    return lines.filter((message) => !/^(step |gates are sampled in )/.test(message))
  }

  it('has its default in an older run, with one warning', async () => {
    await olderBy('older', 'orthogonalityAfter')
    const [told = '', ...others] = await warnings('older')
    expect(told).toMatch(/older: began before there was orthogonalityAfter "\w+": these are the defaults of this version$/)
    expect(others).toEqual([])
    expect(await warnings('older')).toEqual([])
  })

  it('cannot have another value in an older run', async () => {
    await olderBy('given', 'maxGradNorm')
    await expect(runJob({ resume: true, output: at('given'), maxGradNorm: '2' })).rejects.toThrow(/maxGradNorm was nothing and is 2$/)
  })
})

it('a named task wins over a folder of the same name, and a file is still found by its name', async () => {
  for (const name of ['mrpc', 'sentiment']) await mkdir(at(name))
  const before = process.cwd()
  process.chdir(root)
  try {
    expect(taskOptions({ task: 'mrpc', data: 'mrpc' })).toEqual({ task: 'mrpc', data: join(process.cwd(), 'mrpc') })
    expect(taskOptions({ task: 'sentiment' })).toEqual({ task: 'sentiment' })
    expect(taskOptions({ task: 'toy.tsv' })).toEqual({ task: join(process.cwd(), 'toy.tsv') })
  } finally {
    process.chdir(before)
  }
})
