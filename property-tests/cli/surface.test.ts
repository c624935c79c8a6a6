/** Settings and flags, presets, resumed settings, lines of text, and the summary. */
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { describe, expect, it } from 'vitest'
import { SettingsError } from '../../accelerated/errors/expectedErrors.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { fromSentError, toSentError } from '../../accelerated/errors/sentError.js'
import { option, words } from '../../accelerated/errors/words.js'
import type { ModelSpec } from '../../accelerated/models/architecture.js'
import { allSettings, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { adapterRequest } from '../../cli/options/adapterRequest.js'
import { errorReport } from '../../cli/terminal/reportError.js'
import { settingNames, type Values } from '../../cli/options/settingFlags.js'
import { planCells } from '../../evaluation/glue/plan.js'
import { parseRow, table1 } from '../../evaluation/glue/sweep.js'
import { heatMap, summaryText } from '../../cli/format/summary.js'
import { allTrainFlags, trainFlags } from '../../cli/options/trainFlags.js'
import { trainRequest } from '../../cli/options/trainRequest.js'
import { train } from '../../cli/commands/train.js'
import { commandGroups } from '../../cli/commandGroups.js'
import { flagsIn, parseArguments } from '../../finetuning/commandLine/parse.js'
import { isViaSet, toFlags } from '../../finetuning/commandLine/optionNames.js'
import type { FlagGroups } from '../../finetuning/commandLine/flag.js'
import { resolveFlags } from '../../cli/options/precedence.js'
import { typedRequest, type TypedFlags } from './typedFlags.js'
import type { RunResult } from '../../finetuning/run/run.js'
import { runConfig, runResult } from '../hostile/validFiles.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

describe('the flags of salora train', () => {
  it('are one per setting, and none twice', () => {
    const names = Object.values(trainFlags as FlagGroups).flatMap((table) => Object.keys(table))
    expect(names).toEqual(expect.arrayContaining([...settingNames]))
    expect(new Set(names).size).toBe(names.length)
  })

  it('change nothing at their defaults', () => {
    const defaults = resolveFlags({})
    expect(resolveFlags(defaults)).toEqual(defaults)
  })

  it('are properties in the errors of the library and flags on the command line, and names in a text stay', () => {
    const { resume, output } = { resume: option('resume', true), output: words`${option('output')} runs/gateEnd` }
    const wrong = inputError(output, words`a new folder (or ${resume})`, 'gateEnd')
    expect(wrong.message).toBe('output runs/gateEnd: expected a new folder (or resume: true), got gateEnd')
    expect(errorReport(wrong)).toEqual({
      line: '--output runs/gateEnd: expected a new folder (or --resume), got gateEnd',
      exitCode: 1,
    })
    const setting = new SettingsError('gateStart', words`a fraction below ${option('gateEnd')}`, '1')
    expect(setting.message).toBe('gateStart: expected a fraction below gateEnd, got 1')
    expect(errorReport(fromSentError(structuredClone(toSentError(setting))))).toEqual({
      line: '--set gate-start: expected a fraction below --set gate-end, got 1',
      exitCode: 2,
    })
    expect(errorReport(inputError(option('loadBestModelAtEnd', false), 'x', 'y')).line).toBe(
      '--no-load-best-model-at-end: expected x, got y',
    )
  })

  it('do not explain an unexpected error, which is one line that calls it a defect', () => {
    expect(errorReport(new TypeError('x is not\na function'))).toEqual({
      line: 'unexpected error: x is not\\u000aa function (a defect in salora; SALORA_DEBUG=1 prints the stack)',
      exitCode: 1,
    })
  })
})

describe('a preset', () => {
  const paper = {
    ...{ method: 'salora', head: 'transformers', gateStart: 0.2, gateEnd: 0.5, orthogonality: 'sum', control: 'adam', retain: 'paper' },
    gateAfter: 'binary',
  }
  const settingsOf = async (given: TypedFlags) => (await typedRequest({ model: 'm', task: 'sentiment', ...given })).settings

  it('sets several settings, below other flags and the --config file', async () => {
    expect(await settingsOf({ preset: 'paper' })).toEqual(resolveSettings(paper as object))
    expect(await settingsOf({ preset: 'paper', retain: 'budget' })).toEqual(resolveSettings({ ...paper, retain: 'budget' } as object))
    const config = await file('settings.json', { preset: 'paper', gateAfter: 'soft' })
    expect(await settingsOf({ config, beta: '0.3' })).toEqual(resolveSettings({ ...paper, gateAfter: 'soft', beta: 0.3 } as object))
  })

  it("the preset for TSST's classifier sets its recipe, its method and the length of the task's texts", async () => {
    const recipe = {
      method: 'full',
      head: 'transformers',
      ...{ learningRate: 2e-5, adamEpsilon: 1e-8, weightDecay: 1e-8, warmupRatio: 0, epochs: 5 },
      ...{ batchSize: 32, maxLength: 18, maxGradNorm: 1, seed: 42, evalSteps: 300, loadBestModelAtEnd: true },
    } as const
    const styles = (given: TypedFlags) => settingsOf({ preset: 'tsst-classifier', task: 'yelp', data: 'yelp', ...given })
    expect(await styles({})).toEqual(resolveSettings(recipe))
    expect(await styles({ method: 'full', epochs: '1' })).toEqual(resolveSettings({ ...recipe, epochs: 1 }))
    expect(await styles({ task: 'gyafc' })).toEqual(resolveSettings({ ...recipe, maxLength: 32 }))
    expect(await styles({ task: 'gyafc', maxLength: '20' })).toEqual(resolveSettings({ ...recipe, maxLength: 20 }))
    const config = await file('styles.json', { preset: 'tsst-classifier', task: 'gyafc' })
    expect((await typedRequest({ model: 'm', config })).settings).toEqual(resolveSettings({ ...recipe, maxLength: 32 }))
    await expect(styles({ method: 'lora' })).rejects.toThrow(
      /^--preset: expected none, as method lora has no presets, got "tsst-classifier"$/,
    )
    await expect(styles({ method: 'salora' })).rejects.toThrow(/^--preset: expected one of paper, glue, glue-large, got "tsst-classifier"$/)
  })

  it('the preset for GLUE gives a task the settings that `salora glue` trains it with, and no other task', async () => {
    const request = {
      sweep: table1,
      model: 'm',
      data: 'd',
      tasks: ['mrpc'],
      rows: [parseRow('salora')],
      seeds: [0],
      overrides: {},
      maxTrainSamples: null,
    } as const
    for (const [preset, hiddenSize] of [
      ['glue', 768],
      ['glue-large', 1024],
    ] as const) {
      const [cell] = planCells(request, { hiddenSize } as ModelSpec)
      expect(await settingsOf({ preset, task: 'mrpc', data: 'd' }), preset).toEqual(cell?.options.settings)
    }
    await expect(settingsOf({ preset: 'glue' })).rejects.toThrow(/^preset: expected task cola, .*, got "sentiment"$/)
  })

  it('beside a flag that contradicts it is refused with the names of the flags', () =>
    expect(settingsOf({ preset: 'paper', gateEnd: '0.1' })).rejects.toThrow(
      /^--preset paper: --set gate-start: expected a fraction below --set gate-end, got 0\.2$/,
    ))
})

describe('--set', () => {
  const valuesOf = (...words: readonly string[]) => {
    const parsed = parseArguments(train.definition, ['--model', 'm', '--task', 'sentiment', ...words])
    return parsed.kind === 'values' ? (parsed.values.flags as Values) : {}
  }

  it('gives several settings, in kebab-case and in camelCase, above a --config file and a preset', async () => {
    const set = ['--set', 'tau=0.5,gateAfter=soft', '--set', 'control=0.25', '--preset', 'paper']
    const config = await file('set.json', { tau: 2, zeta: 1.5 })
    expect((await trainRequest(valuesOf(...set, '--config', config))).settings).toMatchObject({
      ...{ tau: 0.5, zeta: 1.5, gateAfter: 'soft', control: 0.25, retain: 'paper' },
    })
  })

  it('is in a printed command wherever a setting has no option, so that the command gives the values it was printed from', () => {
    for (const [name, { schema }] of Object.entries(allSettings)) {
      const value = schema.parse(undefined)
      if (value === null || value === false) continue
      expect(valuesOf(...toFlags({ [name]: value }))).toMatchObject({ [name]: value })
    }
    expect(toFlags({ rank: 4, tau: 0.5, lossBeta: 0.2 })).toEqual(['--rank', '4', '--set', 'tau=0.5', '--set', 'loss-beta=0.2'])
  })

  it('has the same settings in every command: no other flag has the name of one', async () => {
    for (const { load } of commandGroups.flatMap(({ commands }) => commands))
      for (const [name, flag] of Object.entries(flagsIn((await load()).definition.flags)))
        if (isViaSet(name)) expect(flag.description, name).toBe(allTrainFlags[name]?.description)
  })
})

describe('--set control', () => {
  const controlOf = async (control: string) =>
    (await typedRequest({ model: 'm', task: 'sentiment', method: 'salora', control })).settings.control

  it('is a rule or a number, the constant λ of equation (10)', async () => {
    expect(await Promise.all(['ramp', 'adam', 'descent', '0', '0.03', '1e-3'].map(controlOf))).toEqual([
      ...['ramp', 'adam', 'descent'],
      ...[0, 0.03, 1e-3],
    ])
    for (const wrong of ['sgd', 'Infinity'])
      await expect(controlOf(wrong)).rejects.toThrow(/^--set control: expected ramp, adam, descent or a number of at least 0, got \S+$/)
    await expect(controlOf('-1')).rejects.toThrow(/^--set control: expected a number of at least 0, got -1$/)
  })

  it('accepts its earlier names: `paper` for plain steps, and `free` for no constraint', async () => {
    expect(await Promise.all(['paper', 'free'].map(controlOf))).toEqual(['descent', 0])
    const config = await file('control.json', { method: 'salora', control: 'free' })
    expect((await typedRequest({ model: 'm', task: 'sentiment', config })).settings.control).toBe(0)
    const number = await file('control.json', { method: 'salora', control: 0.5 })
    expect((await typedRequest({ model: 'm', task: 'sentiment', config: number })).settings.control).toBe(0.5)
  })
})

describe('--eval-data', () => {
  it('names a part of the task if it has one, even if a file has that name, and otherwise a path, which becomes absolute', async () => {
    const evalDataOf = async (task: string, evalData: string) =>
      (await typedRequest({ model: 'm', task, data: 'folder', evalData })).task.evalData
    const here = 'cli' // a folder of the clone, as `test` is one of many projects
    expect([await evalDataOf('yelp', here), await evalDataOf('sst2', here)]).toEqual([resolve(here), resolve(here)])
    const empty = await file('test', {})
    const cwd = process.cwd()
    process.chdir(dirname(empty))
    try {
      expect([await evalDataOf('yelp', 'test'), await evalDataOf('gyafc', 'test')]).toEqual(['test', 'test'])
      expect(await evalDataOf('sst2', 'test')).toBe(resolve('test'))
    } finally {
      process.chdir(cwd)
    }
  })
})

describe('an existing run', () => {
  const output = (settings: object): Promise<string> =>
    file('config.json', { ...runConfig, settings }).then((written) => join(written, '..'))

  it('gets the settings of another preset, which --resume then refuses', async () => {
    const { settings } = await typedRequest({ resume: true, output: await output(resolveSettings({ method: 'salora' })), preset: 'paper' })
    expect(settings.control).toBe('adam')
  })

  it('is not resumed with another method, which the error names', async () => {
    const given = { resume: true, output: await output(resolveSettings({ method: 'salora' })), method: 'lora' }
    await expect(typedRequest(given)).rejects.toThrow(
      /expected the settings that the run began with, got (--)?method was "salora" and is "lora"/,
    )
  })

  it('can be used if another version wrote settings that no longer exist', async () => {
    const settings = { ...resolveSettings({ method: 'lora', maxLength: 77, device: 'cpu' }), density: 0.5, lambdaOptimizer: 'adam' }
    const run = await output(settings)
    await mkdir(join(run, 'adapter'))
    await writeFile(join(run, 'adapter', 'adapter_config.json'), '{}')
    const { adapter } = await adapterRequest({ run, batchSize: 3 })
    expect(adapter).toMatchObject({ maxLength: 77, batchSize: 3, device: 'cpu' })
  })
})

const { folder } = temporaryFolder('surface')
const file = async (name: string, content: object): Promise<string> => {
  await writeFile(join(folder, name), JSON.stringify(content))
  return join(folder, name)
}

describe('the output of salora train', () => {
  const ranks = { 'encoder.layer.0.attention.self.query': 8, 'encoder.layer.0.output.dense': 0, 'encoder.layer.10.output.dense': 3 }

  it('has a map of ranks with a row per layer, a column per matrix, and a dot without an adapter', () => {
    expect(heatMap(ranks, { color: false })).toEqual(['layer  query  output', '    0      8       0', '   10      ·       3'])
  })

  it('orders the matrices of another family as the model does, by their last names where these differ', () => {
    const ranks = { 'layers.0.attn.Wqkv': 1, 'layers.0.attn.Wo': 2, 'layers.0.mlp.Wi': 3, 'layers.0.mlp.Wo': 4 }
    expect(heatMap(ranks, { color: false })).toEqual(['layer  Wqkv  attn.Wo  Wi  mlp.Wo', '    0     1        2   3       4'])
    expect(heatMap({ 'transformer.layer.3.ffn.lin2': 5 }, { color: false })).toEqual(['layer  lin2', '    3     5'])
  })

  it('has its rows in the order of the layers, which is that of numbers, wherever a matrix comes first', () => {
    const unordered = Object.fromEntries([10, 2, 0].map((layer) => [`encoder.layer.${layer}.output.dense`, layer + 1]))
    expect(heatMap(unordered, { color: false })).toEqual(['layer  output', '    0       1', '    2       3', '   10      11'])
  })

  it('has the same map of ranks in color', () => {
    const colored = heatMap(ranks, { color: true })
    expect(colored[1]).toMatch(/\u001b\[102m/)
    expect(colored.map((line) => line.replaceAll(/\u001b\[[\d;]*m/g, ''))).toEqual(heatMap(ranks, { color: false }))
  })

  it('has a budget line before and after pruning, with and without gates', () => {
    const lineOf = (change: object): string | undefined =>
      summaryText({ ...runResult, ...change } as RunResult, null, { color: false })
        .split('\n')
        .find((line) => line.startsWith('budget'))
    expect(lineOf({})).toBe('budget      target 50.0 %, retained 50.0 %, expected density 0.5000')
    expect(lineOf({ expectedDensity: null, lambda: null })).toBe('budget      target 50.0 %, retained 50.0 %') // of retain=magnitude
    const open = { retainedDensity: null, expectedDensity: null, lambda: null }
    expect(lineOf(open)).toBe('budget      target 50.0 %, not pruned yet')
    expect(lineOf({ ...open, targetDensity: undefined })).toBeUndefined()
  })

  it('counts trained parameters by part, and those retained in the adapter', () => {
    const lineOf = (change: object): string | undefined =>
      summaryText({ ...runResult, ...change } as RunResult, null, { color: false })
        .split('\n')
        .find((line) => line.startsWith('parameters'))
    expect(lineOf({})).toBe('parameters  10 in the adapter (5 retained), 3 in the head, 2 in the gates')
    expect(lineOf({ retainedParameters: 10 })).toBe('parameters  10 in the adapter, 3 in the head, 2 in the gates')
    expect(lineOf({ retainedParameters: undefined, trainableParameters: { model: 136_848, head: 306 } })).toBe(
      'parameters  136,848 in the model, 306 in the head',
    )
  })
})
