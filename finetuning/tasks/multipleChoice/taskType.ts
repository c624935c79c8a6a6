/** Multiple choice: a decoder takes the answer that is most likely after the question. */
import { choice as choiceObjective, type ChoiceAnswer, type ChoiceExample } from './objective.js'
import { causalOutputs } from '../../../accelerated/models/modelOutputs.js'
import { selectionScore } from '../../metrics/index.js'
import { choiceMetrics, scoreChoices } from './metrics.js'
import { openChoiceTokens } from './tokens.js'
import type { TaskAdapter, TaskData, TaskType } from '../taskType.js'
import { causalLM } from '../texts/taskType.js'

const name = 'choice'
const outputs = { ...causalOutputs, taskType: name }
const noClasses = 'none, as each question has answers of its own'

const boundTo = ({ selectionMetric }: TaskData): TaskAdapter<ChoiceExample, ChoiceAnswer> => ({
  outputs,
  objective: choiceObjective,
  tokenizer: openChoiceTokens,
  score: (answers) => {
    const scores = scoreChoices(answers)
    return { scores, selection: selectionScore(selectionMetric)(scores), constant: null }
  },
  report: () => ({ byClass: null, confusion: null }),
  majority: null,
})

export const choice: TaskType = {
  name,
  noun: 'multiple choice',
  dataNoun: 'questions with choices',
  outputs: () => outputs,
  isImpliedBy: () => false,
  ...(causalLM.checkModel === undefined ? {} : { checkModel: causalLM.checkModel }),
  metricNames: () => choiceMetrics,
  refuses: { positiveLabel: noClasses, classWeights: noClasses, labelNames: noClasses },
  bind: (data) => (use) => use(boundTo(data)),
  pipelineTag: 'text-generation',
  command: 'generate',
}
