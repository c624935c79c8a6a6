/** Causal language modeling: every learned token of a text is predicted from the tokens before it. */
import { inputError } from '../../../accelerated/errors/inputError.js'
import { causalOutputs } from '../../../accelerated/models/modelOutputs.js'
import { causalLM as causalObjective, type TextAnswer, type TextExample } from '../../../accelerated/objectives/causalLM.js'
import { selectionScore } from '../../metrics/index.js'
import { scoreTexts } from './metrics.js'
import { openTextTokens, plainTextOptions } from './tokens.js'
import type { Scoring, BoundTask, TaskData, TaskType } from '../taskType.js'

const name = 'causal'
const outputs = { ...causalOutputs, taskType: name }
const noClasses = 'none, as text has no classes'

const boundTo = ({ selectionMetric, text = plainTextOptions }: TaskData): BoundTask<TextExample, TextAnswer> => ({
  outputs,
  objective: causalObjective,
  tokenizer: (base, maxLength) => openTextTokens(base, text, maxLength),
  score: (answers) => {
    const scores = scoreTexts(answers)
    return { scores, selection: selectionScore(selectionMetric)(scores), constant: null }
  },
  report: (answers) => ({ byClass: null, confusion: null, tokens: answers.reduce((sum, { tokens }) => sum + tokens, 0) }),
  majority: null,
})

export const causalLM: TaskType = {
  name,
  noun: 'language modeling',
  dataNoun: 'texts without labels',
  outputs: () => outputs,
  isImpliedBy: ({ head }) => head === 'causal',
  checkModel: ({ type, causalHead }, task) => {
    if (causalHead === undefined)
      throw inputError('--model', `a decoder, as --task ${task} asks for the next token`, `a model of type ${type}`)
  },
  metricNames: () => ['loss', 'perplexity'],
  refuses: { positiveLabel: noClasses, classWeights: noClasses, labelNames: noClasses },
  bind: (data) => (use) => use(boundTo(data)),
  pipelineTag: 'text-generation',
  command: 'generate',
}

export const causalScoring: Scoring = { taskType: causalLM, metrics: [], selectionMetric: 'loss' }
