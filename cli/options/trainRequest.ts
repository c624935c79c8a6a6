/** From flags, a --config file and (with --resume) the run's own config.json to the options of one fine-tuning run. */
import { join } from 'node:path'
import { inputError, shown } from '../../accelerated/errors/inputError.js'
import type { Settings } from '../../accelerated/training/settings.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { allSettings, methodOf, resolveSettings } from '../../accelerated/training/settings.js'
import { SettingsError } from '../../accelerated/errors/settingsError.js'
import { isPart, taskFlags, taskNames, type TaskOptions } from '../../finetuning/tasks/index.js'
import { placed } from '../../finetuning/runs/absolutePath.js'
import type { FinetuneOptions } from '../../finetuning/runs/run.js'
import { readRankPattern } from '../../finetuning/adapters/rankPattern.js'
import { readRunConfig } from '../../finetuning/runs/runFiles.js'
import { flagOf, inFlags, settingNames } from './flagNames.js'
import { configValues, flagValues, valuesOf, type Values } from './flagValues.js'
import { presetOf } from './presets.js'
import { usageError, UsageError } from '../../finetuning/commandLine/usageError.js'

export const taskFlagNames: ReadonlyArray<string> = ['task', 'evalData', 'positiveLabel', ...taskFlags.map(({ name }) => name)]

/** One run as it was asked for; `output` is null where a folder of its own is to be found for it. */
export type TrainRequest = Omit<FinetuneOptions, 'output'> & { readonly output: string | null }

/** @param given what commander collected. @throws UsageError, SettingsError or Mistake with one line */
export const trainRequest = async (given: Values): Promise<TrainRequest> => {
  const flags = flagValues(given)
  const file = typeof given['config'] === 'string' ? given['config'] : null
  const fromFile = file === null ? {} : await configValues(file)
  const resume = (flags['resume'] ?? fromFile['resume']) === true
  const output = textOf(flags['output'] ?? fromFile['output'])
  if (resume && output === null) throw usageError('--output', 'the folder of the run to resume', 'none given')
  const pattern = await patternOf(flags['rankPattern'] ?? fromFile['rankPattern'])
  // a pattern stands where it was named: in the file below the file's own settings, as a flag above them
  const [below, above] = 'rankPattern' in flags ? [{}, pattern] : [pattern, {}]
  const earlier = resume && output !== null ? await valuesOfRun(output) : {}
  const method = flags['method'] ?? fromFile['method'] ?? earlier['method']
  if (earlier['method'] !== undefined && earlier['method'] !== method)
    throw inputError(
      join(output ?? '', 'config.json'),
      'the settings that the run began with',
      `method was ${JSON.stringify(earlier['method'])} and is ${JSON.stringify(method)}`,
    )
  const values: Values = {
    ...earlier,
    ...lengthOf({ ...fromFile, ...flags }),
    ...presetOf(flags['preset'] ?? fromFile['preset'], knownMethod(method), String(flags['task'] ?? fromFile['task'] ?? earlier['task'])),
    ...below,
    ...fromFile,
    ...above,
    ...flags,
    ...('rankPattern' in pattern ? { rankPattern: pattern['rankPattern'] } : {}),
  }

  if (resume && values['model'] === undefined)
    throw inputError(`--output ${output}`, 'the folder of a run to resume (or the flags of a new one)', 'no config.json there')
  const model = textOf(values['model'])
  if (model === null) throw usageError('--model', 'a folder in Hugging Face layout or a hub id', 'none given')
  const task = taskOptions(values)
  const settings = settingsOf(values, (name) => (name in flags || file === null || !(name in fromFile) ? null : file))
  const adapter = textOf(values['adapter'])
  const begun = adapter === null ? {} : { adapter: placed(adapter) }
  const seen = values['tensorboard'] === true ? { tensorboard: true } : {}
  return { model: placed(model), ...begun, task, output, resume, settings, ...seen }
}

/** Names of the settings among `values`, resolved. `fileOf` tells which file a setting came from, null for a flag. */
export const settingsOf = (values: Values, fileOf: (name: string) => string | null = () => null): Settings => {
  const given = Object.fromEntries(Object.entries(values).filter(([name]) => settingNames.includes(name)))
  try {
    return resolveSettings(given as SettingsInput)
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    const { setting, expected } = error
    const found = setting in given ? shown(given[setting]) : `the default ${shown(allSettings[setting]?.schema.parse(undefined))}`
    const file = fileOf(setting)
    if (file !== null) throw new UsageError(`${file}: ${setting}: expected ${expected}, got ${found}`)
    throw new UsageError(`${flagOf(setting)}: expected ${inFlags(expected)}, got ${found}`)
  }
}

/** Where the examples are. Paths are made absolute, so that a run can be evaluated and resumed from anywhere. */
export const taskOptions = (values: Values): TaskOptions => {
  const task = textOf(values['task'])
  if (task === null) throw usageError('--task', 'the name of a task or a file of examples', 'none given')
  const problem = values['problemType']
  if (problem !== undefined && !['classification', 'regression', 'multi-label'].includes(String(problem)))
    throw usageError('--problem-type', 'classification, regression or multi-label', JSON.stringify(problem))
  const given = [...taskFlagNames, 'metricForBestModel']
    .filter((name) => values[name] !== undefined)
    .map((name) => [name, values[name]] as const)
  // a task, or a part of its data, that has a name is meant by it, whatever lies here under that name
  const isPath = (name: string, value: unknown): boolean =>
    name === 'data' || (name === 'evalData' && !isPart(task, String(value))) || (name === 'task' && !taskNames.includes(String(value)))
  return Object.fromEntries(given.map(([name, value]) => [name, isPath(name, value) ? placed(String(value)) : value])) as TaskOptions
}

const textOf = (value: unknown): string | null => (typeof value === 'string' ? value : null)

/** A number of epochs that is asked for stands in the place of the steps that a run was given before. */
const lengthOf = (asked: Values): Values => (asked['epochs'] !== undefined && asked['maxSteps'] === undefined ? { maxSteps: null } : {})

/** The name of a method that there is; null where none is asked for, so that a preset may say which. @throws SettingsError */
const knownMethod = (method: unknown): string | null => (method === undefined ? null : methodOf(method).name)

/** The settings that a rank pattern's file stands for. */
const patternOf = async (file: unknown): Promise<Values> => (typeof file === 'string' ? readRankPattern(file) : {})

const valuesOfRun = async (output: string): Promise<Values> => {
  const earlier = await readRunConfig(output)
  return earlier === null ? {} : valuesOf(earlier)
}
