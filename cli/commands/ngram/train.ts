/** salora ngram train: an n-gram language model of a text, as KenLM's lmplz makes it. */
import { realpath, stat } from 'node:fs/promises'
import { quoted } from '../../../accelerated/errors/inputError.js'
import { defaultFallback, type Discounts } from '../../../evaluation/ngram/kneserNey.js'
import { highestTrainedOrder, trainNgram, type NgramOptions, type TrainedNgram } from '../../../evaluation/ngram/trainNgram.js'
import { writeNgramModel } from '../../../evaluation/ngram/modelFile.js'
import {
  countFlag,
  flag,
  parseNumber,
  required,
  severalFlag,
  switchFlag,
  textFlag,
  type Flag,
} from '../../../finetuning/commandLine/flag.js'
import { usageError } from '../../../finetuning/commandLine/usageError.js'
import { counted, duration, megabytes, plural } from '../../format/numbers.js'
import { defineCommand } from '../../terminal/command.js'
import { exitCodes } from '../../terminal/exit.js'
import { watchInterrupt, type Interrupt } from '../../terminal/interrupt.js'
import type { Terminal } from '../../terminal/output.js'
import { phaseProgress, openSource, textFlags } from './text.js'

/** `0 0 1` or `0,0,1` */
const parseNumbers = (where: string, words: readonly string[]): readonly number[] =>
  words.flatMap((word) => word.split(',')).map((word) => parseNumber(where, word))

const pruneFlag: Flag<readonly number[]> = flag({
  ...severalFlag('counts', 'Prune n-grams that occur at most this often, by order from 1; the last count is for higher orders too: 0 0 1'),
  parse: (where, typed) => (Array.isArray(typed) ? parseNumbers(where, typed.map(String)) : []),
})

/** As lmplz: the last given discount is also for higher counts. */
const fallbackFlag: Flag<Discounts | null> = flag({
  arity: 'optionalSeveral',
  placeholder: 'discounts',
  description: 'Discounts of counts 1, 2 and more for orders where the text is too small to estimate them',
  defaultText: `without a value ${defaultFallback.join(' ')}`,
  parse: (where, typed) => {
    if (typed === undefined) return null
    const amounts = Array.isArray(typed) ? parseNumbers(where, typed.map(String)) : []
    if (amounts.length === 0) return defaultFallback
    if (amounts.length > 3) throw usageError(where, 'at most three discounts', String(amounts.length))
    const [one = 0, two = one, more = two] = amounts
    return [one, two, more]
  },
})

export const ngramTrain = defineCommand({
  name: 'salora ngram train',
  description:
    "Train an n-gram language model with interpolated modified Kneser-Ney smoothing, as KenLM's lmplz does. Counting happens in memory: about 170 bytes per word of the text at order 5.",
  flags: {
    Text: {
      ...textFlags,
      skipSymbols: switchFlag('Treat <s>, </s> and <unk> in the text as spaces instead of refusing them'),
    },
    Model: {
      output: required(textFlag('file', 'ARPA file to write, packed if its name ends in .gz'), 'a file to write'),
      order: countFlag('n', 'Words of the longest n-grams', { to: highestTrainedOrder, default: 5 }),
      prune: pruneFlag,
      discountFallback: fallbackFlag,
    },
  },
  examples: [
    {
      command: 'salora ngram train --order 5 --text train.txt --output model.arpa',
      result: 'Writes model.arpa, and prints counts and discounts by order.',
    },
    {
      command: 'zcat corpus.gz | salora ngram train --order 3 --prune 0 0 1 --output model.arpa.gz',
      result: 'Reads standard input, and writes a packed model.',
    },
  ],
  run: async ({ text, output, order, prune, discountFallback, skipSymbols }, terminal) => {
    await refuseOverwriting(text, output)
    const phases = phaseProgress(terminal)
    const interrupt = watchInterrupt(
      () => terminal.note('stopping; nothing is written'),
      () => phases.close(),
    )
    interrupt.signal.addEventListener('abort', () => process.stdin.destroy())
    try {
      const report = await trainModel(
        { text, output, options: { order, prune, discountFallback, skipSymbols } },
        phases,
        interrupt,
        terminal,
      )
      terminal.result(trainText(report), report)
      return exitCodes.success
    } catch (thrown) {
      const stopped = interrupt.exitCode()
      if (stopped === null) throw thrown
      return stopped // the signal destroyed the stream
    } finally {
      phases.close()
      interrupt.release()
    }
  },
})

type TrainRequest = {
  readonly text: string | null
  readonly output: string
  readonly options: NgramOptions
}

const trainModel = async (
  { text, output, options }: TrainRequest,
  phases: ReturnType<typeof phaseProgress>,
  { signal }: Interrupt,
  terminal: Terminal,
) => {
  const began = performance.now()
  const source = await openSource(text, terminal, (fraction) => phases.show('reading', fraction))
  const trained = await trainNgram(source, options, { signal, progress: phases.show })
  await writeNgramModel(output, trained.model, { signal, progress: (fraction) => phases.show('writing', fraction) })
  phases.close()
  for (const { order, replaced } of trained.discounts)
    if (replaced !== null) terminal.warn(`${order}-grams: using the fallback discounts, because the text gives ${replaced}`)
  return trainReport(trained, output, (performance.now() - began) / 1000)
}

/** @throws UsageError if the model would replace its own text */
const refuseOverwriting = async (text: string | null, output: string): Promise<void> => {
  if (text === null) return
  const realPath = (file: string): Promise<string | null> => realpath(file).catch(() => null)
  const written = await realPath(output)
  if (written !== null && written === (await realPath(text))) throw usageError('--output', 'another file than --text', quoted(output))
}

const trainReport = async ({ sentences, words, ngrams, discounts }: TrainedNgram, output: string, seconds: number) => ({
  output,
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
        `${order}-grams     ${counted(kept).padStart(11)}${kept === found ? '' : ` of ${counted(found)}`}  discounts ${discounts.map((amount) => amount.toFixed(3)).join(' ')}${fallback ? ' (fallback)' : ''}`,
    ),
    `time        ${duration(seconds)}, at most ${megabytes(peakMemoryBytes)} of memory`,
    `model       ${output} (${bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : megabytes(bytes)})`,
  ].join('\n')
