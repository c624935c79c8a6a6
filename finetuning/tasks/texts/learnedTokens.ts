/** Tokens of a text with the parts that are learned: tokenized segments, the end of text, and truncation. */
import { longestFirst, type Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'

/** Tokens of a text; `learned[i]`: whether the loss covers token i. */
export type LearnedTokens = { readonly ids: readonly number[]; readonly learned: readonly boolean[] }

/** A part of a text, and whether the loss covers it. */
export type Segment = { readonly text: string; readonly learned: boolean }

/** Tokenizes the joined text. A token that spans two segments belongs to the segment in which it ends. */
export const segmentTokens = (
  tokenizer: Pick<Tokenizer, 'shared'>,
  segments: readonly Segment[],
  start: readonly number[],
): LearnedTokens => {
  const ends: number[] = []
  for (const { text } of segments.slice(0, -1)) ends.push((ends.at(-1) ?? 0) + text.length)
  const { ids, shared } = tokenizer.shared(segments.map(({ text }) => text).join(''), ends)
  const learned = new Array<boolean>(ids.length).fill(false)
  let from = 0
  segments.forEach((segment, i) => {
    const to = shared[i] ?? ids.length
    if (segment.learned) learned.fill(true, from, to)
    from = to
  })
  return { ids: [...start, ...ids], learned: [...start.map(() => false), ...learned] }
}

/** How many tokens two lists share at their beginning. */
export const commonLength = (a: readonly number[], b: readonly number[]): number => {
  const at = a.findIndex((id, i) => id !== b[i])
  return at === -1 ? Math.min(a.length, b.length) : at
}

/**
 * Ends each learned part at its first end-of-text token: what a template writes after it stays in the input, outside the loss.
 * The last learned part gets an end-of-text token if it has none, and everything after it is dropped.
 */
export const withEnd = ({ ids, learned: isLearned }: LearnedTokens, ends: readonly number[]): LearnedTokens => {
  const isEnd = (id: number | undefined): boolean => ends.includes(id ?? -1)
  let ended = false
  const learned = isLearned.map((inPart, i) => {
    const kept = inPart && !ended
    ended = inPart && (ended || isEnd(ids[i]))
    return kept
  })
  const last = learned.lastIndexOf(true)
  const complete = { ids: ids.slice(0, last + 1), learned: learned.slice(0, last + 1) }
  return isEnd(ids[last]) ? complete : { ids: [...complete.ids, ends[0] as number], learned: [...complete.learned, true] }
}

/** Tokens that truncation left out before token `at` of the rest; `exchanges`: they are that many whole exchanges of a conversation. */
export type Cut = { readonly at: number; readonly tokens: number; readonly exchanges?: number }

export type TruncatedTokens = LearnedTokens & { readonly cuts: readonly Cut[] }

/**
 * Truncates to `maxLength` tokens. The prompt (before the first learned token) loses its beginning, the rest its end, the longer one first,
 * so neither is lost as a whole. The first `start` tokens stay.
 */
export const withinLength = ({ ids, learned }: LearnedTokens, start: number, maxLength: number): TruncatedTokens => {
  if (ids.length <= maxLength) return { ids, learned, cuts: [] }
  const first = Math.max(start, learned.indexOf(true))
  const [prompt, response] = longestFirst(first - start, ids.length - first, maxLength - start)
  const truncateParts = <T>(list: readonly T[]): readonly T[] => [
    ...list.slice(0, start),
    ...list.slice(first - prompt, first),
    ...list.slice(first, first + response),
  ]
  const cuts = [
    { at: start, tokens: first - start - prompt },
    { at: start + prompt + response, tokens: ids.length - first - response },
  ]
  return { ids: truncateParts(ids), learned: truncateParts(learned), cuts: cuts.filter(({ tokens }) => tokens > 0) }
}
