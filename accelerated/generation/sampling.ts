/** The next token of a row: the most likely one, or a sample after penalties, bias, temperature, top-k and top-p, applied in the order of transformers. */
import type { Logits } from './decoder.js'

export type Sampling = {
  /** logits are divided by it */
  readonly temperature: number
  /** keep the k most likely tokens; null: all */
  readonly topK: number | null
  /** keep the most likely tokens that together have this probability; 1: all */
  readonly topP: number
}

export type ScoredToken = { readonly token: number; readonly score: number }

/** The `count` largest scores in descending order; the first of equal ones comes first. NaN is skipped. */
export const largest = (scores: ArrayLike<number>, count: number): readonly ScoredToken[] => {
  const top: ScoredToken[] = []
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] ?? NaN
    if (!(top.length < count || score > (top.at(-1)?.score ?? NaN)) || Number.isNaN(score)) continue
    let [low, high] = [0, top.length] // the first index with a lower score
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((top[middle]?.score ?? NaN) >= score) low = middle + 1
      else high = middle
    }
    top.splice(low, 0, { token, score })
    if (top.length > count) top.pop()
  }
  return top
}

/** Penalizes tokens that a row already contains: a positive score is divided by the penalty, a negative one multiplied (Keskar et al., 2019). */
export const applyRepetitionPenalty = (scores: Logits, seen: Iterable<number>, penalty: number): Logits => {
  if (penalty === 1) return scores
  const changed = scores.slice()
  for (const token of new Set(seen)) {
    const score = scores[token] ?? NaN
    changed[token] = score < 0 ? score * penalty : score / penalty
  }
  return changed
}

/** What changes scores before a token is chosen. */
export type ScoreChanges = {
  /** divides or multiplies the scores of tokens of prompt and answer; 1: none */
  readonly repetitionPenalty: number
  /** subtracted from the scores of tokens of the answer, once for each token; 0: none */
  readonly presencePenalty: number
  /** the same, times how often the answer has the token */
  readonly frequencyPenalty: number
  /** added to the scores of tokens; absent: none */
  readonly logitBias?: Readonly<Record<number, number>> | undefined
}

/** @param ids of the prompt @param tokens those after it */
export const changeScores = (
  logits: Logits,
  { repetitionPenalty, presencePenalty, frequencyPenalty, logitBias }: ScoreChanges,
  ids: readonly number[],
  tokens: readonly number[],
): Logits => {
  const penalized = applyRepetitionPenalty(logits, [...ids, ...tokens], repetitionPenalty)
  if (presencePenalty === 0 && frequencyPenalty === 0 && logitBias === undefined) return penalized
  const scores = Float64Array.from(penalized)
  for (const token of new Set(tokens)) scores[token] = (scores[token] ?? NaN) - presencePenalty
  for (const token of tokens) scores[token] = (scores[token] ?? NaN) - frequencyPenalty
  for (const [token, bias] of Object.entries(logitBias ?? {})) scores[Number(token)] = (scores[Number(token)] ?? NaN) + bias
  return scores
}

/** log softmax, summed in float64 */
export const logProbabilities = (logits: Logits): Float64Array => {
  const exact = Float64Array.from(logits)
  const most = findLargest(exact)
  const normalizer = most + Math.log(exact.reduce((total, logit) => total + Math.exp(logit - most), 0))
  return exact.map((logit) => logit - normalizer)
}

const findLargest = (scores: Float64Array): number => scores.reduce((a, b) => Math.max(a, b), -Infinity)

/**
 * The tokens to sample from with their probabilities (as scores), the most likely first.
 * @param u without top-p, the list may end where the sum of probabilities exceeds u, since the draw u needs no more: most of a vocabulary stays unsorted
 */
export const samplingDistribution = (logits: Logits, { temperature, topK, topP }: Sampling, u = Infinity): readonly ScoredToken[] => {
  const scores = Float64Array.from(logits)
  const kept = topK === null ? null : largest(scores, topK)
  // tokens of equal scores stay together, as in transformers
  const least = kept === null || kept.length < (topK ?? 0) ? -Infinity : (kept.at(-1)?.score ?? -Infinity)
  const most = findLargest(scores)
  const powers = scores.map((score) => (score >= least ? Math.exp((score - most) / temperature) : 0)) // at most 1, at any temperature
  const total = powers.reduce((a, b) => a + b, 0)
  const needed = topP >= 1 ? u : topP
  const rarest = (1 - topP) / powers.length // a token less likely than that is in the tail, whatever the order
  for (const floor of [1e-3, 1e-5, 1e-8]) {
    const probable = listDown(powers, total, Math.max(floor, rarest))
    if (probable.reduce((sum, { score }) => sum + score, 0) > needed) return topP >= 1 ? probable : normalized(head(probable, topP))
  }
  const probable = listDown(powers, total, rarest)
  return topP >= 1 ? probable : normalized(head(probable, topP))
}

/** The tokens of at least this probability, the most likely first. */
const listDown = (powers: Float64Array, total: number, least: number): readonly ScoredToken[] => {
  const probable: ScoredToken[] = []
  powers.forEach((power, token) => {
    if (power > 0 && power / total >= least) probable.push({ token, score: power / total })
  })
  return probable.sort((a, b) => b.score - a.score || a.token - b.token)
}

/** The first tokens that together have the probability: at least one. */
const head = (probable: readonly ScoredToken[], topP: number): readonly ScoredToken[] => {
  let before = 0
  const end = probable.findIndex(({ score }) => {
    before += score
    return before >= topP
  })
  return end < 0 ? probable : probable.slice(0, end + 1)
}

const normalized = (probable: readonly ScoredToken[]): readonly ScoredToken[] => {
  const total = probable.reduce((sum, { score }) => sum + score, 0)
  return probable.map(({ token, score }) => ({ token, score: score / total }))
}

/** The token at which the sum of probabilities exceeds u; NaN for an empty list. @param u uniform on (0, 1) */
export const sample = (probable: readonly ScoredToken[], u: number): number => {
  let sum = 0
  const drawn = probable.find(({ score }) => {
    sum += score
    return u < sum
  })
  return (drawn ?? probable.at(-1))?.token ?? NaN // rounding may leave the sum a little below 1
}
