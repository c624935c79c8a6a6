/**
 * A method, a kind of tasks or a device is one new file and one line in a table. The test adds one line of each and changes nothing else.
 * Settings, flags, help, messages, runs, their files and their summary then know the new ones.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { methods } from '../../accelerated/methods/index.js'
import { findDevice } from '../../accelerated/engines/devices/findDevice.js'
import { chooseDevice, probeDevice, probeDevices } from '../../accelerated/engines/deviceProbe.js'
import { devices } from '../../accelerated/engines/devices/index.js'
import type * as OnnxRuntimeNode from '../../accelerated/engines/onnxRuntimeNode.js'
import { allSettings, findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import type { TrainingResult, TrainingTask } from '../../accelerated/training/events.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import { initializeRun } from '../../accelerated/training/initialState.js'
import type { LabeledExample } from '../../accelerated/objectives/sequenceClassification.js'
import { openProgress } from '../../cli/terminal/progress.js'
import { summaryText } from '../../cli/format/summary.js'
import { allTrainFlags, configKinds, trainFlags } from '../../cli/options/trainFlags.js'
import type { FlagGroups } from '../../finetuning/commandLine/flag.js'
import { formatDescription } from '../../finetuning/commandLine/help.js'
import { typedRequest } from './typedFlags.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import { buildAssembly, openRuntime } from '../../evaluation/agreement/acceleratedSide.js'
import { toExamples } from '../../evaluation/agreement/convert.js'
import { loadEvaluation, loadTask, taskNames } from '../../finetuning/tasks/index.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { FinetuneEvent, RunOptions, RunResult } from '../../finetuning/run/run.js'
import { parseRunResult } from '../../finetuning/run/runFiles.js'
import { openTrainedAdapter } from '../../finetuning/use/openModel.js'
import { someOptions } from '../agreement/modelOptions.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { jsonLines } from '../support/jsonLines.js'
import { beads } from './extensionPoints/abacus.js'
import { saloraHere } from './inProcess.js'
import { writeTinyModel } from './tinyModel.js'

vi.mock('../../accelerated/methods/index.js', async (original) => {
  const { shift } = await import('./extensionPoints/shift.js')
  const originals = await original<{ readonly methods: readonly unknown[] }>()
  return { ...originals, methods: [...originals.methods, shift] }
})
vi.mock('../../finetuning/tasks/table.js', async (original) => {
  const { weather } = await import('./extensionPoints/weather.js')
  return { tasks: [...(await original<{ readonly tasks: readonly unknown[] }>()).tasks, weather] }
})
vi.mock('../../accelerated/engines/devices/index.js', async (original) => {
  const { abacus } = await import('./extensionPoints/abacus.js')
  return { devices: [...(await original<{ readonly devices: readonly unknown[] }>()).devices, abacus] }
})
const native = vi.hoisted(() => ({ sessions: 0 }))
vi.mock('../../accelerated/engines/onnxRuntimeNode.js', async (original) => {
  const engines = await original<typeof OnnxRuntimeNode>()
  const nodeEngine: typeof engines.nodeEngine = (...settings) => ({
    open: (...graph) => {
      native.sessions += 1
      return engines.nodeEngine(...settings).open(...graph)
    },
  })
  return { ...engines, nodeEngine }
})

/** Settings as a user's text gives them: the types do not know the added ones. */
const given = (settings: Readonly<Record<string, unknown>>): SettingsInput => settings as SettingsInput
const helpOf = (name: string): string => formatDescription(allTrainFlags[name]!)

/** What a command writes, with its lines joined. */
const written = async (stream: 'stdout' | 'stderr', ...args: readonly string[]): Promise<string> =>
  (await saloraHere(...args))[stream].replaceAll(/\s+/g, ' ')

const others = methods.map(({ name }) => String(name)).filter((name) => name !== 'shift')

const { folder: root } = temporaryFolder('new')
beforeAll(async () => {
  await writeTinyModel(join(root, 'tiny'))
})

it('each table of extension points has one more entry', () => {
  expect(methods.map(({ name }) => String(name)).slice(-2)).toEqual([others.at(-1), 'shift'])
  expect(others.length).toBeGreaterThan(2)
  expect(devices.map(({ name }) => name)).toEqual(['cpu', 'webgpu', 'cuda', 'abacus'])
  expect(taskNames.at(-1)).toBe('weather')
})

