/** BLEU as in sacrebleu: of a corpus, of one sentence, or summed over parts of a corpus that does not fit into memory. */
import { splitBlanks, withoutLastBlanks } from '../../accelerated/checkpoints/tokenizer/pythonBlanks.js'
import { treebankWords } from '../../finetuning/data/treebankWords.js'

export type BleuSettings = {
  readonly tokenize: BleuTokenizer
  /** before tokenizing */
  readonly lowercase: boolean
  readonly smoothing: BleuSmoothing
  /** of floor (0.1 unless given) and add-k (1), above 0 */
  readonly smoothValue?: number
  /** average only orders that have n-grams: a text of fewer than four words has no other score than 0 without it */
  readonly effectiveOrder: boolean
}

/** sacrebleu's defaults. */
export const bleuDefaults: BleuSettings = { tokenize: '13a', lowercase: false, smoothing: 'exp', effectiveOrder: false }

/** Lines of text. References are one list per file: references[k][i] belongs to hypotheses[i]. */
type Lines = readonly string[]

/**
 * Corpus BLEU (Papineni et al., 2002): score and precisions from 0 to 100. An empty line counts as a line without words.
 * @throws Error if there is no reference, or a reference has another number of lines than the hypotheses
 */
export const corpusBleu = (hypotheses: Lines, references: readonly Lines[], settings: Partial<BleuSettings> = {}): BleuScore =>
  computeBleu(bleuStatistics(hypotheses, references, settings), settings)

/** BLEU of one sentence. Unless `effectiveOrder` is false, only orders that the sentence has n-grams of count. */
export const sentenceBleu = (hypothesis: string, references: Lines, settings: Partial<BleuSettings> = {}): BleuScore =>
  corpusBleu(
    [hypothesis],
    references.map((reference) => [reference]),
    { effectiveOrder: true, ...settings },
  )

/** Counts of a part of a corpus: add them with `addStatistics`, score them with `computeBleu`. @throws Error as corpusBleu */
export const bleuStatistics = (
  hypotheses: Lines,
  references: readonly Lines[],
  settings: Partial<Pick<BleuSettings, 'tokenize' | 'lowercase'>> = {},
): BleuStatistics => {
  if (references.length === 0) throw new Error('corpusBleu: expected at least one list of references, got none')
  const other = references.find(({ length }) => length !== hypotheses.length)
  if (other !== undefined)
    throw new Error(`corpusBleu: expected a reference for each of ${hypotheses.length} hypotheses, got ${other.length}`)
  const { tokenize, lowercase } = { ...bleuDefaults, ...settings }
  const cut = bleuTokenizers[tokenize]
  const words = (line = '') => cut(lowercase ? line.toLowerCase() : line)
  return hypotheses.reduce(
    (sum, hypothesis, i) =>
      addStatistics(
        sum,
        segmentStatistics(
          words(hypothesis),
          references.map((lines) => words(lines[i])),
        ),
      ),
    noStatistics,
  )
}

/** The settings as sacrebleu's signature, `nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp`. Scores compare only with equal signatures. */
export const bleuSignature = (references: number, settings: Partial<BleuSettings> = {}): string => {
  const { tokenize, lowercase, smoothing, smoothValue, effectiveOrder } = { ...bleuDefaults, ...settings }
  const value = smoothValues[smoothing] === undefined ? undefined : (smoothValue ?? smoothValues[smoothing])
  return [
    `nrefs:${references}`,
    `case:${lowercase ? 'lc' : 'mixed'}`,
    `eff:${effectiveOrder ? 'yes' : 'no'}`,
    `tok:${tokenize}`,
    `smooth:${smoothing}${value === undefined ? '' : `[${value.toFixed(2)}]`}`,
  ].join('|')
}

// The counts behind BLEU, which add up over segments: n-grams shared with the references, and lengths (Papineni et al., 2002).
/** The longest n-grams counted; BLEU without a number is BLEU-4. */
const maximumOrder = 4

