/** BLEU as in sacrebleu: of a corpus, of one sentence, or summed over parts of a corpus that does not fit into memory. */
import { type BleuScore, type BleuSmoothing, scoreOf, smoothValues } from './smoothing.js'
import { addStatistics, type BleuStatistics, noStatistics, segmentStatistics } from './statistics.js'
import { type BleuTokenizer, bleuTokenizers } from './tokenizers.js'

export type BleuSettings = {
  readonly tokenize: BleuTokenizer
  /** before tokenizing */
  readonly lowercase: boolean
  readonly smoothing: BleuSmoothing
  /** of floor (0.1 unless given) and add-k (1) */
  readonly smoothValue?: number
  readonly effectiveOrder: boolean
}

/** sacrebleu's defaults. */
export const bleuDefaults: BleuSettings = { tokenize: '13a', lowercase: false, smoothing: 'exp', effectiveOrder: false }

/** Lines of text. References are one list per file: references[k][i] belongs to hypotheses[i]. */
type Lines = ReadonlyArray<string>

/**
 * Corpus BLEU (Papineni et al., 2002): score and precisions from 0 to 100. An empty line counts as a line without words.
 * @throws Error if there is no reference, or a reference has another number of lines than the hypotheses
 */
export const corpusBleu = (hypotheses: Lines, references: ReadonlyArray<Lines>, settings: Partial<BleuSettings> = {}): BleuScore =>
  bleuOf(bleuStatistics(hypotheses, references, settings), settings)

/** BLEU of one sentence. Unless `effectiveOrder` is false, only orders that the sentence has n-grams of count. */
export const sentenceBleu = (hypothesis: string, references: Lines, settings: Partial<BleuSettings> = {}): BleuScore =>
  corpusBleu(
    [hypothesis],
    references.map((reference) => [reference]),
    { effectiveOrder: true, ...settings },
  )

/** Counts of a part of a corpus: add them with `addStatistics`, score them with `bleuOf`. @throws Error as corpusBleu */
export const bleuStatistics = (
  hypotheses: Lines,
  references: ReadonlyArray<Lines>,
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

/** The score of summed counts. */
export const bleuOf = (statistics: BleuStatistics, settings: Partial<BleuSettings> = {}): BleuScore => {
  const { smoothing, smoothValue, effectiveOrder } = { ...bleuDefaults, ...settings }
  return scoreOf(statistics, { smoothing, smoothValue: smoothValue ?? smoothValues[smoothing] ?? 0, effectiveOrder })
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
