/** Multiple choice: questions with several answers, one of them right. A decoder takes the answer that is most likely after the question. */
import { choice as choiceObjective, type ChoiceAnswer, choiceExample, type ChoiceExample } from './objective.js'
import { bindTexts, textTaskType } from '../texts/textTaskType.js'
import { readChoices, choiceText } from './rows.js'
import { mixtureFlags } from '../files/mixture.js'
import { encoding, evalShare } from '../files/flags.js'
import { textSource } from '../texts/source.js'
import type { Task } from '../task.js'
import { mean } from 'simple-statistics'
import type { ModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { option } from '../../../accelerated/errors/words.js'
import type { LabeledText } from '../../../accelerated/objectives/labeledTokens.js'
import type { Example } from '../../data/dataset.js'
import type { ExampleTokenizer } from '../exampleTokenizer.js'
import { segmentTokens } from '../texts/learnedTokens.js'
import { asExample } from '../texts/tokens.js'

// Tokenizes multiple choice as lm-evaluation-harness does ARC: `Question: …\nAnswer:`, and each answer after a blank. No end of text follows.
/** Training reads the right answer, and an evaluation reads all. A question that is too long is left out: a cut one is another. */
export const openChoiceTokens = async (base: ModelFolder, maxLength: number): Promise<ExampleTokenizer<ChoiceExample>> => {
  const tokenizer = await base.tokenizer()
  let [questions, tooLong] = [0, 0]
  const tokenizeAnswer = (question: string, answer: string, row: number): LabeledText => {
    const segments = [
      { text: `Question: ${question}\nAnswer:`, learned: false },
      { text: ` ${answer}`, learned: true },
    ]
    return asExample(segmentTokens(tokenizer, segments, tokenizer.start), false, row)
  }
  const read = (examples: Iterable<Example>, all: boolean) => {
    const list: ChoiceExample[] = []
    for (const { text, label, row } of examples) {
      questions++
      const { question, choices } = choiceText(text)
      const texts = choices.map((answer) => tokenizeAnswer(question, answer, row))
      const lengths = choices.map(({ length }) => length)
      if (texts.some(({ inputIds }) => inputIds.length > maxLength)) tooLong++
      else if (all) list.push(choiceExample(row, texts, { right: label, lengths }))
      else list.push(choiceExample(row, texts.slice(label, label + 1), { right: 0, lengths: lengths.slice(label, label + 1) }))
    }
    if (list.length === 0) throw inputError(option('maxLength'), 'a question that fits', `${maxLength}, and ${tooLong} longer ones`)
    return { length: list.length, at: (index: number) => list[index] }
  }
  return {
    training: (examples) => read(examples, false),
    evaluation: (examples) => read(examples, true),
    warnings: () =>
      tooLong === 0 ? [] : [`${tooLong} of ${questions} questions are longer than --max-length ${maxLength} and are left out`],
  }
}

// Scores of multiple choice, as lm-evaluation-harness defines them.
export const choiceMetrics = ['accuracy', 'accuracyNorm', 'loss'] as const

/** The first of equally large numbers. */
const largestIndex = (values: readonly number[]): number => values.indexOf(Math.max(...values))

/**
 *  - accuracy: the share of questions whose right answer has the largest log p (`acc`)
 *  - accuracyNorm: the same of log p divided by the answer's characters (`acc_norm`)
 *  - loss: the mean of −log p over the tokens of the right answers
 * @throws Error if there is no question
 */
export const scoreChoices = (answers: readonly ChoiceAnswer[]): Readonly<Record<(typeof choiceMetrics)[number], number>> => {
  if (answers.length === 0) throw new Error('scoreChoices: expected at least one question, got none')
  const tokens = answers.reduce((sum, answer) => sum + answer.tokens, 0)
  const shareRight = (toScores: (answer: ChoiceAnswer) => readonly number[]): number =>
    mean(answers.map((answer) => (largestIndex(toScores(answer)) === answer.right ? 1 : 0)))
  return {
    accuracy: shareRight(({ logProbabilities }) => logProbabilities),
    accuracyNorm: shareRight(({ logProbabilities, lengths }) => logProbabilities.map((log, i) => log / (lengths[i] ?? NaN))),
    loss: -answers.reduce((sum, { logProbabilities, right }) => sum + (logProbabilities[right] ?? NaN), 0) / tokens,
  }
}

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
