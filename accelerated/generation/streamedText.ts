/** The text of tokens as they come: what is certain of it, and its end where it was to stop at a text of its own. */

export type Decode = (ids: ReadonlyArray<number>) => string

export type StreamedText = {
  /** → what has become certain with this token: no half of a letter, and nothing that may be the beginning of a text to stop at */
  readonly push: (token: number) => string
  /** → the rest, once no token follows */
  readonly end: () => string
  /** all that was handed out */
  readonly text: () => string
}

/** Tokens before the new ones that are decoded with them, more where these have no text: some decoders drop a blank at the very beginning. */
const context = 5

/** So many of the last tokens that they have a text; all of them where none has. */
const withText = (ids: ReadonlyArray<number>, decode: Decode): ReadonlyArray<number> => {
  let count = context
  while (count < ids.length && decode(ids.slice(-count)) === '') count *= 2
  return ids.slice(-count)
}

/** What a decoder makes of bytes that are no letter yet. */
const unfinished = '\ufffd'

/** @param stops texts to stop at, which are left out @param prompt the tokens before */
export const streamedText = (decode: Decode, stops: ReadonlyArray<string>, prompt: ReadonlyArray<number>): StreamedText => {
  let pending: number[] = [] // not decoded to whole letters yet
  let before = withText(prompt, decode)
  let [decoded, handed, stopped] = ['', 0, false]
  const take = (): void => {
    const [old, all] = [decode(before), decode([...before, ...pending])]
    decoded += all.slice(old.length)
    before = withText([...before, ...pending], decode)
    pending = []
  }
  const hand = (upTo: number): string => {
    const piece = decoded.slice(handed, upTo)
    handed = Math.max(handed, upTo)
    return piece
  }
  const handCertain = (): string => {
    const at = firstOf(decoded, stops)
    if (at >= 0) {
      stopped = true
      decoded = decoded.slice(0, at)
      return hand(at)
    }
    return hand(decoded.length - beginning(decoded, stops))
  }
  return {
    push: (token) => {
      if (stopped) return ''
      pending.push(token)
      if (decode([...before, ...pending]).endsWith(unfinished)) return ''
      take()
      return handCertain()
    },
    end: () => {
      if (stopped) return ''
      take()
      return handCertain() + (stopped ? '' : hand(decoded.length))
    },
    text: () => decoded.slice(0, handed),
  }
}

/** Whether the text of tokens has one of the texts to stop at in the part that its last token is of. */
export const stopsAt =
  (decode: Decode, stops: ReadonlyArray<string>) =>
  (tokens: ReadonlyArray<number>, prompt: ReadonlyArray<number>): boolean => {
    if (stops.length === 0) return false
    const longest = stops.reduce((most, { length }) => Math.max(most, length), 0)
    const enough = 4 * (longest + 1) // a letter may be four tokens, and the first token may be a part of one
    if (tokens.length > enough) return firstOf(decode(tokens.slice(-enough)), stops) >= 0
    const before = withText(prompt, decode)
    return firstOf(decode([...before, ...tokens]).slice(decode(before).length), stops) >= 0
  }

/** Whether the text of tokens has a whole line that is not blank. */
export const stopsAtLine =
  (decode: Decode) =>
  (tokens: ReadonlyArray<number>): boolean =>
    decode(tokens).trimStart().includes('\n')

/** Where the first of `parts` begins; −1: nowhere. */
const firstOf = (text: string, parts: ReadonlyArray<string>): number =>
  parts
    .map((part) => text.indexOf(part))
    .filter((at) => at >= 0)
    .reduce((least, at) => (least < 0 ? at : Math.min(least, at)), -1)

/** Length of the longest end of the text that is the beginning of one of `parts`. */
const beginning = (text: string, parts: ReadonlyArray<string>): number =>
  parts.reduce((most, part) => {
    const lengths = Array.from({ length: Math.min(part.length - 1, text.length) }, (_, i) => i + 1)
    return Math.max(most, ...lengths.filter((length) => text.endsWith(part.slice(0, length))))
  }, 0)
