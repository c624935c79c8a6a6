/** Preference optimization: of two answers to a prompt, the chosen one becomes more likely than the rejected one. */
import type { Expression } from '../../../accelerated/graph/expression.js'
import {
  clip,
  concat,
  constant,
  exp,
  input,
  log,
  logSoftmax,
  mul,
  neg,
  reduceSum,
  reshape,
  square,
  sub,
} from '../../../accelerated/graph/operators.js'
import { scalarFeed } from '../../../accelerated/engines/feeds.js'
import type { Model } from '../../../accelerated/models/architecture.js'
import { causalOutputs, selectHead } from '../../../accelerated/models/modelOutputs.js'
import { answerLogFeeds, answerLogs, twoTexts } from './answerLogs.js'
import { headTensors, type Forwards, type Objective, type TrainingExample } from '../../../accelerated/objectives/objective.js'
import { labeledDimension, type LabeledText } from '../../../accelerated/objectives/labeledTokens.js'

/**
 *  - dpo: Rafailov et al., 2023, equation (7)
 *  - ipo: Azar et al., 2023, equation (17), on mean log-probabilities as TRL has it
 *  - orpo: Hong et al., 2024, equation (6), without a reference model
 *  - simpo: Meng et al., 2024, equation (6), without a reference model
 */
export const preferenceLosses = ['dpo', 'ipo', 'orpo', 'simpo'] as const
export type PreferenceLoss = (typeof preferenceLosses)[number]

export type PreferenceSettings = {
  readonly loss: PreferenceLoss
  /** β of dpo, simpo and orpo (there λ), τ of ipo: how much a log-probability counts */
  readonly beta: number
  /** dpo, simpo: the probability that the answers of a pair are exchanged */
  readonly labelSmoothing: number
  /** γ of simpo: the margin by which rewards should differ */
  readonly gamma: number
}

/** Two answers to one prompt. Each text holds the prompt, whose tokens have no label. */
export type PreferenceExample = TrainingExample & { readonly chosen: LabeledText; readonly rejected: LabeledText }

export const preferenceExample = (row: number, chosen: LabeledText, rejected: LabeledText): PreferenceExample => ({
  ...twoTexts(row, chosen, rejected),
  chosen,
  rejected,
})

/**
 * log p of both answers: with dpo the sum over their tokens, otherwise the mean. By the adapted model, and by the base model, which is 0 if the loss
 * has no reference model.
 */
export type PreferenceAnswer = {
  readonly chosen: number
  readonly rejected: number
  readonly baseChosen: number
  readonly baseRejected: number
}

/** Whether the loss compares with the model without the adapter. */
export const hasReference = (loss: PreferenceLoss): boolean => loss === 'dpo' || loss === 'ipo'

/** The reference model is the base model: the same tensors without the adapter, so there is no second copy. */
export const preference = (
  model: Model,
  settings: PreferenceSettings,
  method: { readonly train: { readonly trainsAll?: boolean } } = { train: {} },
): Objective<PreferenceExample, PreferenceAnswer> => {
  const head = model.causalHead?.()
  if (head === undefined) throw new Error(`preference: expected a decoder, got ${model.type}`)
  const compares = hasReference(settings.loss)
  const computeLogs = ({ forward, baseForward }: Forwards, batch: Parameters<Objective['loss']>[1]) => ({
    policy: answerLogs(head, forward(batch)),
    base: compares ? answerLogs(head, baseForward(batch)) : null,
  })
  return {
    name: 'preference',
    tensors: (groups) => headTensors(selectHead(model, causalOutputs, method), groups),
    outputs: (forwards, batch) => {
      const { policy, base } = computeLogs(forwards, batch)
      return { chosen: policy[0], rejected: policy[1], ...(base === null ? {} : { baseChosen: base[0], baseRejected: base[1] }) }
    },
    loss: (forwards, batch) => {
      const { policy, base } = computeLogs(forwards, batch)
      return mul(reduceSum(pairLosses(settings, policy, base)), input('lossWeight', [], policy[0].dtype))
    },
    dimensions: (tokens) => ({ ...labeledDimension(tokens), pairs: tokens }),
    prepare: (examples) => {
      const texts = examples.flatMap(({ chosen, rejected }) => [chosen, rejected])
      return {
        texts,
        weight: examples.length,
        feeds: (packed, whole, dtype) => ({
          ...answerLogFeeds(texts, packed, settings.loss === 'dpo' ? 'sum' : 'mean', dtype),
          lossWeight: scalarFeed(1 / whole, dtype),
        }),
        read: (results) =>
          examples.map((_, i) => {
            const readLog = (name: string): number => Number(results[name]?.[i] ?? 0)
            return {
              chosen: readLog('chosen'),
              rejected: readLog('rejected'),
              baseChosen: readLog('baseChosen'),
              baseRejected: readLog('baseRejected'),
            }
          }),
      }
    },
  }
}

/** The loss of each pair, of the log-probabilities of its answers. → [pairs] */
export const pairLosses = (
  { loss, beta, labelSmoothing, gamma }: PreferenceSettings,
  [chosen, rejected]: readonly [Expression, Expression],
  base: readonly [Expression, Expression] | null,
): Expression => {
  const difference = sub(chosen, rejected)
  const margin = base === null ? difference : sub(difference, sub(base[0], base[1]))
  switch (loss) {
    case 'dpo':
      return smoothedLoss(mul(margin, beta), labelSmoothing)
    case 'ipo':
      return square(sub(margin, 1 / (2 * beta)))
    case 'simpo':
      return smoothedLoss(sub(mul(margin, beta), gamma), labelSmoothing)
    case 'orpo': {
      const logOdds = sub(margin, sub(logComplement(chosen), logComplement(rejected)))
      return sub(mul(smoothedLoss(logOdds, 0), beta), chosen)
    }
  }
}

/**
 * Log-probabilities count as at most this in log odds. That of a sure answer is the difference of two sums that round apart, so in float32 it may be
 * 0 or above, where its odds are not defined.
 */
export const surest = -(2 ** -20)

/** log(1 − e^x) of a log-probability; below −1000, e^x is 0 in any precision */
const logComplement = (x: Expression): Expression => log(sub(1, exp(clip(x, -1000, surest))))

/** −(1 − ε) log σ(x) − ε log σ(−x). x: [pairs] → [pairs] */
const smoothedLoss = (x: Expression, smoothing: number): Expression => {
  const column = reshape(x, ['pairs', 1])
  const logs = logSoftmax(concat([mul(column, 0), column], 1)) // log σ(−x), log σ(x)
  return neg(reduceSum(mul(logs, constant([smoothing, 1 - smoothing], [1, 2], x.dtype)), [-1]))
}
