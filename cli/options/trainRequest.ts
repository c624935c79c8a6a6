/** From flags, a --config file and (with --resume) the run's config.json to the options of one fine-tuning run. */
import { join } from 'node:path'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { adapterSettings } from '../../accelerated/formats/index.js'
import { methods } from '../../accelerated/methods/index.js'
import { readRankPattern } from '../../finetuning/use/rankPattern.js'
import { parseChoice, parseList } from '../../finetuning/commandLine/flag.js'
import { requiredError } from '../../finetuning/commandLine/usageError.js'
import { exchanges } from '../../finetuning/machines/exchange.js'
import { readRedisAddress } from '../../finetuning/machines/redis.js'
import { absoluteModel, absolutePath } from '../../finetuning/run/absolutePath.js'
import type { RunOptions, RunConfig } from '../../finetuning/run/run.js'
import { readRunConfig, parseRunConfig, runFileLimit } from '../../finetuning/run/runFiles.js'
import type { SamplePrompt } from '../../finetuning/run/samplePrompts.js'
import { trackerNames } from '../../finetuning/run/tracking/service.js'
import { readSamplePrompts } from '../input/promptInput.js'
import { layer, merged, resolveLayers, type Layer } from './precedence.js'
import { presetValues } from './presets.js'
import { dropUndefined, type Values } from './settingFlags.js'
import { taskOptions } from './taskRequest.js'
import type { SettingKind } from '../../accelerated/settings/setting.js'
import { parseJson } from '../../accelerated/storage/json.js'
import { readText } from '../../accelerated/storage/text.js'
import { suggestSetting } from './suggestions.js'
import { configKinds } from './trainFlags.js'

/** One run as requested; `output` is null where the run gets a new folder. */
export type TrainRequest = Omit<RunOptions, 'output'> & { readonly output: string | null }

/**
 * @param flags parsed flags of `train`, by name
 * @param defaults values below all others
 * @throws UsageError, SettingsError or InputError with one line
 */
export const trainRequest = async (flags: Values, defaults: Values = {}): Promise<TrainRequest> => {
  const layers = await collectLayers(dropUndefined(flags), defaults)
  const values = merged(layers)
  const output = asString(values['output'])
  const resume = values['resume'] === true
  const model = asString(values['model'])
  if (resume && model === null)
    throw inputError(`--output ${output}`, 'the folder of a run to resume (or the flags of a new one)', 'no config.json there')
  if (model === null) throw requiredError('--model', 'a folder in Hugging Face layout, a hub id, or embedded')
  const [adapter, samplePrompts, metric] = ['adapter', 'samplePrompts', 'metric'].map((name) => asString(values[name])) as [
    string | null,
    string | null,
    string | null,
  ]
  return {
    model: absoluteModel(model),
    ...(adapter === null ? {} : { adapter: absolutePath(adapter) }),
    task: taskOptions(values),
    output,
    resume,
    settings: resolveLayers(layers),
    ...reportOptions(values),
    ...(metric === null ? {} : { metric: absolutePath(metric) }),
    ...(await machineOptions(values)),
    ...(samplePrompts === null ? {} : { samplePrompts: (await readSamplePrompts(samplePrompts)).map(asLine) }),
  }
}

/** {"prompt": TEXT} is what TEXT is as a line of its own. */
const asLine = (prompt: SamplePrompt): SamplePrompt => (typeof prompt === 'object' && 'text' in prompt ? prompt.text : prompt)

/** --redis and --exchange. @throws UsageError for another type; InputError for another address, or if an optional package is missing */
const machineOptions = async ({ redis, exchange }: Values): Promise<Pick<RunOptions, 'redis' | 'exchange'>> => ({
  ...(typeof redis === 'string' ? { redis: await readRedisAddress(redis) } : {}),
  ...(typeof exchange === 'string' ? { exchange: parseChoice('--exchange', exchange, exchanges) } : {}),
})

/** --tensorboard and --report-to. @throws UsageError for an unknown name */
const reportOptions = ({ tensorboard, reportTo }: Values): Pick<RunOptions, 'tensorboard' | 'reportTo'> => {
  const names = typeof reportTo === 'string' ? parseList('--report-to', reportTo) : []
  const chosen = names.map((name) => parseChoice('--report-to', name, [...trackerNames, 'tensorboard'] as const))
  const trackers = trackerNames.filter((name) => chosen.includes(name))
  return {
    ...(tensorboard === true || chosen.includes('tensorboard') ? { tensorboard: true } : {}),
    ...(trackers.length > 0 ? { reportTo: trackers } : {}),
  }
}

