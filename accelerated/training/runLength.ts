/** How long a run is, and whether its settings fit model and method. */
import { maxRunSteps, type CommonSettings } from '../settings/commonSettings.js'
import type { Method } from '../methods/method.js'
import type { Model } from '../models/architecture.js'
import { noVirtualTokens } from '../models/packing.js'
import { SettingsError } from '../errors/settingsError.js'

export type RunLength = { readonly steps: number; readonly stepsPerEpoch: number }

/** @throws SettingsError where the settings leave no step for a phase of the method, or no position for a token */
export const runLength = (method: Method, settings: CommonSettings, model: Model, examples: number): RunLength => {
  const { maxSteps, epochs, batchSize, gradientAccumulationSteps } = settings
  const stepsPerEpoch = Math.ceil(examples / (batchSize * gradientAccumulationSteps))
  const steps = maxSteps ?? Math.max(1, Math.round(epochs * stepsPerEpoch))
  if (steps > maxRunSteps) throw new SettingsError('epochs', `at most ${maxRunSteps} steps of ${stepsPerEpoch} an epoch`, String(epochs))
  method.check?.(settings, steps)
  const { positions, virtualTokens, left, told } = availablePositions(method, settings, model)
  if (virtualTokens > 0 && left < shortestText)
    throw new SettingsError(
      'numVirtualTokens',
      `at most ${positions - shortestText}, which leave ${shortestText} of the model's ${positions} positions to a text`,
      String(virtualTokens),
    )
  if (settings.maxLength > left) throw new SettingsError('maxLength', `at most ${told}`, String(settings.maxLength))
  return { steps, stepsPerEpoch }
}

/** Tokens of the shortest text: one between two special ones. */
export const shortestText = 3

/** The model's positions, those that the method's virtual tokens take, and those left for an example's own tokens, in words too. */
export const availablePositions = (method: Method, settings: CommonSettings, { spec: { maxPositions: positions } }: Model) => {
  const { count: virtualTokens } = method.train.virtualTokens?.(settings) ?? noVirtualTokens
  const left = positions - virtualTokens
  const told =
    virtualTokens === 0
      ? `the model's ${positions} positions`
      : `the ${left} of the model's ${positions} positions that ${virtualTokens} virtual tokens leave`
  return { positions, virtualTokens, left, told } as const
}
