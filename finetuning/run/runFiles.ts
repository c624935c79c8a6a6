/** Reads config.json and result.json of a run, and validates them within bounds: a folder may come from anyone. */
import { z } from 'zod'
import { beforeTheSetting } from '../../accelerated/settings/defaults.js'
import { inputError } from '../../accelerated/errors/inputError.js'
import { validate } from '../../accelerated/errors/validate.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { fileInFolder, joinPath } from '../../accelerated/storage/paths.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import type { RunOptions, RunConfig, RunResult } from './run.js'
import { samplePromptsSchema } from './samplePrompts.js'

/** The version of config.json: since 2 its settings have the names of the Trainer and PEFT. */
export const runFormatVersion = 2

/** The maximum bytes of either file: ranks of a thousand layers need 1 MB. */
export const runFileLimit = 16_000_000

const text = z.string().max(100_000)
const device = z.string().max(100)
const scores = z.record(text, z.number().nullable())
const count = z.int().min(0)

const extended = z
  .array(z.strictObject({ epochs: z.number().nullable(), maxSteps: count.nullable(), steps: count, after: count }))
  .max(10_000)

/** Which part of the data a cross-validation holds out. */
const fold = z.strictObject({ index: count, of: count }).refine(({ index, of }) => index < of, 'an index below the number of parts')

/** Checks only that options of a task are single values, lists of texts or a fold: loading the task checks the rest. */
export const taskSchema = z.record(text, z.union([text, z.number(), z.boolean(), z.array(z.union([text, z.number()])).max(100_000), fold]))

export const inputsSchema = z.record(text, text)

const metricFacts = { name: z.string().max(100), higherIsBetter: z.boolean() }

/** Checks only that settings are single values or lists of texts: resolving them checks the rest. */
const configSchema = z.looseObject({
  formatVersion: count,
  model: text,
  revision: text.nullish(),
  adapter: text.optional(),
  task: taskSchema,
  settings: z.record(text, z.union([text, z.number(), z.boolean(), z.null(), z.array(text).max(100_000), z.record(text, count)])),
  device: device.optional(),
  inputs: inputsSchema.optional(),
  evalOnStart: z.boolean().optional(),
  metric: z.object({ ...metricFacts, sha256: text }).optional(),
  samplePrompts: samplePromptsSchema.optional(),
  extended: extended.optional(),
  versions: z.record(text, text).optional(),
})

/** Only what identifies a run folder of an older version. */
const oldRunSchema = z.looseObject({
  formatVersion: count.optional(),
  settings: z.looseObject({}),
  task: z.looseObject({}),
  versions: z.looseObject({ salora: text }).optional(),
})

const evaluation = z.looseObject({ step: count, scores })
const resultSchema = z.looseObject({
  device,
  precision: text.optional(),
  examples: z.looseObject({ training: count, evaluation: count }),
  trainableParameters: z.record(text, count),
  modelParameters: count.optional(),
  majority: z.looseObject({ label: text, share: z.number() }).nullable(),
  best: evaluation.nullable(),
  last: evaluation,
  test: evaluation.optional(),
  folds: count.optional(),
  calibration: z.looseObject({ temperature: z.number(), rows: count, errorBefore: z.number(), errorAfter: z.number() }).optional(),
  kept: z.looseObject({ which: z.enum(['best', 'last']), step: count }).optional(),
  selectedBy: text.optional(),
  customMetric: z.object(metricFacts).optional(),
  positive: text.optional(),
  interrupted: z.boolean(),
  stepsDone: count,
  stoppedEarly: z.boolean().optional(),
  extended: extended.optional(),
  targetDensity: z.number().nullish(),
  expectedDensity: z.number().nullish(),
  retainedDensity: z.number().nullish(),
  retainedParameters: count.optional(),
  lambda: z.number().nullish(),
  budget: count.optional(),
  ranksFixedAt: count.nullish(),
  ranks: z.record(text, count).optional(),
  orthogonality: z.record(text, z.number().nullable()).optional(),
  steps: count,
  seconds: z.number(),
  peakMemoryBytes: z.number(),
  finishedAt: device.optional(),
  seed: z.number(),
  output: text,
})

/** config.json of a run, or null if the folder has none. @throws InputError if the file is invalid */
export const readRunConfig = async (output: string, storage: Storage = nodeFiles): Promise<RunConfig | null> => {
  const file = joinPath(output, 'config.json')
  return (await fileInFolder(output, 'config.json', storage)) === undefined
    ? null
    : parseRunConfig(await readText(file, runFileLimit, storage), file)
}

/** result.json of a run, or null if the folder has none. @throws InputError if the file is invalid */
export const readRunResult = async (output: string, storage: Storage = nodeFiles): Promise<RunResult | null> => {
  const file = joinPath(output, 'result.json')
  return (await fileInFolder(output, 'result.json', storage)) === undefined
    ? null
    : parseRunResult(await readText(file, runFileLimit, storage), file)
}

/** @throws InputError for options that would make config.json unreadable, such as a text that is too long */
export const checkStorable = ({ output, model, adapter, task, settings }: RunOptions): void => {
  parseRunConfig(JSON.stringify({ formatVersion: runFormatVersion, model, adapter, task, settings }), joinPath(output, 'config.json'))
}

/** Parses the text of a run's config.json. @param where the file's name in messages. @throws InputError if the text is invalid */
export const parseRunConfig = (written: string, where: string): RunConfig => {
  const config = validate(configSchema, ofThisVersion(parseJson(written, where), where), where, 'the config.json of a run')
  const settings = withHead(withoutRemoved(config.settings))
  const device = config.settings['tf32'] === true && config.device === 'cuda' ? 'cuda:tf32' : config.device
  return { ...config, ...(device === undefined ? {} : { device }), settings } as object as RunConfig
}

/** The settings of a run of an earlier revision without those that left since; the card and TF32 are in the device's name now. */
const withoutRemoved = (settings: Readonly<Record<string, unknown>>): object => {
  const {
    syncEvery,
    outerLr,
    outerMomentum,
    deviceId,
    tf32,
    strictDevice: _,
    sampleMaxNewTokens: __,
    sampleTemperature: ___,
    ...rest
  } = settings
  const card = `${typeof deviceId === 'number' && deviceId > 0 ? `:${deviceId}` : ''}${tf32 === true ? ':tf32' : ''}`
  const inRounds = syncEvery === undefined || syncEvery === 1 ? {} : { syncEvery, outerLr, outerMomentum } // such a run cannot resume
  return { ...rest, ...inRounds, ...(card === '' ? {} : { device: `cuda${card}` }) }
}

/** A run of a revision before a setting has what it did then. */
const withHead = (settings: object): object => ('seed' in settings ? { ...beforeTheSetting, ...settings } : settings)

/** @throws InputError for a run folder of an older salora, whose settings have other names */
const ofThisVersion = (json: unknown, where: string): unknown => {
  const old = oldRunSchema.safeParse(json)
  if (!old.success || old.data.formatVersion === runFormatVersion) return json
  const version = old.data.versions?.['salora'] ?? 'an earlier version'
  throw inputError(
    where,
    'a run folder of salora 0.2.0 or newer',
    `one of ${version} (its settings have other names: start a new run, or resume with that version)`,
  )
}

/** Parses the text of a run's result.json. @param where the file's name in messages. @throws InputError if the text is invalid */
export const parseRunResult = (written: string, where: string): RunResult =>
  validate(resultSchema, parseJson(written, where), where, 'the result.json of a run') as object as RunResult
