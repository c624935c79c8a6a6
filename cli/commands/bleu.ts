/** salora bleu: how close lines of text are to references. */
import pMap from 'p-map'
import { inputError, oneLine } from '../../accelerated/errors/inputError.js'
import { openRegularFile } from '../../accelerated/storage/nodeFiles.js'
import {
  type BleuScore,
  type BleuSettings,
  bleuDefaults,
  bleuSignature,
  bleuSmoothings,
  bleuTokenizers,
  corpusBleu,
  smoothValues,
} from '../../evaluation/bleu/bleu.js'
import { choiceFlag, numberFlag, required, severalFlag, switchFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'
import { versions } from '../../finetuning/run/versions.js'
import { counted, plural } from '../format/numbers.js'
import { lineText, textLines, unchanged } from '../input/textLines.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'

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
    const files = [hypotheses, ...references]
    const [outputs = [], ...others] = await readAligned(files)
    const empty = [outputs, ...others].map(listEmpty)
    for (const [i, { length, 0: first = 0 }] of empty.entries())
      if (length > 0)
        terminal.warn(
          `${files[i]}: ${counted(length)} of ${plural(outputs.length, 'line')} empty (first: line ${first + 1}), scored as empty`,
        )
    const score = corpusBleu(outputs, others, settings)
    const signature = `${bleuSignature(references.length, settings)}|version:salora-${versions['salora']}`
    const [emptyHypotheses, ...emptyReferences] = empty.map(({ length }) => length)
    const lines = outputs.length
    terminal.result(scoreText(score, signature, lines), { ...score, lines, emptyHypotheses, emptyReferences, signature })
    return exitCodes.success
  },
})

/** The numbers of the lines without a word, from 0. */
const listEmpty = (lines: readonly string[]): readonly number[] =>
  lines.flatMap((line, i) => (bleuTokenizers.none(line).length === 0 ? [i] : []))

/** Lines of a file, and bytes of a line: far more than evaluations have. */
const [mostLines, longestLine] = [1_000_000, 1_000_000]

/** The lines of each file, as many of each. @throws InputError for a file that is unreadable, empty, too long, not UTF-8, or has other numbers of lines */
const readAligned = async (files: readonly string[]): Promise<readonly (readonly string[])[]> => {
  const [first, ...others] = await pMap(files, readLines, { concurrency: 1 })
  const other = others.findIndex(({ length }) => length !== first?.length)
  if (other >= 0)
    throw inputError(
      files[other + 1] ?? '',
      `${counted(first?.length ?? 0)} lines, as many as ${oneLine(files[0] ?? '')} has`,
      counted(others[other]?.length ?? 0),
    )
  return [first ?? [], ...others]
}

const readLines = async (file: string): Promise<readonly string[]> => {
  const lines: string[] = []
  const { handle } = await openRegularFile(file)
  for await (const group of textLines(handle.createReadStream(), unchanged, longestLine)) {
    for (const line of group) lines.push(lineText(file, line))
    if (lines.length > mostLines) throw inputError(file, `at most ${counted(mostLines)} lines`, 'more')
  }
  if (lines.length === 0) throw inputError(file, 'at least one line', 'an empty file')
  return lines
}

const scoreText = (score: BleuScore, signature: string, lines: number): string =>
  [
    `BLEU             ${score.score.toFixed(2)} of ${plural(lines, 'line')}`,
    `precisions       ${score.precisions.map((precision) => precision.toFixed(1)).join(' / ')}`,
    `brevity penalty  ${score.brevityPenalty.toFixed(3)} (${plural(score.hypothesisLength, 'word')}, ${counted(score.referenceLength)} in the references)`,
    `signature        ${signature}`,
  ].join('\n')