describe('a new method', () => {
  it('resolves its setting from a value or its default, and refuses a value out of bounds', () => {
    expect(findMethod('shift').name).toBe('shift')
    expect(resolveSettings(given({ method: 'shift' }))).toMatchObject({ method: 'shift', shiftScale: 2 })
    expect(resolveSettings(given({ method: 'shift', shiftScale: 3 }))).toMatchObject({ shiftScale: 3 })
    expect(() => resolveSettings(given({ method: 'shift', shiftScale: 0 }))).toThrow(/^shiftScale: expected a number above 0, got 0$/)
    expect(() => resolveSettings(given({ method: 'shifts' }))).toThrow(`method: expected one of ${others.join(', ')}, shift, got "shifts"`)
  })

  it('accepts its own setting only, which no other method accepts', () => {
    for (const method of others)
      expect(() => resolveSettings(given({ method, shiftScale: 3 }))).toThrow(
        `shiftScale: expected a setting of method ${method}, got 3 (it belongs to shift: use method shift)`,
      )
    expect(() => resolveSettings(given({ method: 'shift', rank: 4 }))).toThrow(
      /^rank: expected a setting of method shift, got 4 \(it belongs to lora, salora\b.*: use method lora\)$/,
    )
    expect(Object.keys(allSettings).filter((name) => name === 'shiftScale')).toEqual(['shiftScale'])
  })

  it('has a flag with help and default, and is listed among the methods', async () => {
    const headings = Object.entries(trainFlags as FlagGroups).flatMap(([heading, table]) => ('shiftScale' in table ? [heading] : []))
    expect(headings).toEqual(['Shift options'])
    expect([allTrainFlags['shiftScale']?.placeholder, configKinds['shiftScale']]).toEqual(['factor', 'number'])
    expect(helpOf('shiftScale')).toBe('Factor of every shift (default: 2)')
    expect(helpOf('method')).toContain('shift (a trained vector beside every bias)')
    const help = await written('stdout', 'train', '--help-all')
    expect(help).toContain('Shift options: --shift-scale <factor> Factor of every shift (default: 2)')
    expect(help).toContain('shift (a trained vector beside every bias)')
  })

  it('can be chosen on the command line, where errors name its flag', async () => {
    const { settings } = await typedRequest({ model: 'm', task: 'weather', method: 'shift', shiftScale: '1.5' })
    expect(settings).toMatchObject({ method: 'shift', shiftScale: 1.5 })
    const train = ['train', '--model', 'm', '--task', 'weather', '--shift-scale']
    expect(await written('stderr', ...train, '3')).toBe(
      '--shift-scale: expected a setting of method lora, got 3 (it belongs to shift: use --method shift) ',
    )
    expect(await written('stderr', ...train, '-1', '--method', 'shift')).toBe('--shift-scale: expected a number above 0, got -1 ')
    expect(await written('stderr', ...train, 'wide', '--method', 'shift')).toBe('--shift-scale: expected a number, got "wide" ')
  })

  it('trains: steps have its columns, the result has its numbers by matrix, and its parameters change', async () => {
    const model = drawModel(someOptions({ dropout: 0, lengths: [3, 1, 4, 2] }))
    const examples = toExamples(model.batch)
    const settings = resolveSettings(
      given({ method: 'shift', shiftScale: 3, maxSteps: 4, warmupRatio: 0, batchSize: 2, precision: 'float64', maxLength: 5 }),
    )
    const assembly = { ...buildAssembly(model, 'float64'), method: findMethod('shift'), settings }
    const task: TrainingTask<LabeledExample, unknown> = {
      ...assembly,
      objective: assembly.objective as TrainingTask<LabeledExample, unknown>['objective'],
      runtime: openRuntime({ device: 'abacus', precision: 'float64' }),
      training: examples,
      evaluation: examples,
      score: () => ({ scores: {}, selection: 0, constant: null }),
    }
    const events = train(task, await initializeRun(assembly, async () => undefined), null, new AbortController().signal)
    const shifts: (number | null | undefined)[] = []
    let result: TrainingResult | null = null
    while (result === null) {
      const next = await events.next()
      if (next.done === true) result = next.value
      else if (next.value.kind === 'step') {
        expect(Object.keys(next.value.columns)).toEqual(['largestShift'])
        shifts.push(next.value.columns['largestShift'])
      }
    }
    expect(shifts).toHaveLength(4)
    expect(shifts[0]).toBe(0) // as every adapter starts
    for (const [i, largest] of shifts.slice(1).entries()) expect(largest).toBeGreaterThan(shifts[i] ?? NaN)
    const { largestShifts = {} } = result.byMatrix
    expect(Object.keys(largestShifts)).toEqual(assembly.model.spec.matrices.map(({ name }) => name))
    expect(Math.max(...Object.values(largestShifts))).toBe(shifts.at(-1))
  })
})

