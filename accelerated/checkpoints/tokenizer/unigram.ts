/** The unigram model (Kudo, 2018): of all ways to cut a word into pieces, that whose pieces' log probabilities add up to most. */

/** Pieces and their log probabilities. A piece's id is its place. */
export type ScoredPieces = ReadonlyArray<readonly [piece: string, score: number]>

/** How much less likely than the least likely piece a character is that is none: SentencePiece's. */
const unknownPenalty = 10

/**
 * Words to pieces; unknown characters next to each other are one unknown piece. A word costs its characters times those of the longest piece.
 * @param unknown the place of the unknown piece
 * @param mark the character before which words are cut; null where they come cut
 */
export const unigram = (
  pieces: ScoredPieces,
  unknown: number,
  mark: string | null,
): ((words: ReadonlyArray<string>) => ReadonlyArray<string>) => {
  const scores = new Map(pieces)
  const longest = pieces.reduce((most, [piece]) => Math.max(most, piece.length), 2) // no character is longer
  const unknownPiece = pieces[unknown]?.[0] ?? ''
  const unknownScore = pieces.reduce((least, [, score]) => Math.min(least, score), Infinity) - unknownPenalty

  /** Viterbi: of each place the best way to it, which of equals is that with the longest last piece. */
  const cut = (word: string): ReadonlyArray<string> => {
    const best = new Float64Array(word.length + 1)
    const from = new Int32Array(word.length + 1).fill(-1)
    const known = new Uint8Array(word.length + 1)
    for (let start = 0, next = 0; start < word.length; start = next) {
      next = start + ((word.codePointAt(start) ?? 0) > 0xffff ? 2 : 1)
      for (let end = next; end <= Math.min(start + longest, word.length); end++) {
        const score = scores.get(word.slice(start, end))
        if (score === undefined && end > next) continue
        const candidate = (best[start] ?? 0) + (score ?? unknownScore)
        if (from[end] !== -1 && candidate <= (best[end] ?? 0)) continue
        best[end] = candidate
        from[end] = start
        known[end] = score === undefined ? 0 : 1
      }
    }
    const backwards: string[] = []
    for (let end = word.length, unknownAfter = false; end > 0; end = from[end] ?? 0) {
      const isKnown = known[end] === 1
      if (isKnown) backwards.push(word.slice(from[end], end))
      else if (!unknownAfter) backwards.push(unknownPiece)
      unknownAfter = !isKnown
    }
    return backwards.reverse()
  }
  return (words) => words.flatMap((text) => (mark === null ? [text] : wordsOf(text, mark))).flatMap(cut)
}

/** `▁a▁▁b` → `▁a`, `▁`, `▁b` */
const wordsOf = (text: string, mark: string): ReadonlyArray<string> => {
  const [first = '', ...others] = text.split(mark)
  return [...(first === '' ? [] : [first]), ...others.map((word) => `${mark}${word}`)]
}
