/** Text as a run's goal: of each token the one after it. */
import { inputError } from '../../accelerated/errors/inputError.js'
import { causalLM, type TextAnswer, type TextExample } from '../../accelerated/objectives/causalLM.js'
import { causalOutputs } from '../../accelerated/objectives/taskType.js'
import { SettingsError } from '../../accelerated/errors/settingsError.js'
import type { Settings } from '../../accelerated/training/settings.js'
import type { TaskOptions } from './task.js'
import type { TaskAdapter } from './taskAdapter.js'
import { scoreTexts, selectionScore, type TextScoring } from '../metrics/index.js'
import { templateOf } from '../data/promptTemplates.js'
import { openTextTokens, type TextTokenOptions } from '../tokens/textTokens.js'

/** Throws SettingsError for class weights: there are no classes. */
export const languageModelTask = (
  { selectionMetric }: TextScoring,
  options: TaskOptions,
  settings: Pick<Settings, 'classWeights'>,
): TaskAdapter<TextExample, TextAnswer> => {
  if (settings.classWeights !== null) throw new SettingsError('classWeights', 'none, as text has no classes', settings.classWeights)
  return {
    outputs: causalOutputs,
    objective: (model, method) => causalLM(model, method),
    tokenizer: async (base, { maxLength }) => openTextTokens(base, textTokenOptions(options), maxLength),
    score: (answers) => {
      const scores = scoreTexts(answers)
      return { scores, selection: selectionScore(selectionMetric)(scores), constant: null }
    },
    majority: null,
  }
}

/** How the texts of a task become tokens. @throws InputError for an unknown prompt template */
export const textTokenOptions = (options: TaskOptions): TextTokenOptions => ({
  promptTemplate: options.task === 'alpaca' ? templateOf(options) : null,
  trainOnInputs: options.trainOnInputs === true,
  packing: options.packing === true,
})

/** @throws Mistake where the model predicts no next token */
export const checkDecoder = ({ type, causalHead }: { readonly type: string; readonly causalHead?: unknown }, task: string): void => {
  if (causalHead === undefined)
    throw inputError('--model', `a decoder, as --task ${task} asks for the next token`, `a model of type ${type}`)
}
