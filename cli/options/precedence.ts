/** Values from several sources, the later above the earlier: an error can name the file or the flag that a value came from. */
import { formatValue } from '../../accelerated/errors/inputError.js'
import { SettingsError } from '../../accelerated/errors/expectedErrors.js'
import { inProgram } from '../../accelerated/errors/words.js'
import type { SettingsInput } from '../../accelerated/settings/settingsInput.js'
import { allSettings, resolveSettings, type Settings } from '../../accelerated/training/resolveSettings.js'
import { asFlag } from '../../finetuning/commandLine/optionNames.js'
import { UsageError } from '../../finetuning/commandLine/usageError.js'
import { dropUndefined, type Values, settingNames } from './settingFlags.js'

/** Values of one source: a file, a preset; null: flags. */
export type Layer = { readonly source: string | null; readonly values: Values }

export const layer = (source: string | null, values: Values): Layer => ({ source, values: dropUndefined(values) })

/** The values of all layers together; a name has the value of the last layer that gives it. */
export const merged = (layers: readonly Layer[]): Values => Object.assign({}, ...layers.map(({ values }) => values))

/** The settings among the values, resolved. @throws UsageError that names the source of the wrong value */
export const resolveLayers = (layers: readonly Layer[]): Settings => {
  const given = Object.fromEntries(Object.entries(merged(layers)).filter(([name]) => settingNames.includes(name)))
  try {
    return resolveSettings(given as SettingsInput)
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    const { setting, expected, remedy } = error
    const definition = allSettings[setting] // the method has none
    const got =
      setting in given
        ? formatValue(given[setting])
        : `the default ${definition ? formatValue(definition.schema.parse(undefined)) : error.got}`
    const source = layers.findLast(({ values }) => setting in values)?.source ?? null
    const isFile = source !== null && !source.startsWith('--')
    const line = new SettingsError(setting, expected, got, remedy).lineIn(isFile ? inProgram : asFlag)
    throw new UsageError(source === null ? line : `${source}: ${line}`)
  }
}

/** The same of flags alone. @throws UsageError */
export const resolveFlags = (flags: Values): Settings => resolveLayers([layer(null, flags)])
