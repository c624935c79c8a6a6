/** The unigram model (Kudo, 2018): the segmentation of a word whose pieces have the largest sum of log probabilities. */

/** Pieces and their log probabilities. A piece's id is its index. */
export type ScoredPieces = readonly (readonly [piece: string, score: number])[]

/** The log probability of an unknown character is this much below that of the least likely piece, as in SentencePiece. */
const unknownPenalty = 10

/**
 * Segments words into pieces. Adjacent unknown characters are one unknown piece. The cost is the length of a word times that of the longest piece.
 * @param unknown the index of the unknown piece
 * @param mark the character before which texts are cut into words; null if they already are
 */
export const unigram = (pieces: ScoredPieces, unknown: number, mark: string | null): ((words: readonly string[]) => readonly string[]) => {
  const scores = new Map(pieces)
  const longest = pieces.reduce((most, [piece]) => Math.max(most, piece.length), 2) // a character has at most 2 units
  const unknownPiece = pieces[unknown]?.[0] ?? ''
  const unknownScore = pieces.reduce((least, [, score]) => Math.min(least, score), Infinity) - unknownPenalty

  /** Viterbi: the best segmentation up to each index. Of equally good ones, that with the longest last piece. */
  const segment = (word: string): readonly string[] => {
    const best = new Float64Array(word.length + 1)
    const from = new Int32Array(word.length + 1).fill(-1)
    const isPiece = new Uint8Array(word.length + 1)
    for (let start = 0, next = 0; start < word.length; start = next) {
      next = start + ((word.codePointAt(start) ?? 0) > 0xffff ? 2 : 1)
      for (let end = next; end <= Math.min(start + longest, word.length); end++) {
        const score = scores.get(word.slice(start, end))
        if (score === undefined && end > next) continue
        const candidate = (best[start] ?? 0) + (score ?? unknownScore)
        if (from[end] !== -1 && candidate <= (best[end] ?? 0)) continue
        best[end] = candidate
        from[end] = start
        isPiece[end] = score === undefined ? 0 : 1
      }
    }
    const backwards: string[] = []
    for (let end = word.length, unknownAfter = false; end > 0; end = from[end] ?? 0) {
      const isKnown = isPiece[end] === 1
      if (isKnown) backwards.push(word.slice(from[end], end))
      else if (!unknownAfter) backwards.push(unknownPiece)
      unknownAfter = !isKnown
    }
    return backwards.reverse()
  }
  return (words) => words.flatMap((text) => (mark === null ? [text] : splitWords(text, mark))).flatMap(segment)
}

/** `▁a▁▁b` → `▁a`, `▁`, `▁b` */
const splitWords = (text: string, mark: string): readonly string[] => {
  const [first = '', ...others] = text.split(mark)
  return [...(first === '' ? [] : [first]), ...others.map((word) => `${mark}${word}`)]
}