export type BleuStatistics = {
  /** matched n-grams by n from 1 to 4; each is clipped at its largest count in a reference */
  readonly counts: readonly number[]
  /** n-grams of the hypotheses, by n */
  readonly totals: readonly number[]
  /** words of the hypotheses */
  readonly hypothesisLength: number
  /** words of the reference closest in length, summed over segments; the shorter one of two equally close */
  readonly referenceLength: number
}

const zeros: readonly number[] = new Array<number>(maximumOrder).fill(0)

/** The counts of no segment. */
export const noStatistics: BleuStatistics = { counts: zeros, totals: zeros, hypothesisLength: 0, referenceLength: 0 }

export const addStatistics = (a: BleuStatistics, b: BleuStatistics): BleuStatistics => ({
  counts: a.counts.map((count, n) => count + (b.counts[n] ?? 0)),
  totals: a.totals.map((total, n) => total + (b.totals[n] ?? 0)),
  hypothesisLength: a.hypothesisLength + b.hypothesisLength,
  referenceLength: a.referenceLength + b.referenceLength,
})

type Words = readonly string[]

/** Counts of one segment. `references`: at least one */
const segmentStatistics = (hypothesis: Words, references: readonly Words[]): BleuStatistics => ({
  counts: zeros.map((_, n) => matches(hypothesis, references, n + 1)),
  totals: zeros.map((_, n) => Math.max(0, hypothesis.length - n)),
  hypothesisLength: hypothesis.length,
  referenceLength: closest(
    hypothesis.length,
    references.map(({ length }) => length),
  ),
})

/** Σ over n-grams of min(count in the hypothesis, largest count in a reference). */
const matches = (hypothesis: Words, references: readonly Words[], n: number): number => {
  const most = new Map<string, number>()
  for (const reference of references)
    for (const [gram, count] of countNgrams(reference, n)) most.set(gram, Math.max(most.get(gram) ?? 0, count))
  return [...countNgrams(hypothesis, n)].reduce((sum, [gram, count]) => sum + Math.min(count, most.get(gram) ?? 0), 0)
}

/** Words have no blanks, so a blank between them keeps n-grams apart. */
const countNgrams = (words: Words, n: number): ReadonlyMap<string, number> => {
  const counts = new Map<string, number>()
  for (let at = 0; at + n <= words.length; at++) {
    const gram = n === 1 ? (words[at] as string) : words.slice(at, at + n).join(' ')
    counts.set(gram, (counts.get(gram) ?? 0) + 1)
  }
  return counts
}

const closest = (length: number, of: readonly number[]): number =>
  of.reduce((best, other) => {
    const difference = Math.abs(other - length) - Math.abs(best - length)
    return difference < 0 || (difference === 0 && other < best) ? other : best
  })

// From counts to BLEU (Papineni et al., 2002): precisions, smoothed (Chen and Cherry, 2014), their geometric mean, the brevity penalty.
/**
 * How a precision with a count of 0 is smoothed.
 *
 * - `none`: not at all, so the geometric mean is 0
 * - `floor`: its count becomes smoothValue
 * - `add-k`: smoothValue is added to count and total of every n above 1
 * - `exp`: its count becomes 1/2, that of the next zero 1/4, and so on (mteval-v13a)
 */
export const bleuSmoothings = ['none', 'floor', 'add-k', 'exp'] as const
export type BleuSmoothing = (typeof bleuSmoothings)[number]

/** Chen and Cherry's values, for smoothings with a value. */
export const smoothValues: Readonly<Partial<Record<BleuSmoothing, number>>> = { floor: 0.1, 'add-k': 1 }

export type BleuScore = BleuStatistics & {
  /** 0 to 100 */
  readonly score: number
  /** smoothed, 0 to 100, by n from 1 to 4; all 0 if no word is shared */
  readonly precisions: readonly number[]
  /** 1, or e^(1 − referenceLength / hypothesisLength) if the hypotheses are shorter; 0 if they have no word */
  readonly brevityPenalty: number
}

