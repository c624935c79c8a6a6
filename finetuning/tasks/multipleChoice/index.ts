/** Multiple choice: questions with several answers, one of them right. A decoder takes the answer that is most likely after the question. */
import { choice as choiceObjective } from './objective.js'
import { choiceMetrics, scoreChoices } from './metrics.js'
import { openChoiceTokens } from './tokens.js'
import { bindTexts, textTaskType } from '../texts/taskType.js'
import { readChoices } from './rows.js'
import { mixtureFlags } from '../files/mixture.js'
import { encoding, evalShare } from '../files/flags.js'
import { textSource } from '../texts/source.js'
import type { Task } from '../task.js'

const choice = textTaskType(
  {
    name: 'choice',
    noun: 'multiple choice',
    dataNoun: 'questions with choices',
    metricNames: () => choiceMetrics,
    bind: (data) => bindTexts(data, { objective: choiceObjective, tokenizer: openChoiceTokens, scoreAll: scoreChoices }),
  },
  'none, as each question has answers of its own',
)

const choicesSource = textSource({
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

export const multipleChoice: Task = { types: [choice], sources: [choicesSource] }
