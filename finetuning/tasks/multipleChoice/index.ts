/** Multiple choice: questions with several answers, one of them right. A decoder takes the answer that is most likely after the question. */
import { choice as choiceObjective, type ChoiceAnswer, type ChoiceExample } from './objective.js'
import { causalOutputs } from '../../../accelerated/models/modelOutputs.js'
import { selectionScore } from '../../metrics/index.js'
import { choiceMetrics, scoreChoices } from './metrics.js'
import { openChoiceTokens } from './tokens.js'
import type { BoundTask, TaskData, TaskType } from '../taskType.js'
import { causalLM } from '../texts/taskType.js'
import { readChoices } from './rows.js'
import { mixtureFlags } from '../files/mixture.js'
import { encoding, evalShare } from '../files/flags.js'
import { textSource } from '../texts/source.js'

const name = 'choice'
const outputs = { ...causalOutputs, taskType: name }
const noClasses = 'none, as each question has answers of its own'

const boundTo = ({ selectionMetric }: TaskData): BoundTask<ChoiceExample, ChoiceAnswer> => ({
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

export const choicesSource = textSource({
  name: 'choice',
  scoring: { taskType: choice, metrics: [], selectionMetric: 'accuracy' },
  help: 'questions with choices in a file, for a decoder',
  flags: [
    {
      name: 'data',
      placeholder: 'folder|file',
      description: 'choice: JSON, JSON-lines or Parquet file of question, choices and answer',
      common: true,
    },
    encoding,
    evalShare,
    ...mixtureFlags,
  ],
  read: (file, options) => readChoices(file, options.encoding === undefined ? {} : { encoding: options.encoding }),
  dataOptions: () => ({}),
})
