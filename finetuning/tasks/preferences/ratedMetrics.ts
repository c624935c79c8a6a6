/** Scores of answers that were rated one by one: how often, and by how much, desirable ones have the larger reward. */
import { mean, wilcoxonRankSum } from 'simple-statistics'
import type { KtoSettings, RatedAnswer } from './kto.js'
import type { preferenceMetrics } from './metrics.js'

/**
 *  - accuracy: the share of pairs of a desirable and an undesirable answer whose desirable one has the larger reward; equal ones count half
 *  - margin: the mean reward of desirable answers − that of undesirable ones
 * The loss is that of all answers as one batch. @throws Error if answers of either kind are missing
 */
export const scoreRatedAnswers = (
  { beta, desirableWeight, undesirableWeight }: KtoSettings,
  answers: ReadonlyArray<RatedAnswer>,
): Readonly<Record<(typeof preferenceMetrics)[number], number>> => {
  const rewardsOf = (kind: number): ReadonlyArray<number> =>
    answers.flatMap(({ direction, ratio }) => (direction === kind ? [beta * ratio] : []))
  const [chosen, rejected] = [rewardsOf(1), rewardsOf(-1)]
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
const shareAbove = (a: ReadonlyArray<number>, b: ReadonlyArray<number>): number =>
  (wilcoxonRankSum([...a], [...b]) - (a.length * (a.length + 1)) / 2) / (a.length * b.length)
