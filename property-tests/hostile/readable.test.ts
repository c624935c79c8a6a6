/** Every run that is allowed can be read back: its files keep to the bounds of their readers. */
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { beforeAll, describe, expect, it } from 'vitest'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { checkpointNumbers, frozenWeights } from '../../accelerated/checkpoints/frozenWeights.js'
import { checkLabelNames } from '../../accelerated/checkpoints/labelNames.js'
import { InputError } from '../../accelerated/errors/inputError.js'
import { openModelFolder, type ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { readAdapter, writeAdapter } from '../../accelerated/formats/index.js'
import { methods } from '../../accelerated/methods/index.js'
import type { Method } from '../../accelerated/methods/method.js'
import type { SequenceOutputs } from '../../accelerated/models/modelOutputs.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import { parseSettings, buildSettingTable, type Settings } from '../../accelerated/training/resolveSettings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { SettingsError } from '../../accelerated/errors/expectedErrors.js'
import { assemble, buildLayout } from '../../accelerated/training/assembly.js'
import { runLength } from '../../accelerated/training/runLength.js'
import { initializeRun } from '../../accelerated/training/initialState.js'
import { toAdapter } from '../../finetuning/run/runResult.js'
import { checkStorable, parseRunConfig, runFormatVersion } from '../../finetuning/run/runFiles.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { SEED } from '../support/seed.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder: root } = temporaryFolder('readable')
let base: ModelFolder
let made = 0
beforeAll(async () => {
  base = await openModelFolder(await writeTinyModel(join(root, 'tiny')))
})

const number = fc.constantFrom(1e-300, 0.3, 0.5, 1, 2, 8, 1024, 65_536, 1e6, 2e9, 1e12, 1e300)
/** A few of a method's numbers at any size: some are refused, and what is not must come back. */
const numbersOf = (method: Method): fc.Arbitrary<SettingsInput> => {
  const names = Object.entries(buildSettingTable(method)).flatMap(([name, { kind }]) =>
    kind === 'number' && !['seed', 'threads', 'maxLength'].includes(name) ? [name] : [],
  )
  return fc
    .array(fc.tuple(fc.constantFrom(...names), number), { maxLength: 3 })
    .map((pairs) => allowed(method, { maxLength: 16, ...Object.fromEntries(pairs) }))
}

/** Those of the numbers that the settings allow one by one. */
const allowed = (method: Method, given: Readonly<Record<string, unknown>>): SettingsInput =>
  Object.fromEntries(
    Object.entries(given).filter(([name, value]) => buildSettingTable(method)[name]?.schema.safeParse(value).success),
  ) as SettingsInput

const comesBack = async (settings: Settings, labelNames: readonly string[]): Promise<void> => {
  const outputs: SequenceOutputs = { head: 'sequence', labels: labelNames.length, problemType: 'single_label_classification' }
  const [method, precision] = [(methods as readonly Method[]).find(({ name }) => name === settings.method)!, findPrecision('float32')]
  runLength(method, settings, base.model, 100)
  const parts = { model: base.model, frozen: frozenWeights(base, 'float32'), method, settings, precision }
  const assembly = assemble(parts, (model) => sequenceClassification(model, outputs))
  const start = await initializeRun(assembly, checkpointNumbers(base))
  const layouts = { vectors: start, buildLayout: (phase: unknown) => buildLayout(assembly, phase), dtype: 'float32' } as const
  const { phase, parameters } = start
  const handed = method.phases.inference?.(phase, settings, parameters, layouts) ?? { phase, parameters }
  const task = { ...assembly, settings } as unknown as Parameters<typeof toAdapter>[0]
  const folder = join(root, `a${made++}`)
  await mkdir(folder)
  await writeAdapter(folder, toAdapter(task, base, outputs, handed, labelNames), base)
  expect((await readAdapter(folder, base)).labelNames).toEqual(labelNames)
  await rm(folder, { recursive: true })
}

describe(`a trained adapter (seed ${SEED})`, () => {
  it.each(methods.map((method) => [method.name, method as Method] as const))(
    'an adapter trained by %s can be read back, whatever numbers the settings allow',
    async (name, method) => {
      let read = 0
      await fc.assert(
        fc.asyncProperty(numbersOf(method), async (given) => {
          try {
            await comesBack(parseSettings({ ...given, method: name }), ['bad', 'good'])
            read += 1
          } catch (error) {
            if (!(error instanceof SettingsError)) throw error // refused before the first step
          }
        }),
        { seed: SEED, numRuns: 20, examples: [1e6, 2e9].map((alpha) => [allowed(method, { loraAlpha: alpha, maxLength: 16 })]) },
      )
      expect(read).toBeGreaterThan(5)
    },
  )

  it.each([['lora'], ['full'], ['houlsby']])(
    'an adapter trained by %s can be read back with the longest label that is allowed, and no longer one is',
    async (method) => {
      const [longest, longer] = ['x'.repeat(1000), 'x'.repeat(1001)]
      expect(() => checkLabelNames([longest, 'good'], 'toy.tsv')).not.toThrow()
      await comesBack(parseSettings({ method, maxLength: 16 }), [longest, 'good'])
      expect(() => checkLabelNames([longer, 'good'], 'toy.tsv')).toThrow(
        `toy.tsv: expected labels of at most 1000 characters, got one of 1001: "${'x'.repeat(40)}…"`,
      )
    },
  )

  it('can be read back with the maximum number of classes, and more are refused', async () => {
    const names = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `c${i}`)
    await comesBack(parseSettings({ method: 'full', maxLength: 16 }), names(140_000))
    expect(() => checkLabelNames(names(140_000), 'toy.tsv')).not.toThrow()
    expect(() => checkLabelNames(names(300_000), 'toy.tsv')).toThrow(
      'toy.tsv: expected classes whose names fit into a config.json of 16000000 bytes, got 300000 classes of about',
    )
  })
})

describe('the options of a run', () => {
  const options = (text: string) => ({
    model: 'tiny',
    output: 'run',
    resume: false,
    settings: parseSettings({}),
    task: { task: 'a.tsv', text },
  })

  it('options of 12,000 characters can be read back from config.json', () => {
    const { model, task, settings } = options('x'.repeat(12_000))
    expect(() => checkStorable(options('x'.repeat(12_000)))).not.toThrow()
    expect(parseRunConfig(JSON.stringify({ formatVersion: runFormatVersion, model, task, settings }), 'config.json').task).toEqual(task)
  })

  it('are refused before the first step if config.json could not be read back', () => {
    expect(() => checkStorable(options('x'.repeat(100_001)))).toThrow(InputError)
    expect(() => checkStorable(options('x'.repeat(100_001)))).toThrow(
      'run/config.json: expected the config.json of a run whose task.text is a text of at most 100000 characters, got "xxx',
    )
  })
})
