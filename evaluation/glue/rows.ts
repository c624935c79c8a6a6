/**
 * Rows by the names of --methods: a method; perhaps with a rank, as `lora-4`, whose alpha is twice the rank so that the scale stays; perhaps with
 * settings of its own, as `salora:retain=random:beta=0.2`.
 */
import { methods } from '../../accelerated/methods/index.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import type { Setting } from '../../accelerated/settings/setting.js'
import { methodOf, settingsOfMethod, type SettingsInput } from '../../accelerated/training/settings.js'
import { flagOf } from '../../finetuning/commandLine/shell.js'
import { decimal } from '../../finetuning/data/dataset.js'
import type { Row } from './sweep.js'

const names: ReadonlyArray<string> = methods.map(({ name }) => name)

/** @throws Mistake for a name that no method has, a rank for a method without one, or a setting that it has not */
export const rowOf = (name: string): Row => {
  const [method = '', ...changes] = name.split(':')
  const settings = methodIn(method)
  if (settings === null)
    throw inputError('--methods', `some of ${names.join(', ')}, and of those with a rank also such as lora-4`, quoted(name))
  const own = Object.fromEntries(changes.map((change) => changeOf(name, settings.method ?? '', change)))
  return { name, settings, ...(changes.length > 0 ? { own } : {}) }
}

/** α = 2r, as r = 8 has it. */
export const withRank = (method: string, rank: number): SettingsInput => ({ method, rank, loraAlpha: 2 * rank })

const methodIn = (name: string): SettingsInput | null => {
  if (names.includes(name)) return { method: name }
  const [, method = '', rank = ''] = /^([a-z]+)-([1-9]\d{0,3})$/.exec(name) ?? []
  const found = methods.find((one) => one.name === method)
  return found !== undefined && Object.hasOwn(found.settings, 'rank') ? withRank(method, Number(rank)) : null
}

/** `learning-rate=1e-4`, by the name of the flag; its value is checked where all settings are. */
const changeOf = (row: string, method: string, change: string): readonly [string, unknown] => {
  const [, flag = '', value = ''] = /^([a-z][a-z0-9-]*)=(.+)$/.exec(change) ?? []
  const known = Object.entries(settingsOfMethod(methodOf(method))).find(([name]) => flagOf(name) === `--${flag}`)
  if (known === undefined || known[0] === 'seed' || known[1].kind === 'file')
    throw inputError('--methods', `settings of ${method} behind it, such as ${method}:learning-rate=1e-4`, quoted(row))
  return [known[0], settingIn(row, known[1], value)]
}

const settingIn = (row: string, { kind }: Setting, value: string): unknown => {
  if (kind === 'number') {
    const number = decimal(value)
    if (number === null) throw inputError('--methods', 'a number behind =', quoted(row))
    return number
  }
  if (kind === 'list') return value.split('+')
  if (kind === 'switch') {
    if (value !== 'true' && value !== 'false') throw inputError('--methods', 'true or false behind =', quoted(row))
    return value === 'true'
  }
  return value
}
