/** Text as a run's goal: of each token the one after it. */
import { mistake } from '../../accelerated/files/mistake.js'
import { causal, type TextAnswer, type TextExample } from '../../accelerated/objectives/causal.js'
import { causalOutputs } from '../../accelerated/objectives/outputs.js'
import { SettingsError } from '../../accelerated/settingsError.js'
import type { Settings } from '../../accelerated/settings.js'
import type { TaskOptions } from '../data/index.js'
import type { Goal } from './goal.js'
import { scoreTexts, selectionScore, type TextScoring } from '../metrics/index.js'
import { openTextTokens } from '../tokens/textTokens.js'

/** Throws SettingsError for class weights: there are no classes. */
export const textGoal = (
  { selectionMetric }: TextScoring,
  options: TaskOptions,
  settings: Pick<Settings, 'classWeights'>,
): Goal<TextExample, TextAnswer> => {
  if (settings.classWeights !== null) throw new SettingsError('classWeights', 'none, as text has no classes', settings.classWeights)
  return {
    outputs: causalOutputs,
    objective: (model, method) => causal(model, method),
    tokeniser: async (base, { maxLength }) => openTextTokens(base, options, maxLength),
    score: (answers) => {
      const scores = scoreTexts(answers)
      return { scores, selection: selectionScore(selectionMetric)(scores), constant: null }
    },
    majority: null,
  }
}

/** @throws Mistake where the model predicts no next token */
export const checkDecoder = ({ type, causalHead }: { readonly type: string; readonly causalHead?: unknown }, task: string): void => {
  if (causalHead === undefined) throw mistake('--model', `a decoder, as --task ${task} asks for the next token`, `a model of type ${type}`)
}
