/** The length of a run in steps, and validation of settings against the model and the method. */
import { epochs as defaultEpochs, leastEvaluations, leastProbedSteps, leastSteps, mostEvaluations } from '../settings/defaults.js'
import { maxRunSteps, type CommonSettings } from '../settings/commonSettings.js'
import type { Method } from '../methods/method.js'
import type { Model } from '../models/architecture.js'
import { noVirtualTokens } from '../models/packing.js'
import { SettingsError } from '../errors/expectedErrors.js'

export type RunLength = {
  readonly steps: number
  readonly stepsPerEpoch: number
  /** steps between evaluations */
  readonly evalSteps: number
  /** epochs that were chosen for the size of the data; null: the settings name epochs or steps */
  readonly chosenEpochs: number | null
}

/** The epochs of a run whose settings name neither epochs nor steps: enough for this many steps. */
const epochsFor = (stepsPerEpoch: number, least: number): number => Math.max(defaultEpochs.value, Math.ceil(least / stepsPerEpoch))

/** Gates and ranks take many steps to choose, whatever the head begins with. */
const chooseLeastSteps = ({ phases }: Method, examples: number, isProbed: boolean): number =>
  isProbed && phases.advance === undefined
    ? Math.min(leastSteps.value, leastProbedSteps.value + Math.floor(examples / 5))
    : leastSteps.value

/** The steps of a run. */
export const plannedSteps = (
  { maxSteps, epochs }: Pick<CommonSettings, 'maxSteps' | 'epochs'>,
  stepsPerEpoch: number,
  least = leastSteps.value,
): number => maxSteps ?? Math.max(1, Math.round((epochs ?? epochsFor(stepsPerEpoch, least)) * stepsPerEpoch))

/**
 * One epoch. Where epochs were chosen, it may be more: a run evaluates at most `mostEvaluations` times, and from `leastEvaluations` times on scores
 * at most half as many rows as it trains on.
 */
const evalStepsFor = (chosenEpochs: number | null, stepsPerEpoch: number, examples: number, heldOut: number): number => {
  if (chosenEpochs === null) return stepsPerEpoch
  const affordable = Math.floor((chosenEpochs * examples) / (2 * heldOut)) // ∞ without held-out rows
  const evaluations = Math.min(mostEvaluations.value, Math.max(leastEvaluations.value, affordable))
  return stepsPerEpoch * Math.ceil(chosenEpochs / evaluations)
}

/**
 * @param isProbed whether the head begins as a probe
 * @param heldOut rows that an evaluation scores
 * @throws SettingsError if the settings leave no step for a phase of the method, or no position for a text
 */
export const runLength = (
  method: Method,
  settings: CommonSettings,
  model: Model,
  examples: number,
  isProbed = false,
  heldOut = 0,
): RunLength => {
  const { maxSteps, epochs, batchSize, gradientAccumulationSteps } = settings
  const stepsPerEpoch = Math.ceil(examples / (batchSize * gradientAccumulationSteps))
  const least = chooseLeastSteps(method, examples, isProbed)
  const steps = plannedSteps(settings, stepsPerEpoch, least)
  const chosenEpochs = maxSteps === null && epochs === null ? epochsFor(stepsPerEpoch, least) : null
  if (steps > maxRunSteps) throw new SettingsError('epochs', `at most ${maxRunSteps} steps of ${stepsPerEpoch} an epoch`, String(epochs))
  method.check?.(settings, steps)
  checkPositions(method, settings, model)
  const evalSteps = settings.evalSteps ?? evalStepsFor(chosenEpochs, stepsPerEpoch, examples, heldOut)
  return { steps, stepsPerEpoch, evalSteps, chosenEpochs }
}

/** @throws SettingsError if the model has too few positions for the virtual tokens, or for texts of `maxLength` tokens */
export const checkPositions = (method: Method, settings: CommonSettings, model: Model): void => {
  const { positions, virtualTokens, left, description } = availablePositions(method, settings, model)
  if (virtualTokens > 0 && left < shortestText)
    throw new SettingsError(
      'numVirtualTokens',
      `at most ${positions - shortestText}, which leave ${shortestText} of the model's ${positions} positions to a text`,
      String(virtualTokens),
    )
  if (settings.maxLength > left) throw new SettingsError('maxLength', `at most ${description}`, String(settings.maxLength))
}

/** Tokens of the shortest text: one between two special tokens. */
export const shortestText = 3

/** The model's positions, those of the method's virtual tokens, and those left for a text (with a description for messages). */
export const availablePositions = (method: Method, settings: CommonSettings, { spec: { maxPositions: positions } }: Model) => {
  const { count: virtualTokens } = method.train.virtualTokens?.(settings) ?? noVirtualTokens
  const left = positions - virtualTokens
  const description =
    virtualTokens === 0
      ? `the model's ${positions} positions`
      : `the ${left} of the model's ${positions} positions that ${virtualTokens} virtual tokens leave`
  return { positions, virtualTokens, left, description } as const
}
