/** Settings of a fine-tuning run, resolved and checked: those that every run has and those of its method. Names are those of the flags, in camelCase. */
import { z } from 'zod'
import { commonSettings, type CommonSettings } from '../settings/commonSettings.js'
import { method as defaultMethod } from '../settings/defaults.js'
import { quoted } from '../errors/inputError.js'
import { didYouMean } from '../errors/nearest.js'
import { zodErrorMap } from '../errors/validate.js'
import { checkLearningRate } from './learningRate.js'
import { methods } from '../methods/index.js'
import type { SettingsInput } from '../settings/settingsInput.js'
import type { Method } from '../methods/method.js'
import type { SettingTable } from '../settings/setting.js'
import { SettingsError } from '../errors/expectedErrors.js'
import { option, words } from '../errors/words.js'

/** Every setting of a run. Those of other methods are absent. */
export type Settings = Omit<SettingsInput, CommonName> & Required<Pick<SettingsInput, CommonName>>
type CommonName = keyof CommonSettings | 'method'

const table: readonly Method[] = methods

/** @throws SettingsError for a name that no method has */
export const findMethod = (name: unknown): Method => {
  const method = table.find((one) => one.name === name)
  if (method === undefined) {
    const names = table.map((one) => one.name)
    throw new SettingsError('method', `one of ${names.join(', ')}`, JSON.stringify(name), didYouMean(String(name), names))
  }
  return method
}

/** The settings that a run of this method has, by name. */
export const buildSettingTable = ({ settings }: Method): SettingTable => ({ ...settings, ...commonSettings })

/** Every setting of every method, by name: what flags there are. */
export const allSettings: SettingTable = Object.assign({}, ...table.map(buildSettingTable))

/** Validates settings and fills in defaults; the method's is LoRA. @throws SettingsError for the first setting that is wrong, or that is not one of the method */
export const resolveSettings = (input: SettingsInput): Settings => parseSettings(input)

/** The same for values of unknown types: of a file, or of flags. @throws SettingsError for the first setting that is wrong, or that is not one of the method */
export const parseSettings = ({ method: name = defaultMethod.value, ...values }: Readonly<Record<string, unknown>>): Settings => {
  const method = findMethod(name)
  const definitions = buildSettingTable(method)
  const foreign = Object.entries(values).find(([key]) => !Object.hasOwn(definitions, key))
  if (foreign !== undefined) {
    const others = table.filter(({ settings }) => Object.hasOwn(settings, foreign[0])).map((other) => other.name)
    const got = JSON.stringify(foreign[1]) ?? 'nothing'
    if (others.length === 0) {
      const remedy = didYouMean(foreign[0], ['method', ...Object.keys(allSettings)])
      throw new SettingsError('settings', 'a setting of this version', quoted(foreign[0]), remedy)
    }
    const remedy = words`it belongs to ${others.join(', ')}: use ${option('method')} ${others[0] ?? ''}`
    throw new SettingsError(foreign[0], `a setting of method ${method.name}`, got, remedy)
  }
  const schema = z.object(Object.fromEntries(Object.entries(definitions).map(([key, setting]) => [key, setting.schema])))
  const parsed = schema.safeParse(values, { error: zodErrorMap })
  if (parsed.success) {
    const settings = { method: name, ...parsed.data } as Settings
    checkLearningRate(settings)
    method.check?.(settings, null)
    return settings
  }
  const issue = parsed.error.issues[0] as z.core.$ZodIssue // a refused value has an issue
  const setting = String(issue.path[0] ?? '')
  const value = values[setting]
  const remedy = didYouMean(String(value), allowedValues(issue))
  throw new SettingsError(setting, issue.message, JSON.stringify(value) ?? 'nothing', remedy)
}

/** The values that a setting may have, where they are listed. */
const allowedValues = (issue: z.core.$ZodIssue): readonly string[] => {
  if (issue.code === 'invalid_value') return issue.values.map(String)
  return issue.code === 'invalid_union' ? issue.errors.flat().flatMap(allowedValues) : []
}