/** The adapter < the earlier run < the preset < the rank pattern < the --config file < flags. A pattern ranks directly below what names it. */
const collectLayers = async (flags: Values, defaults: Values): Promise<readonly Layer[]> => {
  const file = asString(flags['config'])
  const config = file === null ? {} : await configValues(file)
  const asked = { ...defaults, ...config, ...flags }
  const earlier = await earlierRun(asked)
  checkName([layer(null, defaults), layer(file, config), layer(null, flags)])
  const method = asked['method'] ?? earlier.values['method']
  checkMethod(earlier, method)
  const task = String(asked['task'] ?? earlier.values['task'])
  const adapter = asked['resume'] === true ? null : asString(asked['adapter'])
  return [
    layer(null, defaults),
    ...(adapter === null ? [] : [layer(`--adapter ${adapter}`, await adapterSettings(absolutePath(adapter), { ...asked, method }))]),
    earlier,
    layer(null, overrideMaxSteps(asked)),
    layer(`--preset ${asked['preset']}`, presetValues(asked['preset'], method === undefined ? null : String(method), task)),
    ...(await withPattern(layer(file, config))),
    ...(await withPattern(layer(null, flags))),
  ]
}

/** The values of the run to resume. */
const earlierRun = async (asked: Values): Promise<Layer> => {
  if (asked['resume'] !== true) return layer(null, {})
  const output = asString(asked['output'])
  if (output === null) throw requiredError('--output', 'the folder of the run to resume')
  const config = await readRunConfig(output)
  return layer(join(output, 'config.json'), config === null ? {} : runValues(config))
}

/** A preset must not hide an unknown method. @throws UsageError that names its source */
const checkName = (layers: readonly Layer[]): void => {
  const { method } = merged(layers)
  if (method !== undefined && !methods.some(({ name }) => name === method))
    resolveLayers(layers.map(({ source, values }) => layer(source, { method: values['method'] })))
}

/** A run cannot be resumed with another method. @throws InputError */
const checkMethod = ({ source, values: { method: before } }: Layer, method: unknown): void => {
  if (before !== undefined && before !== method)
    throw inputError(
      source ?? '',
      'the settings that the run began with',
      `method was ${JSON.stringify(before)} and is ${JSON.stringify(method)}`,
    )
}

/** --epochs replaces the --max-steps that a run began with. */
const overrideMaxSteps = (asked: Values): Values =>
  asked['epochs'] !== undefined && asked['maxSteps'] === undefined ? { maxSteps: null } : {}

/** The ranks in the file that --rank-pattern names, above the other settings of that file. */
const withPattern = async ({ source, values }: Layer): Promise<readonly Layer[]> => {
  const { rankPattern: file } = values
  if (typeof file !== 'string') return [layer(source, values)]
  const { rankPattern, ...others } = await readRankPattern(file)
  return [layer(file, others), layer(source, { ...values, rankPattern })]
}

const asString = (value: unknown): string | null => (typeof value === 'string' ? value : null)

/** Values of --config files and of run folders, by the names of flags in camelCase. */
const isText = (value: unknown): boolean => typeof value === 'string' && value !== ''

const kinds: Readonly<Record<SettingKind, { readonly expected: string; readonly accepts: (value: unknown) => boolean }>> = {
  text: { expected: 'a string', accepts: isText },
  number: { expected: 'a number', accepts: (value) => typeof value === 'number' || value === null },
  textOrNumber: { expected: 'a string or a number', accepts: (value) => isText(value) || typeof value === 'number' },
  list: {
    expected: 'a list of strings',
    accepts: (value) =>
      value === null || (Array.isArray(value) && value.every((part) => typeof part === 'string' || typeof part === 'number')),
  },
  file: { expected: 'a file name', accepts: isText },
  switch: { expected: 'true or false', accepts: (value) => typeof value === 'boolean' },
}

/**
 * The object in a --config file, or the model, the task and the settings of a run's config.json.
 * @throws InputError if the file cannot be read, holds no object, has an unknown key or a value of another kind
 */
const configValues = async (file: string): Promise<Values> => {
  const json = parseJson(await readText(file, runFileLimit), file)
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw inputError(file, 'an object of settings', quoted(JSON.stringify(json)))
  const isRun = 'settings' in json && 'task' in json && typeof json.task === 'object'
  const values = isRun ? runValues(parseRunConfig(JSON.stringify(json), file)) : (json as Values)
  for (const [name, value] of Object.entries(values)) {
    const kind = Object.hasOwn(configKinds, name) ? configKinds[name] : undefined
    if (kind === undefined)
      throw inputError(
        file,
        `a setting of salora train in camelCase (${suggestSetting(name, Object.keys(configKinds)) ?? 'see salora train --help-all'})`,
        quoted(name),
      )
    const { expected, accepts } = kinds[kind]
    // a run's settings are resolved: they hold a file's content in place of its name
    if (!isRun && !accepts(value)) throw inputError(file, `${expected} for ${name}`, JSON.stringify(value))
  }
  return values
}

/** A run's choices by the names of flags. */
const runValues = ({ model, adapter, task, settings }: RunConfig): Values => ({ model, adapter, ...task, ...settings })
