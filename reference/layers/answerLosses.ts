/** Losses of answers by their log-probabilities: of pairs (DPO, IPO, ORPO, SimPO), and of answers that were rated one by one (KTO). */
import { slice, stackRows, type Tensor } from '../tensor/tensor.js'
import { causalLoss, causalLossVjp, unlabeled } from './losses.js'

/** The texts of a batch, one after another: their tokens, and a label for each token. */
export interface Texts {
  readonly lengths: readonly number[]
  readonly labels: readonly number[]
  /** An answer's log-probability is the sum over its labeled tokens, or their mean. */
  readonly reduction: 'sum' | 'mean'
}

/** From where to where the tokens of each text go, with the labels there, and the log-probability in units of the text's mean one. */
const parts = ({ lengths, labels, reduction }: Texts) =>
  lengths.map((length, text) => {
    const start = lengths.slice(0, text).reduce((total, n) => total + n, 0)
    const own = labels.slice(start, start + length)
    return { start, end: start + length, labels: own, units: reduction === 'sum' ? own.filter((label) => label !== unlabeled).length : 1 }
  })

const rows = (logits: Tensor, start: number, end: number): Tensor => slice(logits, [start, 0], [end, logits.shape[1]!])

/** log p of each text. logits: [tokens, vocabulary] → one a text */
export const answerLogs = (logits: Tensor, texts: Texts): readonly number[] =>
  parts(texts).map(({ start, end, labels, units }) => -units * causalLoss(rows(logits, start, end), labels))

/** z̄ of each token is that of its own text's mean loss. logBars: one a text → [tokens, vocabulary] */
export const answerLogsVjp = (logits: Tensor, texts: Texts, logBars: readonly number[]): Tensor =>
  stackRows(
    parts(texts).map(({ start, end, labels, units }, text) => causalLossVjp(rows(logits, start, end), labels, -units * logBars[text]!)),
  )

/** A loss, and its slope in the log-probability of each text. */
export interface AnswerLoss {
  readonly value: number
  readonly slopes: readonly number[]
}

const sigmoid = (x: number): number => (1 + Math.tanh(x / 2)) / 2

/** log(1 + eˣ), of slope σ(x). */
const softplus = (x: number): number => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)))

export interface PairSettings {
  readonly loss: 'dpo' | 'ipo' | 'orpo' | 'simpo'
  readonly beta: number
  /** ε: the probability that the answers of a pair are exchanged (DPO, SimPO) */
  readonly labelSmoothing: number
  /** γ: the margin by which rewards should differ (SimPO) */
  readonly gamma: number
}

/** −(1 − ε) log σ(x) − ε log σ(−x), and its slope */
const smoothed = (epsilon: number, x: number): readonly [value: number, slope: number] => [
  (1 - epsilon) * softplus(-x) + epsilon * softplus(x),
  epsilon * sigmoid(x) - (1 - epsilon) * sigmoid(-x),
]

/** One pair. c, r: log p of the chosen and the rejected answer · m: c − r less the same of the base model → value, ∂/∂c, ∂/∂r */
const pairLoss = (
  { loss, beta, labelSmoothing, gamma }: PairSettings,
  [c, r]: readonly [number, number],
  m: number,
): readonly [number, number, number] => {
  switch (loss) {
    case 'dpo': {
      const [value, slope] = smoothed(labelSmoothing, beta * m)
      return [value, beta * slope, -beta * slope]
    }
    case 'simpo': {
      const [value, slope] = smoothed(labelSmoothing, beta * (c - r) - gamma)
      return [value, beta * slope, -beta * slope]
    }
    case 'ipo': {
      const error = m - 1 / (2 * beta)
      return [error ** 2, 2 * error, -2 * error]
    }
    case 'orpo': {
      // The log-odds c − log(1 − eᶜ) have the slope 1 / (1 − eᶜ).
      const [value, slope] = smoothed(0, c - r - Math.log1p(-Math.exp(c)) + Math.log1p(-Math.exp(r)))
      return [beta * value - c, (beta * slope) / (1 - Math.exp(c)) - 1, (-beta * slope) / (1 - Math.exp(r))]
    }
  }
}

/** The mean over pairs. own, base: log p of chosen and rejected texts in turn; of a loss without a reference model `base` has no part. */
export const preferenceLoss = (settings: PairSettings, own: readonly number[], base: readonly number[]): AnswerLoss => {
  const pairs = Array.from({ length: own.length / 2 }, (_, i) => {
    const [c, r] = [own[2 * i]!, own[2 * i + 1]!] as const
    return pairLoss(settings, [c, r], c - base[2 * i]! - (r - base[2 * i + 1]!))
  })
  const mean = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0) / pairs.length
  return { value: mean(pairs.map(([value]) => value)), slopes: pairs.flatMap(([, c, r]) => [c / pairs.length, r / pairs.length]) }
}

export interface RatingSettings {
  readonly beta: number
  readonly desirableWeight: number
  readonly undesirableWeight: number
}

/**
 * KTO (Ethayarajh et al., 2024): the mean of λ (1 − σ(± β (ρ − z₀))), + for a desirable answer, with ρ = log p less that of the base model. z₀ is the
 * mean ρ of the mismatched texts, at least 0, and a constant. own, base: log p of answers and mismatched texts in turn.
 */
export const ratedLoss = (
  { beta, desirableWeight, undesirableWeight }: RatingSettings,
  isDesirable: readonly boolean[],
  own: readonly number[],
  base: readonly number[],
): AnswerLoss => {
  const ratios = own.map((log, text) => log - base[text]!)
  const answers = isDesirable.length
  const distance = Math.max(0, ratios.filter((_, text) => text % 2 === 1).reduce((a, b) => a + b, 0) / answers)
  const losses = isDesirable.map((desirable, i) => {
    const [sign, weight] = desirable ? [1, desirableWeight] : [-1, undesirableWeight]
    const s = sigmoid(sign * beta * (ratios[2 * i]! - distance))
    return { value: weight * (1 - s), slope: -weight * sign * beta * s * (1 - s) }
  })
  return {
    value: losses.reduce((total, { value }) => total + value, 0) / answers,
    slopes: losses.flatMap(({ slope }) => [slope / answers, 0]),
  }
}
