/** The flags of `generate`: those of its settings, which bring their help, and texts to stop at. */
import type { Command } from 'commander'
import { generationSettings, resolveGeneration, type GenerationInput } from '../../accelerated/generation/settings.js'
import { SettingsError } from '../../accelerated/errors/settingsError.js'
import { flagOf } from './flagNames.js'
import { flagValues, type Values } from './flagValues.js'
import { flagsOf } from './trainFlags.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

const flags = flagsOf(generationSettings)

/** @param only the settings that a command has, of which texts to stop at are none; null: all, and these */
export const addGenerationFlags = (command: Command, only: ReadonlyArray<string> | null = null): Command => {
  command.optionsGroup('Answers:')
  for (const { name, takes, help } of flags) if (only === null || only.includes(name)) command.option(`${flagOf(name)} <${takes}>`, help)
  if (only !== null) return command
  return command.option(
    '--stop <text>',
    'that ends an answer, and is left out of it; may be given more than once',
    (text: string, others: ReadonlyArray<string> = []) => [...others, text],
  )
}

export type GenerationRequest = Partial<GenerationInput> & { readonly stop: ReadonlyArray<string> }

/** @throws UsageError for a setting that is wrong */
export const generationRequest = (given: Values): GenerationRequest => {
  const stop: ReadonlyArray<unknown> = Array.isArray(given['stop']) ? given['stop'] : []
  const settings: Partial<GenerationInput> = flagValues(given, flags)
  if (stop.includes('')) throw usageError('--stop', 'a text', 'an empty one')
  try {
    resolveGeneration(settings)
  } catch (error) {
    if (!(error instanceof SettingsError)) throw error
    throw usageError(flagOf(error.setting), error.expected.replace(/\b(topK|topP)\b/, flagOf), error.got)
  }
  return { ...settings, stop: stop.map(String) }
}
