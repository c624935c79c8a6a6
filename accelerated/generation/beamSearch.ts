/**
 * Beam search of one prompt, as transformers has it (early_stopping = False): a finished text scores its log-probability over lengthᵖᵉⁿᵃˡᵗʸ, and
 * the search ends when the best text that goes on could not beat the worst of those finished if it ended now.
 */
import { largest } from './sampling.js'
import type { Continuation } from './decoder.js'

/** tokens: those after the prompt; score: their log-probability, and of a finished text that over lengthᵖᵉⁿᵃˡᵗʸ */
export type Beam = { readonly tokens: ReadonlyArray<number>; readonly score: number }

export type BeamSettings = {
  readonly numBeams: number
  readonly lengthPenalty: number
  readonly maxNewTokens: number
  /** how many tokens may end a text: so many more candidates are looked at */
  readonly ends: number
  /** whether a text ends with its last token */
  readonly isEnd: (tokens: ReadonlyArray<number>) => boolean
}

export type Search = {
  /** the best first, at most `beams` */
  readonly running: ReadonlyArray<Beam>
  /** the best first, at most `beams` */
  readonly finished: ReadonlyArray<Beam>
  readonly done: boolean
}

export const startOfSearch: Search = { running: [{ tokens: [], score: 0 }], finished: [], done: false }

/**
 * One token more. logProbabilities: of what follows each running text, [vocabulary] each. → the search, and of each text that goes on which of
 * the running ones it continues (by its place among them) and with which token.
 */
export const searchStep = (
  { running, finished }: Search,
  logProbabilities: ReadonlyArray<Float64Array>,
  { numBeams, lengthPenalty, maxNewTokens, ends, isEnd }: BeamSettings,
): { readonly search: Search; readonly continuations: ReadonlyArray<Continuation> } => {
  const wanted = Math.max(2, 1 + ends) * numBeams // so that as many are left as there are beams, if all others end
  const candidates = running
    .flatMap(({ tokens, score }, from) =>
      largest(logProbabilities[from] ?? [], wanted).map(({ token, score: own }) => ({
        from,
        token,
        tokens: [...tokens, token],
        score: score + own,
      })),
    )
    .sort((a, b) => b.score - a.score || a.from - b.from)
    .slice(0, wanted)
    .map((candidate, place) => ({
      ...candidate,
      place,
      ended: candidate.tokens.length >= maxNewTokens || isEnd(candidate.tokens),
    }))
  const going = candidates.filter(({ ended }) => !ended).slice(0, numBeams)
  const length = (running[0]?.tokens.length ?? 0) + 1
  const ended = candidates
    .filter((candidate) => candidate.ended && candidate.place < numBeams) // those after them only stand in for ended ones
    .map(({ tokens, score }) => ({ tokens, score: score / length ** lengthPenalty }))
  const best = [...finished, ...ended].sort((a, b) => b.score - a.score).slice(0, numBeams)
  const [first, worst] = [going[0], best.length < numBeams ? -Infinity : (best.at(-1)?.score ?? -Infinity)]
  return {
    search: {
      running: going.map(({ tokens, score }) => ({ tokens, score })),
      finished: best,
      done: first === undefined || first.score / length ** lengthPenalty <= worst,
    },
    continuations: going.map(({ from, token }) => ({ from, token })),
  }
}
