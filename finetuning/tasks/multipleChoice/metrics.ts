/** Scores of multiple choice, as lm-evaluation-harness defines them. */
import { mean } from 'simple-statistics'
import type { ChoiceAnswer } from './objective.js'

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
  const shareOf = (scoreOf: (answer: ChoiceAnswer) => readonly number[]): number =>
    mean(answers.map((answer) => (largestIndex(scoreOf(answer)) === answer.right ? 1 : 0)))
  return {
    accuracy: shareOf(({ logProbabilities }) => logProbabilities),
    accuracyNorm: shareOf(({ logProbabilities, lengths }) => logProbabilities.map((log, i) => log / (lengths[i] ?? NaN))),
    loss: -answers.reduce((sum, { logProbabilities, right }) => sum + (logProbabilities[right] ?? NaN), 0) / tokens,
  }
}
