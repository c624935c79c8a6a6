/**
 * Beam search of one prompt, as in transformers (early_stopping = False). The score of a finished text is its log-probability over lengthᵖᵉⁿᵃˡᵗʸ. The
 * search ends when the best running text, ended now, would not beat the worst finished one.
 */
import { largest } from './sampling.js'
import type { Continuation } from './decoder.js'

/** tokens: those after the prompt · score: their log-probability; for a finished text, over lengthᵖᵉⁿᵃˡᵗʸ */
export type Beam = { readonly tokens: readonly number[]; readonly score: number }

type BeamSettings = {
  readonly numBeams: number
  readonly lengthPenalty: number
  readonly maxNewTokens: number
  /** number of tokens that may end a text: the search considers this many more candidates */
  readonly ends: number
  /** whether a text ends with its last token */
  readonly isEnd: (tokens: readonly number[]) => boolean
}

export type Search = {
  /** the best first, at most `numBeams` */
  readonly running: readonly Beam[]
  /** the best first, at most `numBeams` */
  readonly finished: readonly Beam[]
  readonly done: boolean
}

export const initialSearch: Search = { running: [{ tokens: [], score: 0 }], finished: [], done: false }

/**
 * Appends one token. logProbabilities: of the next token of each running text, [vocabulary] each. Returns the search and, for each text that
 * continues, the index of the running text that it continues, and its token.
 */
export const searchStep = (
  { running, finished }: Search,
  logProbabilities: readonly Float64Array[],
  { numBeams, lengthPenalty, maxNewTokens, ends, isEnd }: BeamSettings,
): { readonly search: Search; readonly continuations: readonly Continuation[] } => {
  const count = Math.max(2, 1 + ends) * numBeams // enough to keep numBeams running texts if all others end
  const candidates = running
    .flatMap(({ tokens, score }, from) =>
      largest(logProbabilities[from] ?? [], count).map(({ token, score: logProbability }) => ({
        from,
        token,
        tokens: [...tokens, token],
        score: score + logProbability,
      })),
    )
    .sort((a, b) => b.score - a.score || a.from - b.from)
    .slice(0, count)
    .map((candidate, rank) => ({
      ...candidate,
      rank,
      ended: candidate.tokens.length >= maxNewTokens || isEnd(candidate.tokens),
    }))
  const continuing = candidates.filter(({ ended }) => !ended).slice(0, numBeams)
  const length = (running[0]?.tokens.length ?? 0) + 1
  const ended = candidates
    .filter((candidate) => candidate.ended && candidate.rank < numBeams) // later candidates only replace ended ones
    .map(({ tokens, score }) => ({ tokens, score: score / length ** lengthPenalty }))
  const best = [...finished, ...ended].sort((a, b) => b.score - a.score).slice(0, numBeams)
  const [first, worst] = [continuing[0], best.length < numBeams ? -Infinity : (best.at(-1)?.score ?? -Infinity)]
  return {
    search: {
      running: continuing.map(({ tokens, score }) => ({ tokens, score })),
      finished: best,
      done: first === undefined || first.score / length ** lengthPenalty <= worst,
    },
    continuations: continuing.map(({ from, token }) => ({ from, token })),
  }
}
