/**
 * Rows by the names of --methods: a method (`lora`), a method with a rank (`lora-4`), or one with settings (`salora:retain=random:beta=0.2`).
 * With a rank, alpha is twice the rank, so that the scale stays.
 */
import { methods } from '../../accelerated/methods/index.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { Setting } from '../../accelerated/settings/setting.js'
import { methodOf, settingsOfMethod } from '../../accelerated/training/settings.js'
import type { MethodName, SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { flagOf } from '../../finetuning/commandLine/shell.js'
import { decimal } from '../../finetuning/data/dataset.js'
import type { Row } from './sweep.js'

const names: ReadonlyArray<string> = methods.map(({ name }) => name)

/** @throws InputError for an unknown method, a rank of a method without one, or an unknown setting */
export const rowOf = (name: string): Row => {
  const [method = '', ...changes] = name.split(':')
  const settings = methodSettings(method)
  if (settings === null)
    throw inputError('--methods', `one or more of ${names.join(', ')}, or a low-rank method with a rank such as lora-4`, quoted(name))
  const overrides = Object.fromEntries(changes.map((change) => parseChange(name, settings.method ?? '', change)))
  return { name, settings, ...(changes.length > 0 ? { overrides } : {}) }
}

/** α = 2r, the ratio of the default r = 8 and α = 16. */
export const withRank = (method: MethodName, rank: number): SettingsInput => ({ method, rank, loraAlpha: 2 * rank })

/** null for an unknown name */
const methodSettings = (name: string): SettingsInput | null => {
  if (names.includes(name)) return { method: name as MethodName }
  const [, method = '', rank = ''] = /^([a-z]+)-([1-9]\d{0,3})$/.exec(name) ?? []
  const settings = methods.find((one) => one.name === method)?.settings
  return settings !== undefined && Object.hasOwn(settings, 'rank') ? withRank(method as MethodName, Number(rank)) : null
}

/** `learning-rate=1e-4`, by the name of the flag. The range of the value is checked with all settings. */
const parseChange = (row: string, method: string, change: string): readonly [string, unknown] => {
  const [, flag = '', value = ''] = /^([a-z][a-z0-9-]*)=(.+)$/.exec(change) ?? []
  const entry = Object.entries(settingsOfMethod(methodOf(method))).find(([name]) => flagOf(name) === `--${flag}`)
  if (entry === undefined || entry[0] === 'seed' || entry[1].kind === 'file')
    throw inputError('--methods', `settings of ${method} after a colon, such as ${method}:learning-rate=1e-4`, quoted(row))
  return [entry[0], parseValue(row, entry[1], value)]
}

const parseValue = (row: string, { kind }: Setting, value: string): unknown => {
  if (kind === 'number') {
    const number = decimal(value)
    if (number === null) throw inputError('--methods', 'a number after =', quoted(row))
    return number
  }
  if (kind === 'list') return value.split('+')
  if (kind === 'switch') {
    if (value !== 'true' && value !== 'false') throw inputError('--methods', 'true or false after =', quoted(row))
    return value === 'true'
  }
  return value
}
