/** KTO: answers that were rated one by one. A desirable answer becomes more likely, an undesirable one less (Ethayarajh et al., 2024). */
import { input, maximum, mul, reduceSum, scalar, sigmoid, stopGradient, sub } from '../../../accelerated/graph/operators.js'
import { floatFeed, scalarFeed } from '../../../accelerated/engines/feeds.js'
import type { Model } from '../../../accelerated/models/architecture.js'
import { causalOutputs, selectHead } from '../../../accelerated/models/modelOutputs.js'
import { answerLogFeeds, answerLogs, twoTexts } from './answerLogs.js'
import { headTensors, type Forwards, type Objective, type TrainingExample } from '../../../accelerated/objectives/objective.js'
import { labeledDimension, type LabeledText } from '../../../accelerated/objectives/labeledTokens.js'

export type KtoSettings = {
  /** β: how much a log-probability counts */
  readonly beta: number
  /** λ_D: the weight of desirable answers */
  readonly desirableWeight: number
  /** λ_U: the weight of undesirable answers */
  readonly undesirableWeight: number
}

/** `mismatched` is the same prompt with the answer to another one. Its log-probability estimates how far the model is from the base model. */
export type RatedExample = TrainingExample & {
  readonly answer: LabeledText
  readonly mismatched: LabeledText
  readonly isDesirable: boolean
}

type RatedTexts = Pick<RatedExample, 'answer' | 'mismatched' | 'isDesirable'>

export const ratedExample = (row: number, texts: RatedTexts): RatedExample => ({
  ...twoTexts(row, texts.answer, texts.mismatched),
  ...texts,
})

/** ratios: log p of the answer and of its mismatched text by the adapted model − log p by the base model, as sums over tokens. direction: 1 if desirable, else −1 */
export type RatedAnswer = { readonly direction: number; readonly ratio: number; readonly mismatchedRatio: number }

/**
 * Equation (7) of the paper: the mean of λ (1 − σ(± β (ratio − z₀))), + for a desirable answer. z₀ is the mean ratio of the mismatched texts of the
 * batch, at least 0, and has no gradient.
 */
export const kto = (
  model: Model,
  { beta, desirableWeight, undesirableWeight }: KtoSettings,
  method: { readonly train: { readonly trainsAll?: boolean } } = { train: {} },
): Objective<RatedExample, RatedAnswer> => {
  const head = model.causalHead?.()
  if (head === undefined) throw new Error(`kto: expected a decoder, got ${model.type}`)
  /** [pairs] each */
  const computeRatios = ({ forward, baseForward }: Forwards, batch: Parameters<Objective['loss']>[1]) => {
    const [own, base] = [answerLogs(head, forward(batch)), answerLogs(head, baseForward(batch))]
    return { ratio: sub(own[0], base[0]), mismatchedRatio: sub(own[1], base[1]) }
  }
  return {
    name: 'kto',
    tensors: (groups) => headTensors(selectHead(model, causalOutputs, method), groups),
    outputs: computeRatios,
    loss: (forwards, batch) => {
      const { ratio, mismatchedRatio } = computeRatios(forwards, batch)
      const { dtype } = ratio
      const distance = maximum(mul(reduceSum(mismatchedRatio), input('partShare', [], dtype)), scalar(0, dtype))
      const advantage = mul(sub(ratio, stopGradient(distance)), mul(input('direction', ['pairs'], dtype), beta))
      const losses = mul(sub(1, sigmoid(advantage)), input('ratingWeight', ['pairs'], dtype))
      return mul(reduceSum(losses), input('lossWeight', [], dtype))
    },
    dimensions: (tokens) => ({ ...labeledDimension(tokens), pairs: tokens }),
    prepare: (examples) => {
      const texts = examples.flatMap(({ answer, mismatched }) => [answer, mismatched])
      const each = (desirable: number, undesirable: number): Float64Array =>
        Float64Array.from(examples, ({ isDesirable }) => (isDesirable ? desirable : undesirable))
      return {
        texts,
        weight: examples.length,
        feeds: (packed, whole, dtype) => ({
          ...answerLogFeeds(texts, packed, 'sum', dtype),
          direction: floatFeed(each(1, -1), [examples.length], dtype),
          ratingWeight: floatFeed(each(desirableWeight, undesirableWeight), [examples.length], dtype),
          partShare: scalarFeed(1 / examples.length, dtype),
          lossWeight: scalarFeed(1 / whole, dtype),
        }),
        read: ({ ratio, mismatchedRatio }) =>
          examples.map(({ isDesirable }, i) => ({
            direction: isDesirable ? 1 : -1,
            ratio: Number(ratio?.[i] ?? NaN),
            mismatchedRatio: Number(mismatchedRatio?.[i] ?? NaN),
          })),
      }
    },
  }
}