describe('a new source of tasks', () => {
  it('is found by its name, and listed if an unknown task is named', async () => {
    const task = await loadTask({ task: 'weather' })
    expect(task.train.examples.length).toBe(24)
    const evaluation = await loadEvaluation({ task: 'weather' })
    expect(evaluation.evaluation.source).toBe('the weather of a day')
    await expect(loadTask({ task: 'whether' })).rejects.toThrow(
      /^task: expected cola, .*, sentiment, alpaca, preference, choice, text or weather, or a \.tsv, \.csv, \.jsonl, \.json or \.parquet file, got "whether"$/,
    )
  })

  it('is listed in the help of --task, and has its flag in every command with a task', async () => {
    expect(helpOf('task')).toContain('weather')
    expect([allTrainFlags['season']?.placeholder, configKinds['season']]).toEqual(['name', 'text'])
    expect(helpOf('season')).toBe('Season of the weather (default: summer)')
    for (const command of ['train', 'evaluate']) {
      const help = await written('stdout', command, '--help-all')
      expect(help, command).toContain('weather')
      expect(help, command).toContain('--season <name> Season of the weather (default: summer)')
    }
  })

  it('receives its own option, and throws its own errors', async () => {
    const { task } = await typedRequest({ model: 'm', task: 'weather', season: 'winter' })
    expect(task).toEqual({ task: 'weather', season: 'winter' })
    await expect(loadTask(task)).rejects.toThrow('--season: expected summer, got "winter"')
  })
})

