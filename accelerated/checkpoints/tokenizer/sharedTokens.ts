/**
 * The tokens of a text, and how many of them each of its beginnings has, too. A tokenizer splits a text at its added tokens first: what
 * is before one of them does not change what is after it. So each beginning is tokenized from the last added token only.
 */
import type { TokenizerFile } from './tokenizerFile.js'

type Ids = readonly number[]
type ToIds = (text: string) => Ids

type SharedTokens = {
  readonly ids: Ids
  /** by end: the tokens of the text's first characters up to it that are the text's own first tokens */
  readonly shared: readonly number[]
}

/** The tokens of a text, and those that its beginnings of `ends` characters (ascending) share with it. */
export type TokenizeShared = (text: string, ends: readonly number[]) => SharedTokens

/** @param dividing the added tokens that divide a text @param split parts of a text, each either an added token or free of them */
export const sharedTokens = (
  tokenizeText: ToIds,
  dividing: ReadonlySet<string>,
  split: (text: string) => readonly string[],
): TokenizeShared => {
  return (text, ends) => {
    const starts = findStarts(split(text), dividing, ends)
    const starting = new Map<number, number>() // tokens before a start
    const ids: number[] = []
    const distinct = [0, ...new Set(starts.filter((start) => start > 0))]
    for (const [i, start] of distinct.entries()) {
      starting.set(start, ids.length)
      for (const id of tokenizeText(text.slice(start, distinct[i + 1]))) ids.push(id)
    }
    const shared = ends.map((end, i) => {
      if (end >= text.length) return ids.length
      const [start, before] = [starts[i] ?? 0, starting.get(starts[i] ?? 0) ?? 0]
      return before + commonTokens(tokenizeText(text.slice(start, end)), ids, before)
    })
    return { ids, shared }
  }
}

/**
 * Those that the library looks for before it normalizes. One with `lstrip` takes blanks from the part before it. One that begins or ends with
 * blanks loses them beside a token that strips.
 */
export const dividingTokens = ({
  added_tokens: added,
  normalizer,
}: Pick<TokenizerFile, 'added_tokens' | 'normalizer'>): ReadonlySet<string> =>
  new Set(
    added
      .filter(({ normalized, special, lstrip, content }) => {
        const isNormalized = normalizer !== null && (normalized ?? special !== true)
        return !isNormalized && lstrip !== true && content === content.trim()
      })
      .map(({ content }) => content),
  )

/** For each end, where the last dividing token starts that is whole before it; 0 without one. */
const findStarts = (parts: readonly string[], dividing: ReadonlySet<string>, ends: readonly number[]): readonly number[] => {
  let [at, part, start] = [0, 0, 0]
  return ends.map((end) => {
    for (; part < parts.length; part++) {
      const text = parts[part] as string
      if (at + text.length > end) break
      if (dividing.has(text)) start = at
      at += text.length
    }
    return start
  })
}

/** How many tokens of `beginning` are those of `ids` from `from` on. */
const commonTokens = (beginning: Ids, ids: Ids, from: number): number => {
  const differs = beginning.findIndex((id, i) => id !== ids[from + i])
  return differs === -1 ? Math.min(beginning.length, ids.length - from) : differs
}
