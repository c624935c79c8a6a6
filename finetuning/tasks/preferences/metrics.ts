/** Scores of preferences: how often, and by how much, the chosen answer has the larger reward. */
import { mean } from 'simple-statistics'
import { hasReference, type PreferenceAnswer, type PreferenceSettings } from './objective.js'

export const preferenceMetrics = ['accuracy', 'loss', 'margin', 'chosenReward', 'rejectedReward'] as const

/** β times log p. A loss with a reference model subtracts that of the base model. */
const rewardsOf =
  ({ loss, beta }: PreferenceSettings) =>
  ({ chosen, rejected, baseChosen, baseRejected }: PreferenceAnswer): readonly [chosen: number, rejected: number] =>
    hasReference(loss) ? [beta * (chosen - baseChosen), beta * (rejected - baseRejected)] : [beta * chosen, beta * rejected]

const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** The loss of a pair, from its log-probabilities: the formulas of objectives/preference. */
const preferenceLoss = (settings: PreferenceSettings, answer: PreferenceAnswer): number => {
  const { loss, beta, labelSmoothing, gamma } = settings
  const { chosen, rejected, baseChosen, baseRejected } = answer
  const margin = chosen - rejected - (baseChosen - baseRejected)
  const smoothed = (x: number): number => (1 - labelSmoothing) * softplus(-x) + labelSmoothing * softplus(x)
  const logOdds = (logProbability: number): number => logProbability - Math.log(-Math.expm1(logProbability))
  switch (loss) {
    case 'dpo':
      return smoothed(beta * margin)
    case 'ipo':
      return (margin - 1 / (2 * beta)) ** 2
    case 'simpo':
      return smoothed(beta * margin - gamma)
    case 'orpo':
      return -chosen + beta * softplus(logOdds(rejected) - logOdds(chosen))
  }
}

/**
 *  - accuracy: the share of pairs whose chosen answer has the larger reward; equal ones count half
 *  - margin: the mean difference of the two rewards
 * @throws Error if there is no pair
 */
export const scorePreferences = (
  settings: PreferenceSettings,
  answers: ReadonlyArray<PreferenceAnswer>,
): Readonly<Record<(typeof preferenceMetrics)[number], number>> => {
  if (answers.length === 0) throw new Error('scorePreferences: expected at least one pair, got none')
  const rewards = answers.map(rewardsOf(settings))
  return {
    accuracy: mean(rewards.map(([chosen, rejected]) => (chosen > rejected ? 1 : chosen === rejected ? 0.5 : 0))),
    loss: mean(answers.map((answer) => preferenceLoss(settings, answer))),
    margin: mean(rewards.map(([chosen, rejected]) => chosen - rejected)),
    chosenReward: mean(rewards.map(([chosen]) => chosen)),
    rejectedReward: mean(rewards.map(([, rejected]) => rejected)),
  }
}
