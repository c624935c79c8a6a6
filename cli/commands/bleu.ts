/** salora bleu: how close lines of text are to references. */
import {
  addStatistics,
  type BleuScore,
  type BleuSettings,
  type BleuStatistics,
  bleuDefaults,
  computeBleu,
  bleuSignature,
  bleuSmoothings,
  bleuStatistics,
  bleuTokenizers,
  noStatistics,
  smoothValues,
} from '../../evaluation/bleu/bleu.js'
import { choiceFlag, numberFlag, required, severalFlag, switchFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'
import { versions } from '../../finetuning/run/versions.js'
import { counted, plural } from '../format/numbers.js'
import { pairedLines } from '../input/pairedFiles.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import type { Terminal } from '../terminal/output.js'
import { countProgress } from '../terminal/progress.js'

const tokenizers = Object.keys(bleuTokenizers) as readonly BleuSettings['tokenize'][]
const { floor, 'add-k': added } = smoothValues

export const bleu = defineCommand({
  name: 'salora bleu',
  description:
    'Score lines of text against references by corpus BLEU (0 to 100), as sacrebleu does. Line i of each reference file belongs to line i of the hypotheses. Scores with the same signature are comparable.',
  looseWords: { flags: ['hypotheses'] },
  flags: {
    Files: {
      hypotheses: required(textFlag('file', 'Text to score, one segment per line'), 'a file of lines to score'),
      references: required(severalFlag('files', 'Reference files with as many lines'), 'one or more files of reference lines'),
    },
    BLEU: {
      tokenize: choiceFlag(
        tokenizers,
        'name',
        "Tokenizer: 13a (mteval-v13a's, for plain text), none (splits at spaces, for tokenized text) or words (NLTK's word_tokenize)",
        { default: bleuDefaults.tokenize },
      ),
      lowercase: switchFlag('Lowercase before tokenizing'),
      smoothMethod: choiceFlag(
        bleuSmoothings,
        'name',
        `Smoothing of zero counts: ${bleuSmoothings.join(', ')}; none is multi-bleu.perl's`,
        {
          default: bleuDefaults.smoothing,
        },
      ),
      smoothValue: numberFlag('number', 'Value of --smooth-method floor or add-k', {
        above: 0,
        defaultText: `${floor} for floor, ${added} for add-k`,
      }),
      effectiveOrder: switchFlag('Count only n-gram lengths that occur, for very short texts'),
    },
  },
  examples: [
    {
      command: 'salora bleu --hypotheses outputs.txt --references human1.txt human2.txt --tokenize words --lowercase',
      result: 'Prints BLEU, the precisions, the brevity penalty and the signature.',
    },
  ],
  run: async ({ hypotheses, references, tokenize, lowercase, smoothMethod: smoothing, smoothValue, effectiveOrder }, terminal) => {
    if (smoothValue !== null && smoothValues[smoothing] === undefined)
      throw usageError('--smooth-value', `--smooth-method ${Object.keys(smoothValues).join(' or ')} beside it`, smoothing)
    const settings: BleuSettings = { tokenize, lowercase, smoothing, ...(smoothValue === null ? {} : { smoothValue }), effectiveOrder }
    const { statistics, files } = await readStatistics({ hypotheses, references, settings }, terminal)
    for (const { file, lines, empty, firstEmpty } of files)
      if (empty > 0)
        terminal.warn(`${file}: ${counted(empty)} of ${plural(lines, 'line')} empty (first: line ${firstEmpty}), scored as empty`)
    const [{ lines, empty: emptyHypotheses } = noLines, ...others] = files
    const score = computeBleu(statistics, settings)
    const signature = `${bleuSignature(references.length, settings)}|version:salora-${versions['salora']}`
    const emptyReferences = others.map(({ empty }) => empty)
    terminal.result(scoreText(score, signature, lines), { ...score, lines, emptyHypotheses, emptyReferences, signature })
    return exitCodes.success
  },
})

type Request = { readonly hypotheses: string; readonly references: readonly string[]; readonly settings: BleuSettings }

type LineCount = { readonly lines: number; readonly empty: number; readonly firstEmpty: number | null }
const noLines: LineCount = { lines: 0, empty: 0, firstEmpty: null }

const addLines = ({ lines, empty, firstEmpty }: LineCount, more: readonly string[]): LineCount => {
  const isEmpty = more.map((line) => bleuTokenizers.none(line).length === 0)
  const first = isEmpty.indexOf(true)
  return {
    lines: lines + more.length,
    empty: empty + isEmpty.filter((it) => it).length,
    firstEmpty: firstEmpty ?? (first < 0 ? null : lines + first + 1),
  }
}

type Read = { readonly statistics: BleuStatistics; readonly files: readonly (LineCount & { readonly file: string })[] }

const readStatistics = async ({ hypotheses, references, settings }: Request, terminal: Terminal): Promise<Read> => {
  const progress = readingProgress(terminal)
  let statistics = noStatistics
  let files: Read['files'] = [hypotheses, ...references].map((file) => ({ file, ...noLines }))
  try {
    for await (const [outputs = [], ...others] of pairedLines([hypotheses, ...references], progress.show)) {
      statistics = addStatistics(statistics, bleuStatistics(outputs, others, settings))
      files = files.map(({ file, ...count }, i) => ({ file, ...addLines(count, (i === 0 ? outputs : others[i - 1]) ?? []) }))
    }
  } finally {
    progress.close()
  }
  return { statistics, files }
}

/** Megabytes; fewer take only seconds and show no bar. */
const longWork = 10

const readingProgress = (terminal: Terminal): { readonly show: (bytes: number, of: number) => void; readonly close: () => void } => {
  const bars: ReturnType<typeof countProgress>[] = [] // empty until the size is known, and for small files
  return {
    show: (bytes, of) => {
      if (of < longWork * 1e6) return
      if (bars.length === 0) bars.push(countProgress('scoring (MB)', Math.ceil(of / 1e6), terminal))
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
