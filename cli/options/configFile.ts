/** Values of --config files and of run folders, by the names of flags in camelCase. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { SettingKind } from '../../accelerated/settings/setting.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import type { RunConfig } from '../../finetuning/runs/run.js'
import { parseRunConfig, runFileLimit } from '../../finetuning/runs/runFiles.js'
import { suggestSetting } from './suggestions.js'
import { configKinds } from './trainFlags.js'
import type { Values } from './settingFlags.js'

const isText = (value: unknown): boolean => typeof value === 'string' && value !== ''

const kinds: Readonly<Record<SettingKind, { readonly expected: string; readonly accepts: (value: unknown) => boolean }>> = {
  text: { expected: 'a string', accepts: isText },
  number: { expected: 'a number', accepts: (value) => typeof value === 'number' || value === null },
  list: {
    expected: 'a list of strings',
    accepts: (value) => value === null || (Array.isArray(value) && value.every((part) => typeof part === 'string')),
  },
  file: { expected: 'a file name', accepts: isText },
  switch: { expected: 'true or false', accepts: (value) => typeof value === 'boolean' },
}

/**
 * The object in a --config file, or the model, the task and the settings of a run's config.json.
 * @throws InputError if the file cannot be read, holds no object, has an unknown key or a value of another kind
 */
export const configValues = async (file: string): Promise<Values> => {
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
export const runValues = ({ model, adapter, task, settings }: RunConfig): Values => ({ model, adapter, ...task, ...settings })
