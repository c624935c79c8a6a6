/** The counts behind BLEU, which add up over segments: n-grams shared with the references, and lengths (Papineni et al., 2002). */

/** The longest n-grams counted; BLEU without a number is BLEU-4. */
export const maximumOrder = 4

export type BleuStatistics = {
  /** matched n-grams by n from 1 to 4; each is clipped at its largest count in a reference */
  readonly counts: ReadonlyArray<number>
  /** n-grams of the hypotheses, by n */
  readonly totals: ReadonlyArray<number>
  /** words of the hypotheses */
  readonly hypothesisLength: number
  /** words of the reference closest in length, summed over segments; the shorter one of two equally close */
  readonly referenceLength: number
}

const zeros: ReadonlyArray<number> = new Array<number>(maximumOrder).fill(0)

/** The counts of no segment. */
export const noStatistics: BleuStatistics = { counts: zeros, totals: zeros, hypothesisLength: 0, referenceLength: 0 }

export const addStatistics = (a: BleuStatistics, b: BleuStatistics): BleuStatistics => ({
  counts: a.counts.map((count, n) => count + (b.counts[n] ?? 0)),
  totals: a.totals.map((total, n) => total + (b.totals[n] ?? 0)),
  hypothesisLength: a.hypothesisLength + b.hypothesisLength,
  referenceLength: a.referenceLength + b.referenceLength,
})

type Words = ReadonlyArray<string>
/** The number of the n-gram that begins at each place; −1 if no reference has it. */
type Numbered = ReadonlyArray<number>

/** Counts of one segment. `references`: at least one */
export const segmentStatistics = (hypothesis: Words, references: ReadonlyArray<Words>): BleuStatistics => {
  const numbers = new Map<string, number>()
  for (const words of references) for (const word of words) if (!numbers.has(word)) numbers.set(word, numbers.size)
  const known = references.map((words): Numbered => words.map((word) => numbers.get(word) ?? -1))
  const numbered: Numbered = hypothesis.map((word) => numbers.get(word) ?? -1)
  return {
    counts: countsOf(numbered, known, numbers.size),
    totals: zeros.map((_, n) => Math.max(0, hypothesis.length - n)),
    hypothesisLength: hypothesis.length,
    referenceLength: closest(
      hypothesis.length,
      references.map(({ length }) => length),
    ),
  }
}

/** Identifies an n-gram by the number of its first n − 1 words and its last word. Both numbers are small, so their combination is exact. */
const countsOf = (hypothesis: Numbered, references: ReadonlyArray<Numbered>, words: number): ReadonlyArray<number> => {
  const counts = [shared(hypothesis, references, words)]
  let [ours, theirs] = [hypothesis, references]
  while (counts.length < maximumOrder) {
    const numbers = new Map<number, number>()
    const pairs = (grams: Numbered, last: Numbered, number: (pair: number) => number): Numbered =>
      grams.slice(0, -1).map((gram, at) => {
        const next = last[at + counts.length] ?? -1
        return gram < 0 || next < 0 ? -1 : number(gram * words + next)
      })
    theirs = theirs.map((grams, k) =>
      pairs(grams, references[k] ?? [], (pair) => {
        const known = numbers.get(pair) ?? numbers.size
        numbers.set(pair, known)
        return known
      }),
    )
    ours = pairs(ours, hypothesis, (pair) => numbers.get(pair) ?? -1)
    counts.push(shared(ours, theirs, numbers.size))
  }
  return counts
}

/** Σ over n-grams of min(count in the hypothesis, largest count in a reference). */
const shared = (hypothesis: Numbered, references: ReadonlyArray<Numbered>, size: number): number => {
  const left = new Uint32Array(size)
  for (const grams of references) {
    const counted = references.length === 1 ? left : new Uint32Array(size)
    for (const gram of grams) if (gram >= 0) counted[gram] = (counted[gram] ?? 0) + 1
    if (counted !== left) for (const [gram, count] of counted.entries()) left[gram] = Math.max(left[gram] ?? 0, count)
  }
  let count = 0
  for (const gram of hypothesis)
    if (gram >= 0 && (left[gram] ?? 0) > 0) {
      left[gram] = (left[gram] ?? 0) - 1
      count++
    }
  return count
}

const closest = (length: number, of: ReadonlyArray<number>): number =>
  of.reduce((best, other) => {
    const difference = Math.abs(other - length) - Math.abs(best - length)
    return difference < 0 || (difference === 0 && other < best) ? other : best
  })
