/** salora bleu: how close lines of text are to human ones. */
import type { Command } from 'commander'
import {
  addStatistics,
  type BleuScore,
  type BleuSettings,
  type BleuStatistics,
  bleuDefaults,
  bleuOf,
  bleuSignature,
  bleuSmoothings,
  bleuStatistics,
  bleuTokenizers,
  noStatistics,
  smoothValues,
} from '../../evaluation/bleu/index.js'
import { versions } from '../../finetuning/runs/versions.js'
import { pairedLines } from '../input/pairedFiles.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { choiceOf, numberOf, type Values } from '../options/flagValues.js'
import { counted, plural } from '../format/numbers.js'
import { countProgress } from '../terminal/progress.js'
import type { Terminal } from '../terminal/output.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

const tokenizers = Object.keys(bleuTokenizers) as ReadonlyArray<BleuSettings['tokenize']>

export const addBleu = (command: Command): void => {
  const { tokenize, smoothing } = bleuDefaults
  const { floor, 'add-k': added } = smoothValues
  command.description(
    'Scores lines of text against human ones by corpus BLEU (0 to 100): n-grams of up to four words, the reference closest in length. Line i ' +
      "of each file of references belongs to line i of the hypotheses. Defaults and scores are sacrebleu's; --smooth-method none is that of " +
      "multi-bleu.perl and NLTK's corpus_bleu. Scores compare where the signature is the same.",
  )
  command
    .option('--hypotheses <file>', 'text to score, a line a segment')
    .option('--references <files...>', 'one file or more, each with as many lines')
    .option(
      '--tokenize <name>',
      `13a: mteval-v13a's, for text as people write it; none: at blanks, for text that is tokenized; words: NLTK's word_tokenize (default: ${tokenize})`,
    )
    .option('--lowercase', 'before tokenizing')
    .option(
      '--smooth-method <name>',
      `of a count of 0: ${bleuSmoothings.join(', ')} (default: ${smoothing}, mteval-v13a's, with every tokenizer)`,
    )
    .option('--smooth-value <number>', `of floor, the count instead of 0 (default: ${floor}); of add-k, what is added (default: ${added})`)
    .option('--effective-order', 'only n-grams of the lengths that there are, for a line or two')
  withOutput(
    command,
    [
      'salora bleu --hypotheses translated.txt --references human.txt',
      'salora bleu --hypotheses outputs.txt --references human1.txt human2.txt --tokenize words --lowercase --json',
    ],
    async (given, terminal) => {
      const request = requestOf(given)
      const { statistics, files } = await readStatistics(request, terminal)
      for (const { file, lines, empty, firstEmpty } of files)
        if (empty > 0)
          terminal.warn(`${file}: ${counted(empty)} of ${plural(lines, 'line')} empty (first line ${firstEmpty}), scored as such`)
      const [{ lines, empty: emptyHypotheses } = noLines, ...others] = files
      const told = { lines, emptyHypotheses, emptyReferences: others.map(({ empty }) => empty) }
      const score = bleuOf(statistics, request.settings)
      const signature = `${bleuSignature(request.references.length, request.settings)}|version:salora-${versions['salora']}`
      terminal.result(scoreText(score, signature, lines), { ...score, ...told, signature })
      return exitCodes.success
    },
  )
}

type Request = { readonly hypotheses: string; readonly references: ReadonlyArray<string>; readonly settings: BleuSettings }

const requestOf = (given: Values): Request => {
  const { hypotheses, references } = given
  if (typeof hypotheses !== 'string') throw usageError('--hypotheses', 'a file of lines to score', 'none given')
  if (!Array.isArray(references)) throw usageError('--references', 'one or more files of human lines', 'none given')
  const smoothing = choiceOf(given, 'smoothMethod', bleuSmoothings) ?? bleuDefaults.smoothing
  return {
    hypotheses,
    references: references.map(String),
    settings: {
      tokenize: choiceOf(given, 'tokenize', tokenizers) ?? bleuDefaults.tokenize,
      lowercase: given['lowercase'] === true,
      smoothing,
      ...(given['smoothValue'] === undefined ? {} : { smoothValue: smoothValueOf(smoothing, String(given['smoothValue'])) }),
      effectiveOrder: given['effectiveOrder'] === true,
    },
  }
}

const smoothValueOf = (smoothing: BleuSettings['smoothing'], written: string): number => {
  const taking = Object.keys(smoothValues).join(' or ')
  if (smoothValues[smoothing] === undefined) throw usageError('--smooth-value', `--smooth-method ${taking} beside it`, smoothing)
  const value = numberOf('--smooth-value', written)
  if (value <= 0) throw usageError('--smooth-value', 'a number above 0', written)
  return value
}

type LineCount = { readonly lines: number; readonly empty: number; readonly firstEmpty: number | null }
const noLines: LineCount = { lines: 0, empty: 0, firstEmpty: null }

const addLines = ({ lines, empty, firstEmpty }: LineCount, more: ReadonlyArray<string>): LineCount => {
  const isEmpty = more.map((line) => bleuTokenizers.none(line).length === 0)
  const first = isEmpty.indexOf(true)
  return {
    lines: lines + more.length,
    empty: empty + isEmpty.filter((it) => it).length,
    firstEmpty: firstEmpty ?? (first < 0 ? null : lines + first + 1),
  }
}

type Read = { readonly statistics: BleuStatistics; readonly files: ReadonlyArray<LineCount & { readonly file: string }> }

const readStatistics = async ({ hypotheses, references, settings }: Request, terminal: Terminal): Promise<Read> => {
  const progress = readingProgress(terminal)
  let statistics = noStatistics
  let files: Read['files'] = [hypotheses, ...references].map((file) => ({ file, ...noLines }))
  try {
    for await (const [own = [], ...others] of pairedLines([hypotheses, ...references], progress.show)) {
      statistics = addStatistics(statistics, bleuStatistics(own, others, settings))
      files = files.map(({ file, ...so }, i) => ({ file, ...addLines(so, (i === 0 ? own : others[i - 1]) ?? []) }))
    }
  } finally {
    progress.close()
  }
  return { statistics, files }
}

/** Megabytes that take more than a few seconds. */
const longWork = 10

const readingProgress = (terminal: Terminal): { readonly show: (bytes: number, of: number) => void; readonly close: () => void } => {
  const bars: ReturnType<typeof countProgress>[] = [] // none until the size is known, and none of a small file
  return {
    show: (bytes, of) => {
      if (of < longWork * 1e6) return
      if (bars.length === 0) bars.push(countProgress('scoring, in MB', Math.ceil(of / 1e6), terminal))
      bars[0]?.show(Math.ceil(bytes / 1e6))
    },
    close: () => bars[0]?.close(),
  }
}

const scoreText = (score: BleuScore, signature: string, lines: number): string =>
  [
    `BLEU             ${score.score.toFixed(2)} of ${plural(lines, 'line')}`,
    `precisions       ${score.precisions.map((precision) => precision.toFixed(1)).join(' / ')}`,
    `brevity penalty  ${score.brevityPenalty.toFixed(3)} (${plural(score.hypothesisLength, 'word')}, ${counted(score.referenceLength)} in the references)`,
    `signature        ${signature}`,
  ].join('\n')
