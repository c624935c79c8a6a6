/** salora ngram: trains n-gram language models as lmplz does, and scores text with them as KenLM's query does. */
import { realpath, stat } from 'node:fs/promises'
import type { Command } from 'commander'
import { inputError } from '../../accelerated/errors/inputError.js'
import {
  defaultFallback,
  fileSource,
  highestTrainedOrder,
  ngramFormatOf,
  ngramFormats,
  ngramScorer,
  openNgramModel,
  textScore,
  trainNgram,
  writeNgramModel,
  type Discounts,
  type NgramFormat,
  type NgramOptions,
  type SentenceScore,
  type TextScore,
  type TextSource,
  type TrainedNgram,
} from '../../evaluation/ngram/index.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { numberOf, type Values } from '../options/flagValues.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import { counted, duration, megabytes, plural } from '../format/numbers.js'
import { countProgress } from '../terminal/progress.js'
import type { Terminal } from '../terminal/output.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

export const addNgram = (command: Command): void => {
  command
    .description(
      'N-gram language models with back-off, as KenLM has them: `train` makes one as its lmplz does, `score` scores text as its query does.\n' +
        'salora ngram train --help and salora ngram score --help say the rest.',
    )
    .helpOption('--help', 'this text')
    .helpCommand(false)
    .allowExcessArguments(true)
    .action(() => {
      const [word] = command.args
      throw usageError('salora ngram', 'train or score (--help says more)', word === undefined ? 'neither' : JSON.stringify(word))
    })
  addTrain(command.command('train').summary('a model of a text: interpolated modified Kneser-Ney, as lmplz'))
  addScore(command.command('score').summary('log10 of the probability of each line, and the perplexity of all, as KenLM'))
}

const addTrain = (command: Command): void => {
  command
    .description(
      'Trains a model on a text of one sentence a line, words between blanks: interpolated modified Kneser-Ney smoothing with the counts, discounts ' +
        "and thresholds of KenLM's lmplz, whose ARPA file of the same text has the same numbers to a millionth. Everything is held in memory: about " +
        '170 bytes for each word of the text at order 5.',
    )
    .option('--text <file>', 'the text, plain or gzip (default: standard input)')
    .option('--order <n>', `words of the longest n-grams, 1 to ${highestTrainedOrder} (default: 5)`)
    .option('--output <file>', 'the model')
    .option('--format <name>', `${ngramFormats.join(', ')} (default: arpa.gz for a file .gz, compact for .ngram, else arpa)`)
    .option(
      '--prune <counts...>',
      'by order from 1, the last for those above it: leave n-grams out that occur so often or less; 0 0 1, say',
    )
    .option(
      '--discount-fallback [discounts...]',
      `of counts 1, 2 and more, for orders where the text is too small to estimate them (default where the flag has no value: ${defaultFallback.join(' ')})`,
    )
    .option('--skip-symbols', 'take <s>, </s> and <unk> in the text for blanks, where else they are refused')
  withOutput(
    command,
    [
      'salora ngram train --order 5 --text train.txt --output model.arpa',
      'zcat corpus.gz | salora ngram train --order 3 --prune 0 0 1 --output model.ngram',
    ],
    train,
  )
}

const addScore = (command: Command): void => {
  command
    .description(
      'Scores a text of one sentence a line from <s> to </s>, words between blanks: an ARPA file, plain or gzip, or a compact one of salora ngram train.\n' +
        "perplexity is 10^(−Σ log10 p / words), with the ends of sentences in the sum and not in the count; KenLM's own counts them.",
    )
    .option('--model <file>', 'the model')
    .option('--text <file>', 'the text, plain or gzip (default: standard input)')
    .option('--sentences', 'before the summary a line for each of the text: log10, words, unknown words')
  withOutput(
    command,
    [
      'salora ngram score --model model.arpa --text test.txt',
      "echo 'the food was superb .' | salora ngram score --model model.ngram --json",
    ],
    score,
  )
}

