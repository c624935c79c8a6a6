/** Multiple choice: questions with several answers, one of them right, for a decoder. */
import { readChoices } from './examples.js'
import { choice } from './taskType.js'
import { mixtureFlags } from '../files/mixture.js'
import { encoding, evalShare } from '../files/flags.js'
import { textSource } from '../texts/source.js'

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
