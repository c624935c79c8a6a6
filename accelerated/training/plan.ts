/** How long a run is, and whether its settings fit model and method. */
import { mostSteps, type CommonSettings } from '../commonSettings.js'
import type { Method } from '../methods/method.js'
import type { Model } from '../models/architecture.js'
import { noVirtualTokens } from '../models/packing.js'
import { SettingsError } from '../settingsError.js'

export type Plan = { readonly steps: number; readonly stepsPerEpoch: number }

/** @throws SettingsError where the settings leave no step for a phase of the method, or no position for a token */
export const planOf = (method: Method, settings: CommonSettings, model: Model, examples: number): Plan => {
  const { maxSteps, epochs, batchSize, accumulate } = settings
  const stepsPerEpoch = Math.ceil(examples / (batchSize * accumulate))
  const steps = maxSteps ?? Math.max(1, Math.round(epochs * stepsPerEpoch))
  if (steps > mostSteps) throw new SettingsError('epochs', `at most ${mostSteps} steps of ${stepsPerEpoch} an epoch`, String(epochs))
  method.check?.(settings, steps)
  const { positions, virtualTokens, left, told } = roomFor(method, settings, model)
  if (virtualTokens > 0 && left < shortestText)
    throw new SettingsError(
      'virtualTokens',
      `at most ${positions - shortestText}, which leave ${shortestText} of the model's ${positions} positions to a text`,
      String(virtualTokens),
    )
  if (settings.maxLength > left) throw new SettingsError('maxLength', `at most ${told}`, String(settings.maxLength))
  return { steps, stepsPerEpoch }
}

/** Tokens of the shortest text: one between two special ones. */
export const shortestText = 3

/** The model's positions, those that the method's virtual tokens take, and those left for an example's own tokens, in words too. */
export const roomFor = (method: Method, settings: CommonSettings, { outline: { longestInput: positions } }: Model) => {
  const { count: virtualTokens } = method.virtualTokens?.(settings) ?? noVirtualTokens
  const left = positions - virtualTokens
  const told =
    virtualTokens === 0
      ? `the model's ${positions} positions`
      : `the ${left} of the model's ${positions} positions that ${virtualTokens} virtual tokens leave`
  return { positions, virtualTokens, left, told } as const
}