const train = async (given: Values, terminal: Terminal): Promise<number> => {
  const output = fileOf(given, 'output', 'a file to write')
  const [options, format] = [trainOptions(given), formatOf(given, output)]
  await refuseOwnText(given, output)
  const began = performance.now()
  const phases = phaseProgress(terminal)
  const interrupt = watchInterrupt(
    () => terminal.note('stopping; nothing is written'),
    () => phases.close(),
  )
  const { signal } = interrupt
  signal.addEventListener('abort', () => process.stdin.destroy())
  try {
    const source = await sourceOf(given, terminal, (share) => phases.show('read', share))
    const trained = await trainNgram(source, options, {
      signal,
      progress: (phase, share) => phases.show(phase === 'sorting' ? 'sorted' : 'estimated', share),
    })
    await writeNgramModel(output, trained.model, format, { signal, progress: (share) => phases.show('written', share) })
    phases.close()
    for (const { order, replaced } of trained.discounts)
      if (replaced !== null) terminal.warn(`the fall-back's discounts for ${order}-grams: found ${replaced}`)
    const report = await trainReport(trained, output, format, (performance.now() - began) / 1000)
    terminal.result(trainText(report), report)
    return exitCodes.success
  } catch (thrown) {
    const stopped = interrupt.exitCode()
    if (stopped === null) throw thrown
    return stopped // whatever it was that the signal ended
  } finally {
    phases.close()
    interrupt.release()
  }
}

const trainOptions = (given: Values): NgramOptions => ({
  order: given['order'] === undefined ? 5 : numberOf('--order', String(given['order'])),
  prune: numbersOf(given, 'prune'),
  discountFallback: fallbackOf(given),
  skipSymbols: given['skipSymbols'] === true,
})

/** `0 0 1` or `0,0,1`. */
const numbersOf = (given: Values, name: string, flag = `--${name}`): ReadonlyArray<number> => {
  const words = given[name]
  return Array.isArray(words) ? words.flatMap((word) => String(word).split(',')).map((word) => numberOf(flag, word)) : []
}

/** As lmplz: the last that is given is also for the counts above it. */
const fallbackOf = (given: Values): Discounts | null => {
  if (given['discountFallback'] === undefined) return null
  const amounts = numbersOf(given, 'discountFallback', '--discount-fallback')
  if (amounts.length > 3) throw usageError('--discount-fallback', 'at most three discounts', `${amounts.length}`)
  const [
    one = defaultFallback[0],
    two = amounts.length > 0 ? one : defaultFallback[1],
    more = amounts.length > 0 ? two : defaultFallback[2],
  ] = amounts
  return [one, two, more]
}

const formatOf = ({ format }: Values, output: string): NgramFormat => {
  if (format === undefined) return ngramFormatOf(output)
  const found = ngramFormats.find((name) => name === format)
  if (found === undefined) throw usageError('--format', `one of ${ngramFormats.join(', ')}`, JSON.stringify(format))
  return found
}

const fileOf = (given: Values, name: string, what: string): string => {
  const file = given[name]
  if (typeof file !== 'string' || file === '') throw usageError(`--${name}`, what, 'none given')
  return file
}

/** A corpus is not to be lost to a slip of the hand. */
const refuseOwnText = async ({ text }: Values, output: string): Promise<void> => {
  const place = (file: string): Promise<string | null> => realpath(file).catch(() => null)
  if (typeof text !== 'string' || text === '') return
  const found = await place(output)
  if (found !== null && found === (await place(text))) throw usageError('--output', 'another file than --text', JSON.stringify(output))
}

const sourceOf = async ({ text }: Values, { note }: Terminal, read: (share: number) => void): Promise<TextSource> => {
  if (text === '') throw usageError('--text', 'a file', 'an empty name')
  if (typeof text === 'string') {
    const source: TextSource = await fileSource(text, (bytes) => read(bytes / (source.bytes || 1)))
    return source
  }
  if (process.stdin.isTTY === true) note('a sentence and Enter; Ctrl-D ends')
  return { name: 'standard input', bytes: null, chunks: process.stdin }
}

