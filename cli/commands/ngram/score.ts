/** salora ngram score: log-probabilities and perplexity of a text, as KenLM's query has them. */
import { stat } from 'node:fs/promises'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { ngramScorer, textScore, type SentenceScore, type TextScore } from '../../../evaluation/ngram/scorer.js'
import { openNgramModel } from '../../../evaluation/ngram/modelFile.js'
import { required, switchFlag, textFlag } from '../../../finetuning/commandLine/flag.js'
import { counted, plural } from '../../format/numbers.js'
import { defineCommand } from '../../terminal/command.js'
import { exitCodes } from '../../terminal/exit.js'
import type { Terminal } from '../../terminal/output.js'
import { phaseProgress, openSource, textFlags } from './text.js'

export const ngramScore = defineCommand({
  name: 'salora ngram score',
  description:
    'Score a text with an n-gram model: log10 probabilities from <s> to </s>, and perplexity = 10^(−Σ log10 p / words). The sum includes sentence ends. The count does not, except in the perplexity of KenLM.',
  flags: {
    Model: { model: required(textFlag('file', 'ARPA file, plain or gzip'), 'a model') },
    Text: { ...textFlags, sentences: switchFlag('Print log10, words and unknown words of each line first') },
  },
  examples: [
    {
      command: 'salora ngram score --model model.arpa --text test.txt',
      result: 'Prints the sentences, words and unknown words, log10 of the probability, and perplexity.',
    },
  ],
  run: async ({ model, text, sentences }, terminal) => {
    const scores = await scoreSentences(model, text, terminal)
    const { log10: log10Total, ...total } = textScore(scores)
    const lines = sentences ? scores.map(({ log10, words, unknown }) => `${log10.toFixed(6)} ${words} ${unknown}`) : []
    terminal.result([...lines, ...scoreText(total, log10Total)].join('\n'), {
      ...total,
      log10Total,
      log10: scores.map(({ log10 }) => log10),
      unknownByLine: scores.map(({ unknown }) => unknown),
    })
    return exitCodes.success
  },
})

/** One score per line. @throws InputError for an empty text, and for a model whose back-off weights contradict its probabilities */
const scoreSentences = async (file: string, text: string | null, terminal: Terminal): Promise<readonly SentenceScore[]> => {
  const phases = phaseProgress(terminal)
  const size = await stat(file).then(
    (stats) => stats.size,
    () => 1,
  )
  try {
    const model = await openNgramModel(file, { seen: (bytes) => phases.show('loading', bytes / (size || 1)) })
    phases.close()
    const scores: SentenceScore[] = []
    const source = await openSource(text, terminal, (fraction) => phases.show('scoring', fraction))
    await ngramScorer(model).lines(source, (score) => void scores.push(score))
    if (scores.length === 0) throw inputError(source.name, 'a text of at least one line', 'an empty one')
    const { log10, perplexity } = textScore(scores)
    if (log10 > 0 || perplexity === Infinity)
      throw inputError(file, 'a model whose probabilities are at most 1 and above 0', `the log10 ${log10} for this text`)
    return scores
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
): readonly string[] => {
  const formatScore = (value: number | null): string => (value === null ? 'none (no words)' : value.toFixed(4))
  return [
    `text        ${plural(sentences, 'sentence')}, ${plural(words, 'word')}, ${counted(unknown)} unknown`,
    `log10       ${log10.toFixed(4)}`,
    `perplexity  ${formatScore(perplexity)}, without unknown words ${formatScore(perplexityWithoutUnknown)}`,
    `KenLM's     ${formatScore(kenlmPerplexity)}, without unknown words ${formatScore(kenlmPerplexityWithoutUnknown)} (sentence ends count as words)`,
  ]
}
