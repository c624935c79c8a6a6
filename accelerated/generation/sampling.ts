/** Choosing the next token of a row: the likeliest, or one drawn from those that temperature, top-k and top-p leave. As transformers, in that order. */
import type { Logits } from './decoder.js'

export type Sampling = {
  /** logits are divided by it */
  readonly temperature: number
  /** the likeliest so many are left; null: all */
  readonly topK: number | null
  /** the likeliest that have this probability together are left; 1: all */
  readonly topP: number
}

export type ScoredToken = { readonly token: number; readonly score: number }

/** The `count` largest, the largest first; of equal ones the first. NaN is none. */
export const largest = (scores: ArrayLike<number>, count: number): ReadonlyArray<ScoredToken> => {
  const found: ScoredToken[] = []
  for (let token = 0; token < scores.length; token++) {
    const score = scores[token] ?? NaN
    if (!(found.length < count || score > (found.at(-1)?.score ?? NaN)) || Number.isNaN(score)) continue
    let [low, high] = [0, found.length] // the first place whose score is below
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((found[middle]?.score ?? NaN) >= score) low = middle + 1
      else high = middle
    }
    found.splice(low, 0, { token, score })
    if (found.length > count) found.pop()
  }
  return found
}

/** Scores of tokens that a row has already, each once: divided by the penalty above 0, multiplied below (Keskar et al., 2019). */
export const applyRepetitionPenalty = (scores: Logits, seen: Iterable<number>, penalty: number): Logits => {
  if (penalty === 1) return scores
  const changed = scores.slice()
  for (const token of new Set(seen)) {
    const score = scores[token] ?? NaN
    changed[token] = score < 0 ? score * penalty : score / penalty
  }
  return changed
}

/** log softmax, every sum in float64 */
export const logProbabilities = (logits: Logits): Float64Array => {
  const exact = Float64Array.from(logits)
  const most = largestOf(exact)
  const normalizer = most + Math.log(exact.reduce((total, logit) => total + Math.exp(logit - most), 0))
  return exact.map((logit) => logit - normalizer)
}

const largestOf = (scores: Float64Array): number => scores.reduce((a, b) => Math.max(a, b), -Infinity)

/** What a draw is made from: tokens with their probabilities (as scores), which add up to 1, the likeliest first. */
export const samplingDistribution = (logits: Logits, { temperature, topK, topP }: Sampling): ReadonlyArray<ScoredToken> => {
  const scaled = Float64Array.from(logits, (logit) => logit / temperature)
  const kept = topK === null ? null : largest(scaled, topK)
  // equal ones stay together, as in transformers
  const least = kept === null || kept.length < (topK ?? 0) ? -Infinity : (kept.at(-1)?.score ?? -Infinity)
  const most = largestOf(scaled)
  const powers = scaled.map((score) => (score >= least ? Math.exp(score - most) : 0))
  const total = powers.reduce((a, b) => a + b, 0)
  const tail = 1 - topP
  // what is less likely than tail / n is in the tail, whatever the order: most of a vocabulary needs no sorting
  const probable: ScoredToken[] = []
  powers.forEach((power, token) => {
    if (power > 0 && power / total >= tail / powers.length) probable.push({ token, score: power / total })
  })
  probable.sort((a, b) => b.score - a.score || a.token - b.token)
  return topP >= 1 ? probable : normalized(head(probable, topP))
}

/** The first that have the probability together: at least one. */
const head = (probable: ReadonlyArray<ScoredToken>, topP: number): ReadonlyArray<ScoredToken> => {
  let before = 0
  const end = probable.findIndex(({ score }) => {
    before += score
    return before >= topP
  })
  return end < 0 ? probable : probable.slice(0, end + 1)
}

const normalized = (probable: ReadonlyArray<ScoredToken>): ReadonlyArray<ScoredToken> => {
  const total = probable.reduce((sum, { score }) => sum + score, 0)
  return probable.map(({ token, score }) => ({ token, score: score / total }))
}

/** The token at which the sum of probabilities passes u; NaN where there is none. @param u uniform on (0, 1) */
export const sample = (probable: ReadonlyArray<ScoredToken>, u: number): number => {
  let sum = 0
  const found = probable.find(({ score }) => {
    sum += score
    return u < sum
  })
  return (found ?? probable.at(-1))?.token ?? NaN // rounding may leave the sum a little below 1
}
