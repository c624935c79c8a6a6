/** Truncation of a pair of texts: the longer one gives way first (`longest_first`). */
import type { TokenizePrefix } from './prefixTokenizer.js'

/**
 * The lengths that remain of two texts in `room` tokens. The longer text gives way until both are equal. If the room is odd, the longer one
 * keeps the extra token (the second one if they are equally long).
 */
export const longestFirst = (lengthA: number, lengthB: number, room: number): readonly [number, number] => {
  if (lengthA + lengthB <= room) return [lengthA, lengthB]
  const half = Math.floor(room / 2)
  if (lengthA > lengthB) return lengthB <= half ? [room - lengthB, lengthB] : [room - half, half]
  return lengthA <= half ? [lengthA, room - lengthA] : [half, room - half]
}

type Ids = readonly number[]

export type Truncated<T> = { readonly kept: T; readonly isTruncated: boolean }

/** A text truncated to `room` tokens, without tokenizing more of it than that takes. */
export const truncatedText = (ids: TokenizePrefix, text: string, room: number): Truncated<Ids> => {
  const prefix = ids(text, room + 1)
  return { kept: prefix.slice(0, room), isTruncated: prefix.length > room }
}

/** Two texts truncated to `room` tokens together, without tokenizing more of a long text than that takes. */
export const truncatedPair = (ids: TokenizePrefix, text: string, textPair: string, room: number): Truncated<readonly [Ids, Ids]> => {
  const [a, b] = comparablePrefixes(ids, text, textPair, room)
  const [lengthA, lengthB] = longestFirst(a.length, b.length, room)
  return { kept: [a.slice(0, lengthA), b.slice(0, lengthB)], isTruncated: a.length + b.length > room }
}

/** More than `room` tokens of both texts. An odd room takes as many as show which is longer; halves of an even one are equal. */
const comparablePrefixes = (ids: TokenizePrefix, text: string, textPair: string, room: number): readonly [Ids, Ids] => {
  for (let most = room + 1; ; most *= 8) {
    const [a, b] = [ids(text, most).slice(0, most), ids(textPair, most).slice(0, most)]
    if (room % 2 === 0 || a.length < most || b.length < most) return [a, b]
  }
}
