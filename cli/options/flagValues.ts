/** Values of flags and of --config files: text becomes numbers and lists, and each mistake names its flag or its file. */
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { parseJson, readText } from '../../accelerated/storage/boundedJson.js'
import { decimal } from '../../finetuning/data/dataset.js'
import type { RunConfig } from '../../finetuning/runs/run.js'
import { parseRunConfig, runFileLimit } from '../../finetuning/runs/runFiles.js'
import { flagOf } from './flagNames.js'
import type { SettingKind } from '../../accelerated/settings/setting.js'
import type { Flag } from './trainFlags.js'
import { trainFlags } from './trainFlags.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

export type Values = Readonly<Record<string, unknown>>

/** What commander collected, each in its kind; flags that were not given are absent. */
export const flagValues = (given: Values, flags: ReadonlyArray<Flag> = trainFlags): Values =>
  Object.fromEntries(
    flags.filter(({ name }) => given[name] !== undefined).map(({ name, kind }) => [name, parsedFlag(flagOf(name), kind, given[name])]),
  )

const parsedFlag = (where: string, kind: SettingKind, written: unknown): unknown => {
  if (kind === 'switch') return written === true
  const text = String(written)
  if (kind === 'number') return numberOf(where, text)
  if (kind === 'list') return listOf(where, text)
  if (text === '') throw usageError(where, 'a value', 'an empty one')
  return text
}

export const numberOf = (where: string, text: string): number => {
  const value = decimal(text)
  if (value === null) throw usageError(where, 'a number', quoted(text))
  return value
}

export const listOf = (where: string, text: string): ReadonlyArray<string> => {
  const parts = text.split(',').map((part) => part.trim())
  if (parts.includes('')) throw usageError(where, 'names with a comma between them', quoted(text))
  return parts
}

/** One of `known`; null where the flag was not given. */
export const choiceOf = <T extends string>(given: Values, name: string, known: ReadonlyArray<T>): T | null => {
  if (given[name] === undefined) return null
  const found = known.find((one) => one === given[name])
  if (found === undefined) throw usageError(flagOf(name), `one of ${known.join(', ')}`, quoted(String(given[name])))
  return found
}

const kinds: Readonly<Record<SettingKind, { readonly expected: string; readonly is: (value: unknown) => boolean }>> = {
  text: { expected: 'a string', is: (value) => typeof value === 'string' && value !== '' },
  number: { expected: 'a number', is: (value) => typeof value === 'number' || value === null },
  list: {
    expected: 'a list of strings',
    is: (value) => value === null || (Array.isArray(value) && value.every((part) => typeof part === 'string')),
  },
  file: { expected: 'a file name', is: (value) => typeof value === 'string' && value !== '' },
  switch: { expected: 'true or false', is: (value) => typeof value === 'boolean' },
}

/**
 * The object in a --config file, or of a run's own config.json the model, the task and the settings. Throws Mistake: it cannot be read, is no
 * object, has a key that no flag has, or a value of another kind.
 */
export const configValues = async (file: string): Promise<Values> => {
  const json = parseJson(await readText(file, runFileLimit), file)
  if (typeof json !== 'object' || json === null || Array.isArray(json))
    throw inputError(file, 'an object of settings', quoted(JSON.stringify(json)))
  const ofRun = 'settings' in json && 'task' in json && typeof json.task === 'object'
  const values = ofRun ? valuesOf(parseRunConfig(JSON.stringify(json), file)) : (json as Values)
  for (const [name, value] of Object.entries(values)) {
    const known = trainFlags.find((flag) => flag.name === name)
    if (known === undefined) throw inputError(file, 'settings of salora train in camelCase (its --help lists the flags)', quoted(name))
    const { expected, is } = kinds[known.kind]
    // as a run has them, settings are resolved: a file's content stands there in its place
    if (!ofRun && !is(value)) throw inputError(file, `${expected} for ${name}`, JSON.stringify(value))
  }
  return values
}

/** A run's choices by the names of flags. */
export const valuesOf = ({ model, adapter, task, settings }: RunConfig): Values => ({ model, adapter, ...task, ...settings })