/** The score of summed counts: BLEU = BP · exp(1/4 Σₙ log pₙ), times 100. */
export const computeBleu = (statistics: BleuStatistics, settings: Partial<BleuSettings> = {}): BleuScore => {
  const { smoothing, smoothValue, effectiveOrder } = { ...bleuDefaults, ...settings }
  const { counts, hypothesisLength, referenceLength } = statistics
  const brevityPenalty =
    hypothesisLength >= referenceLength ? 1 : hypothesisLength === 0 ? 0 : Math.exp(1 - referenceLength / hypothesisLength)
  const precisions = counts.some((count) => count > 0) ? smoothed(statistics, smoothing, smoothValue ?? smoothValues[smoothing] ?? 0) : []
  const orders = effectiveOrder ? precisions.length : maximumOrder
  const logarithms = precisions.reduce((sum, precision) => sum + Math.log(precision), 0)
  const mean = precisions.length < orders || orders === 0 ? 0 : Math.exp(logarithms / orders)
  return {
    score: Math.min(100, brevityPenalty * mean), // e^log(100) is rounded to more than 100
    precisions: counts.map((_, n) => precisions[n] ?? 0),
    brevityPenalty,
    ...statistics,
  }
}

/** Precisions of the orders that have n-grams. */
const smoothed = ({ counts, totals }: BleuStatistics, smoothing: BleuSmoothing, smoothValue: number): readonly number[] => {
  const precisions: number[] = []
  let half = 1
  for (const [n, matched] of counts.entries()) {
    const added = smoothing === 'add-k' && n > 0 ? smoothValue : 0
    const [count, total] = [matched + added, (totals[n] ?? 0) + added]
    if (total === 0) break
    if (count === 0 && smoothing === 'exp') half /= 2
    const counted = count > 0 ? count : smoothing === 'exp' ? half : smoothing === 'floor' ? smoothValue : 0
    precisions.push((100 * counted) / total)
  }
  return precisions
}

// Tokenizers by name: they split a line into the words that BLEU compares.
// The tokenizer of WMT's mteval-v13a.pl and sacrebleu's `13a`. Marks are words, except . and , within numbers and - not after one.
/** In this order: `&amp;lt;` is a `<`. */
const entities: readonly (readonly [RegExp, string])[] = [
  [/&quot;/g, '"'],
  [/&amp;/g, '&'],
  [/&lt;/g, '<'],
  [/&gt;/g, '>'],
]

/** Applied in order, each to the whole text. The text has a blank at both ends, so that every mark has neighbors. */
const marks: readonly (readonly [RegExp, string])[] = [
  [/[ -&(-+/:-@[-`{-~]/g, ' $& '], // of ASCII all but ' , - .
  [/([^0-9])([.,])/g, '$1 $2 '],
  [/([.,])([^0-9])/g, ' $1 $2'],
  [/([0-9])-/g, '$1 - '],
]

const replaced = (text: string, rules: readonly (readonly [RegExp, string])[]): string =>
  rules.reduce((so, [pattern, by]) => so.replace(pattern, by), text)

/** Words of a line, which may contain SGML entities. */
const tokenize13a = (line: string): readonly string[] => {
  const joined = withoutLastBlanks(line).replaceAll('<skipped>', '').replaceAll('-\n', '').replaceAll('\n', ' ')
  const plain = joined.includes('&') ? replaced(joined, entities) : joined
  return splitBlanks(replaced(` ${plain} `, marks))
}

/** `13a`: mteval-v13a's, for plain text · `none`: at blanks, for tokenized text · `words`: NLTK's word_tokenize. */
export const bleuTokenizers = { '13a': tokenize13a, none: splitBlanks, words: treebankWords } as const satisfies Readonly<
  Record<string, (line: string) => readonly string[]>
>
export type BleuTokenizer = keyof typeof bleuTokenizers
