/** Log-probabilities of given tokens, each with its text and the likeliest tokens in its place. */
import { inputError } from '../errors/inputError.js'
import type { Decode } from './answers.js'
import type { Decoder, Logits } from './decoder.js'
import { largest, logProbabilities } from './sampling.js'

export type TokenScore = {
  /** what the token adds to the text before it; of one that adds nothing, its name */
  readonly text: string
  /** whether it adds nothing: a special token, or the first bytes of a letter */
  readonly isSpecial: boolean
  /** null: there is nothing before the token */
  readonly logProbability: number | null
  /** the likeliest tokens in its place, the best first */
  readonly top: readonly { readonly text: string; readonly logProbability: number }[]
}

/** Earlier tokens to decode with a token: some decoders drop a blank at the start of a text. */
const context = 5

type Text = {
  readonly decode: Decode
  /** a token as the vocabulary writes it */
  readonly idToToken: (id: number) => string | undefined
}

/**
 * Each token after those before it: log softmax of its logits, summed in float64. @param top how many of the likeliest tokens
 * @throws InputError if logits are not finite, or the weights have changed
 */
export const scoreTokens = async (
  decoder: Pick<Decoder, 'score' | 'checkWeights'>,
  { decode, idToToken }: Text,
  ids: readonly number[],
  top: number,
  signal?: AbortSignal,
): Promise<readonly TokenScore[]> => {
  const wholeLetters = (tokens: readonly number[]): string => decode(tokens).replace(/\uFFFD+$/, '')
  const textAt = (at: number, id: number): Pick<TokenScore, 'text' | 'isSpecial'> => {
    const before = ids.slice(Math.max(0, at - context), at)
    const piece = wholeLetters([...before, id]).slice(wholeLetters(before).length)
    return piece === '' ? { text: idToToken(id) ?? '', isSpecial: true } : { text: piece, isSpecial: false }
  }
  const scores: TokenScore[] = [{ ...textAt(0, ids[0] ?? 0), logProbability: null, top: [] }]
  await decoder.checkWeights()
  const take = (logits: Logits, position: number): void => {
    const [next, id] = [position + 1, ids[position + 1]]
    if (id === undefined) return // after the last token
    const all = logProbabilities(logits)
    const logProbability = all[id] ?? NaN
    if (!Number.isFinite(logProbability)) throw inputError(`token ${next + 1}`, 'finite logits from the model and its adapter', 'others')
    const best = largest(all, top).map(({ token, score }) => ({ text: textAt(next, token).text, logProbability: score }))
    scores.push({ ...textAt(next, id), logProbability, top: best })
  }
  await decoder.score(ids, take, signal)
  await decoder.checkWeights()
  return scores
}
