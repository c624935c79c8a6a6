/** Causal language modeling: every learned token of a text is predicted from the tokens before it. */
import { type TextAnswer, causalLM as causalObjective, type TextExample } from '../../../accelerated/objectives/causalLM.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { causalOutputs, type CausalOutputs } from '../../../accelerated/models/modelOutputs.js'
import type { TrainingExample } from '../../../accelerated/objectives/objective.js'
import { selectionScore } from '../../metrics/index.js'
import { openTextTokens, plainTextOptions } from './tokens.js'
import { sealTask, type BoundTask, type Scoring, type TaskData, type TaskType, type TypedTask } from '../taskType.js'

/** loss: the mean of −log p over all tokens, in nats · perplexity: e^loss. @throws Error if there is no token */
export const scoreTexts = (answers: readonly TextAnswer[]): Readonly<Record<'loss' | 'perplexity', number>> => {
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0)
  if (tokens === 0) throw new Error('scoreTexts: expected at least one token, got none')
  const loss = answers.reduce((sum, answer) => sum + answer.loss * answer.tokens, 0) / tokens
  return { loss, perplexity: Math.exp(loss) }
}

const outputsFor = (taskType: string): CausalOutputs => ({ ...causalOutputs, taskType })

/** What binds a task of a decoder to its data. */
export type TextBinding<E extends TrainingExample, O> = Pick<TypedTask<E, O>, 'objective' | 'tokenizer'> & {
  readonly scoreAll: (answers: readonly O[]) => Readonly<Record<string, number>>
  /** how many tokens were predicted, for `salora evaluate` */
  readonly countTokens?: (answers: readonly O[]) => number
}

/** A task of a decoder, bound to its data: it has scores, and no classes. */
export const bindTexts = <E extends TrainingExample, O>(
  { taskType, selectionMetric }: TaskData,
  { scoreAll, countTokens, ...bound }: TextBinding<E, O>,
): BoundTask =>
  sealTask({
    ...bound,
    outputs: outputsFor(taskType.name),
    score: (answers: readonly O[]) => {
      const scores = scoreAll(answers)
      return { scores, selection: selectionScore(selectionMetric)(scores), constant: null }
    },
    report: (answers) => ({ byClass: null, confusion: null, ...(countTokens === undefined ? {} : { tokens: countTokens(answers) }) }),
    majority: null,
  })

/** The type of a decoder's task. @param noClasses what options of classes expect instead of a value */
export const textTaskType = (type: Pick<TaskType, 'name' | 'noun' | 'dataNoun' | 'metricNames' | 'bind'>, noClasses: string): TaskType => ({
  ...type,
  outputs: () => outputsFor(type.name),
  isImpliedBy: () => false,
  checkModel: ({ type: model, causalHead }, task) => {
    if (causalHead === undefined)
      throw inputError(option('model'), words`a decoder, as ${option('task')} ${task} asks for the next token`, `a model of type ${model}`)
  },
  refuses: { positiveLabel: noClasses, classWeights: noClasses, labelNames: noClasses },
  pipelineTag: 'text-generation',
  command: 'generate',
})

const bind = (data: TaskData): BoundTask =>
  bindTexts<TextExample, TextAnswer>(data, {
    objective: causalObjective,
    tokenizer: (base, maxLength) => openTextTokens(base, data.text ?? plainTextOptions, maxLength),
    scoreAll: scoreTexts,
    countTokens: (answers) => answers.reduce((sum, { tokens }) => sum + tokens, 0),
  })

export const causalLM: TaskType = {
  ...textTaskType(
    {
      name: 'causal',
      noun: 'language modeling',
      dataNoun: 'texts without labels',
      metricNames: () => ['loss', 'perplexity'],
      bind,
    },
    'none, as text has no classes',
  ),
  isImpliedBy: ({ head }) => head === 'causal',
}

export const causalScoring: Scoring = { taskType: causalLM, metrics: [], selectionMetric: 'loss' }
