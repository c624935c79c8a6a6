/** The flags of generation, and the request that they make. */
import { SettingsError } from '../../accelerated/errors/expectedErrors.js'
import { generationSettings, resolveGeneration, type GenerationInput } from '../../accelerated/generation/generationSettings.js'
import { repeatableFlag } from '../../finetuning/commandLine/flag.js'
import { asFlag } from '../../finetuning/commandLine/optionNames.js'
import { UsageError } from '../../finetuning/commandLine/usageError.js'
import { dropUndefined, settingFlags, type Values } from './settingFlags.js'

export const generationFlags = settingFlags(generationSettings)

export const stopFlags = { stop: repeatableFlag('text', 'Stop at this text, and leave it out; may be repeated') }

/** The settings of generation among the flags. @throws UsageError */
export const generationRequest = (flags: Values): Partial<GenerationInput> => {
  const settings: Partial<GenerationInput> = dropUndefined(
    Object.fromEntries(Object.keys(generationSettings).map((name) => [name, flags[name]])),
  )
  try {
    resolveGeneration(settings)
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    throw new UsageError(error.lineIn(asFlag))
  }
  return settings
}