describe('a new device', () => {
  it('is found by its name, probed like the others, and chosen by auto according to its priority', async () => {
    expect(await findDevice('abacus').remedy()).toBe('buy one')
    expect(await chooseDevice('abacus')).toBe(findDevice('abacus'))
    expect(await probeDevice('abacus')).toEqual({ device: 'abacus', works: true, detail: 'ran a training step', remedy: null })
    expect((await probeDevices()).map(({ device }) => device)).toEqual(['cpu', 'webgpu', 'cuda', 'abacus'])
    expect((await chooseDevice('auto')).name).toBe('abacus')
    expect(() => findDevice('abaci')).toThrow('device: expected one of cpu, webgpu, cuda, abacus, got abaci')
  })

  it('is a value of the setting, and is listed in the help of --device and by salora doctor', async () => {
    expect(resolveSettings(given({ device: 'abacus' })).device).toBe('abacus')
    expect(() => resolveSettings(given({ device: 'abaci' }))).toThrow(
      'device: expected one of auto, cpu, webgpu, cuda, abacus (a card: cuda:1), got "abaci"',
    )
    expect(helpOf('device')).toMatch(/^Device: auto, cpu, webgpu, cuda or abacus; .* \(default: auto\)$/)
    for (const command of ['train', 'evaluate', 'predict', 'verify', 'bench', 'quickstart'])
      expect(await written('stdout', command, '--help'), command).toMatch(
        /cuda or\s+abacus\s+\(default: (auto|the run's; without\s+a\s+run\s+auto)\)/,
      )
    expect(await written('stdout', 'doctor')).toContain('abacus works ran a training step')
  })

  it('supports only the precisions that it declares', async () => {
    expect(await written('stderr', 'verify', '--device', 'abacus', '--precision', 'float64')).toBe(
      '--precision: expected float32 on this device, got float64 on abacus ',
    )
  })
})

describe('a run with a new method, task source and device', () => {
  const options = (settings: Readonly<Record<string, unknown>> = {}): RunOptions => ({
    model: join(root, 'tiny'),
    task: { task: 'weather' },
    output: join(root, 'run'),
    resume: false,
    settings: resolveSettings(
      given({ method: 'shift', device: 'abacus', maxLength: 16, batchSize: 8, epochs: 2, saveSteps: 2, learningRate: 0.01, ...settings }),
    ),
  })
  const events: FinetuneEvent[] = []
  let result: RunResult
  let before = { native: 0, sessions: 0, runs: 0 }
  beforeAll(async () => {
    before = { native: native.sessions, ...beads }
    for await (const event of finetuneJob(options(), new AbortController().signal)) {
      events.push(event)
      if (event.kind === 'step' && event.step === 3) break // as a kill does
    }
    for await (const event of finetuneJob({ ...options(), resume: true }, new AbortController().signal)) {
      events.push(event)
      if (event.kind === 'result') result = event.result
    }
  })

  it("computes training, evaluations and predictions with the device's own engine", async () => {
    const trained = { ...beads }
    expect(trained.runs - before.runs).toBeGreaterThanOrEqual(6 + 2) // six steps, one of them twice, and an evaluation at least
    const adapter = await openTrainedAdapter({ model: join(root, 'tiny'), adapter: join(root, 'run', 'adapter') })
    await adapter.predict([{ text: 'a good film' }]).finally(adapter.release)
    expect(beads).toEqual({ sessions: trained.sessions + 2, runs: trained.runs + 2 }) // one to probe the device, one to predict
    expect(native.sessions - before.native).toBe(beads.sessions - before.sessions) // the abacus itself works on the CPU, and nobody else does
  })

  it('resumes from a checkpoint in the phase of the new method', () =>
    expect(events.flatMap((event) => (event.kind === 'start' ? [event.resumedAt] : []))).toEqual([0, 2]))

  it('writes setting, task and device to config.json, columns to metrics.jsonl, and the numbers of the method to result.json', async () => {
    const json = async (name: string): Promise<unknown> => JSON.parse(await readFile(join(root, 'run', name), 'utf8')) as unknown
    expect(await json('config.json')).toMatchObject({
      task: { task: 'weather' },
      settings: { method: 'shift', shiftScale: 2, device: 'abacus' },
      device: 'abacus',
    })
    const lines = jsonLines<Readonly<Record<string, unknown>>>(await readFile(join(root, 'run', 'metrics.jsonl'), 'utf8'))
    const steps = lines.filter(({ kind }) => kind === 'step')
    expect(steps.map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6])
    for (const step of steps) {
      expect(step['largestShift']).toBeTypeOf('number')
      for (const key of ['density', 'lambda', 'orthogonality', 'columns']) expect(step).not.toHaveProperty(key)
    }
    // Σ d of the twelve matrices of two layers: 4 · 16 + 32 + 16
    expect(await json('result.json')).toMatchObject({
      device: 'abacus',
      trainableParameters: { shifts: 2 * 112 },
      shiftedMatrices: 12,
      shiftScale: 2,
      largestShifts: { 'encoder.layer.0.output.dense': expect.any(Number) as number },
    })
    expect(parseRunResult(await readFile(join(root, 'run', 'result.json'), 'utf8'), 'result.json')).toEqual(result)
    expect((await typedRequest({ resume: true, output: join(root, 'run') })).settings).toEqual(options().settings)
  })

  it('prints the column with its label, the parameters by part, and the device', () => {
    const notes: string[] = []
    const terminal = {
      json: false,
      quiet: true,
      color: false,
      note: (line: string) => notes.push(line),
      warn: () => undefined,
      result: () => undefined,
    }
    const progress = openProgress(terminal)
    for (const event of events) progress.show(event)
    progress.close()
    expect(notes.join('\n')).toMatch(
      /^24 training examples, 8 evaluation examples, on abacus; trainable parameters: 224 in the shifts, 306 in the head$/m,
    )
    expect(notes.join('\n')).toMatch(/^step 6\/6 {2}taskLoss \S+ {2}shift 0\.\d{5} {2}\S+ tokens\/s/m)
    const summary = summaryText(result, null, { color: false })
    expect(summary).toMatch(/^parameters {2}224 in the shifts, 306 in the head$/m)
    expect(summary).toMatch(/^time +.* on abacus, /m)
    expect(summary).not.toMatch(/budget|ranks/)
  })
})
