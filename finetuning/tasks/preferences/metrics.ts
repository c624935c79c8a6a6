/** Scores of preferences: how often, and by how much, the chosen or desirable answer has the larger reward. */
import { mean, wilcoxonRankSum } from 'simple-statistics'
import { hasReference, surest, type PreferenceAnswer, type PreferenceSettings } from './objective.js'
import type { KtoSettings, RatedAnswer } from './kto.js'

export const preferenceMetrics = ['accuracy', 'loss', 'margin', 'chosenReward', 'rejectedReward'] as const

/** β times log p. A loss with a reference model subtracts that of the base model. */
const computeRewards =
  ({ loss, beta }: PreferenceSettings) =>
  ({ chosen, rejected, baseChosen, baseRejected }: PreferenceAnswer): readonly [chosen: number, rejected: number] =>
    hasReference(loss) ? [beta * (chosen - baseChosen), beta * (rejected - baseRejected)] : [beta * chosen, beta * rejected]

const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

/** The loss of a pair, from its log-probabilities: the formulas of objective.ts. */
const preferenceLoss = (settings: PreferenceSettings, answer: PreferenceAnswer): number => {
  const { loss, beta, labelSmoothing, gamma } = settings
  const { chosen, rejected, baseChosen, baseRejected } = answer
  const margin = chosen - rejected - (baseChosen - baseRejected)
  const smoothed = (x: number): number => (1 - labelSmoothing) * softplus(-x) + labelSmoothing * softplus(x)
  const logOdds = (logProbability: number): number => logProbability - Math.log(-Math.expm1(Math.min(logProbability, surest)))
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
  answers: readonly PreferenceAnswer[],
): Readonly<Record<(typeof preferenceMetrics)[number], number>> => {
  if (answers.length === 0) throw new Error('scorePreferences: expected at least one pair, got none')
  const rewards = answers.map(computeRewards(settings))
  return {
    accuracy: mean(rewards.map(([chosen, rejected]) => (chosen > rejected ? 1 : chosen === rejected ? 0.5 : 0))),
    loss: mean(answers.map((answer) => preferenceLoss(settings, answer))),
    margin: mean(rewards.map(([chosen, rejected]) => chosen - rejected)),
    chosenReward: mean(rewards.map(([chosen]) => chosen)),
    rejectedReward: mean(rewards.map(([, rejected]) => rejected)),
  }
}

/**
 *  - accuracy: the share of pairs of a desirable and an undesirable answer whose desirable one has the larger reward; equal ones count half
 *  - margin: the mean reward of desirable answers − that of undesirable ones
 * The loss is that of all answers as one batch. @throws Error if answers of either kind are missing
 */
export const scoreRatedAnswers = (
  { beta, desirableWeight, undesirableWeight }: KtoSettings,
  answers: readonly RatedAnswer[],
): Readonly<Record<(typeof preferenceMetrics)[number], number>> => {
  const collectRewards = (kind: number): readonly number[] =>
    answers.flatMap(({ direction, ratio }) => (direction === kind ? [beta * ratio] : []))
  const [chosen, rejected] = [collectRewards(1), collectRewards(-1)]
  if (chosen.length === 0 || rejected.length === 0)
    throw new Error(`scoreRatedAnswers: expected answers of both kinds, got ${chosen.length} and ${rejected.length}`)
  const distance = Math.max(0, beta * mean(answers.map(({ mismatchedRatio }) => mismatchedRatio)))
  const losses = [
    ...chosen.map((reward) => desirableWeight / (1 + Math.exp(reward - distance))),
    ...rejected.map((reward) => undesirableWeight / (1 + Math.exp(distance - reward))),
  ]
  return {
    accuracy: shareAbove(chosen, rejected),
    loss: mean(losses),
    margin: mean([...chosen]) - mean([...rejected]),
    chosenReward: mean([...chosen]),
    rejectedReward: mean([...rejected]),
  }
}

/** P(a > b) + P(a = b) / 2 over all pairs: Mann-Whitney's U of their number. */
const shareAbove = (a: readonly number[], b: readonly number[]): number =>
  (wilcoxonRankSum([...a], [...b]) - (a.length * (a.length + 1)) / 2) / (a.length * b.length)