/** A bar for each phase, one after another. */
const phaseProgress = (terminal: Terminal) => {
  let open: { readonly name: string; readonly bar: ReturnType<typeof countProgress> } | null = null
  let percent = -1
  const close = (): void => {
    open?.bar.close()
    open = null
  }
  return {
    close,
    show: (name: string, share: number): void => {
      if (open?.name !== name) {
        close()
        open = { name, bar: countProgress(`percent ${name}`, 100, terminal) }
        percent = 0
      }
      const now = Math.min(100, Math.floor(100 * share))
      if (now === percent) return
      percent = now
      open.bar.show(now)
    },
  }
}

const trainReport = async (
  { sentences, words, ngrams, discounts }: TrainedNgram,
  output: string,
  format: NgramFormat,
  seconds: number,
) => ({
  output,
  format,
  bytes: (await stat(output)).size,
  order: ngrams.length,
  sentences,
  words,
  ngrams: ngrams.map(({ kept, found }, i) => {
    const { discounts: amounts, replaced } = discounts[i] as TrainedNgram['discounts'][number]
    return { order: i + 1, kept, found, discounts: amounts, fallback: replaced !== null }
  }),
  seconds,
  peakMemoryBytes: process.resourceUsage().maxRSS * 1024,
})

const trainText = ({
  sentences,
  words,
  ngrams,
  output,
  bytes,
  seconds,
  peakMemoryBytes,
}: Awaited<ReturnType<typeof trainReport>>): string =>
  [
    `text        ${plural(sentences, 'sentence')}, ${plural(words, 'word')}`,
    ...ngrams.map(
      ({ order, kept, found, discounts, fallback }) =>
        `${order}-grams     ${counted(kept).padStart(11)}${kept === found ? '' : ` of ${counted(found)}`}  discounts ${discounts.map((amount) => amount.toFixed(3)).join(' ')}${fallback ? ' (the fall-back)' : ''}`,
    ),
    `time        ${duration(seconds)}, at most ${megabytes(peakMemoryBytes)} of memory`,
    `model       ${output} (${bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : megabytes(bytes)})`,
  ].join('\n')

const score = async (given: Values, terminal: Terminal): Promise<number> => {
  const file = fileOf(given, 'model', 'a model')
  const phases = phaseProgress(terminal)
  const size = await stat(file).then(
    (found) => found.size,
    () => 1,
  )
  try {
    const model = await openNgramModel(file, { seen: (bytes) => phases.show('opened', bytes / (size || 1)) })
    phases.close()
    const scorer = ngramScorer(model)
    const scores: SentenceScore[] = []
    const source = await sourceOf(given, terminal, (share) => phases.show('scored', share))
    await scorer.lines(source, (one) => void scores.push(one))
    phases.close()
    if (scores.length === 0) throw inputError(source.name, 'a text of at least one line', 'an empty one')
    const { log10: log10Total, ...total } = textScore(scores)
    const lines = given['sentences'] === true ? scores.map(({ log10, words, unknown }) => `${log10.toFixed(6)} ${words} ${unknown}`) : []
    terminal.result([...lines, ...scoreText(total, log10Total)].join('\n'), {
      ...total,
      log10Total,
      log10: scores.map(({ log10 }) => log10),
      unknownByLine: scores.map(({ unknown }) => unknown),
    })
    return exitCodes.success
  } finally {
    phases.close()
  }
}

const scoreText = (
  {
    sentences,
    words,
    unknown,
    perplexity,
    perplexityWithoutUnknown,
    kenlmPerplexity,
    kenlmPerplexityWithoutUnknown,
  }: Omit<TextScore, 'log10'>,
  log10: number,
): ReadonlyArray<string> => {
  const shown = (value: number | null): string => (value === null ? 'none (no words)' : value.toFixed(4))
  return [
    `text        ${plural(sentences, 'sentence')}, ${plural(words, 'word')}, ${counted(unknown)} unknown`,
    `log10       ${log10.toFixed(4)}`,
    `perplexity  ${shown(perplexity)}, without unknown words ${shown(perplexityWithoutUnknown)}`,
    `KenLM's     ${shown(kenlmPerplexity)}, without unknown words ${shown(kenlmPerplexityWithoutUnknown)} (each end of a sentence counts as a word)`,
  ]
}
