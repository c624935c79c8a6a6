/** salora predict: texts in, predictions out. */
import type { Command } from 'commander'
import type { TrainedAdapter } from '../../evaluation/trainedAdapter.js'
import { openTrainedAdapter } from '../../evaluation/trainedAdapter.js'
import { addAdapterFlags, adapterRequest } from '../adapterRequest.js'
import { withOutput } from '../command.js'
import { exitCodes } from '../exitCodes.js'
import { printable } from '../terminal.js'
import { textLines, type TextLine } from '../textLines.js'

export const addPredict = (program: Command): void => {
  const command = program
    .command('predict')
    .summary('one text a line in, one JSON line out')
    .description(
      'Reads one text a line from standard input (a TAB separates the two texts of a pair) and writes one JSON line for each as it comes:\n' +
        '{"label", "score", "scores"} for classes (probabilities), {"labels", "scores"} where any number can hold, {"value"} for a regression. A line that is empty or no text gets {"error"} in its place,\n' +
        'so that lines out match lines in; the exit code is then 1. With --json the answers are one JSON array.',
    )
  addAdapterFlags(command)
  withOutput(command, [`echo 'A wonderful film.' | salora predict --run runs/sentiment-salora-1`], async (given, terminal) => {
    const { adapter: options } = await adapterRequest(given)
    const adapter = await openTrainedAdapter(options)
    const problems: TextLine[] = []
    let written = 0
    const write = (answer: unknown): void => {
      const text = printable(JSON.stringify(answer))
      process.stdout.write(terminal.json ? `${written === 0 ? '[\n' : ',\n'}${text}` : `${text}\n`)
      written += 1
    }
    try {
      for await (const lines of textLines(process.stdin)) {
        for (let at = 0; at < lines.length; at += options.batchSize) {
          const batch = lines.slice(at, at + options.batchSize)
          for (const answer of await answersTo(adapter, batch)) {
            if ('problem' in answer.line) problems.push(answer.line)
            write(answer.written)
          }
        }
      }
    } finally {
      await adapter.release()
    }
    if (terminal.json) process.stdout.write(written === 0 ? '[]\n' : '\n]\n')
    const [first] = problems
    if (first === undefined || !('problem' in first)) return exitCodes.success
    process.stderr.write(
      `standard input, line ${first.line}: ${first.problem}${problems.length > 1 ? ` (and ${problems.length - 1} more such lines)` : ''}\n`,
    )
    return exitCodes.failure
  })
}

type Answered = { readonly line: TextLine; readonly written: unknown }

/** One answer a line, in order. A line whose answer is no number has a problem of its own: the text is as good as any. */
const answersTo = async (adapter: TrainedAdapter, lines: ReadonlyArray<TextLine>): Promise<ReadonlyArray<Answered>> => {
  const texts = lines.flatMap((line) => ('given' in line ? [line.given] : []))
  const outputs = texts.length === 0 ? [] : await adapter.predict(texts)
  let next = 0
  return lines.map((line) => {
    if ('problem' in line) return { line, written: { error: line.problem } }
    const output = outputs[next++] ?? []
    if (output.every(Number.isFinite)) return { line, written: answerOf(adapter, output) }
    const problem = `expected finite outputs of model and adapter, found ${output.slice(0, 8).join(', ')}`
    return { line: { line: line.line, problem }, written: { error: problem } }
  })
}

const answerOf = ({ outputs, labelNames }: TrainedAdapter, output: ReadonlyArray<number>): unknown => {
  if (outputs.problem === 'regression') return { value: output[0] }
  if (outputs.problem === 'multi-label') {
    const shares = output.map((logit, i) => [labelNames?.[i] ?? `LABEL_${i}`, 1 / (1 + Math.exp(-logit))] as const)
    return { labels: shares.filter((_, i) => (output[i] ?? 0) > 0).map(([name]) => name), scores: Object.fromEntries(shares) }
  }
  const largest = output.reduce((most, logit) => Math.max(most, logit), -Infinity)
  const powers = output.map((logit) => Math.exp(logit - largest))
  const total = powers.reduce((a, b) => a + b, 0)
  const named = powers.map((power, i) => [labelNames?.[i] ?? `LABEL_${i}`, power / total] as const)
  const [label, score] = named[output.indexOf(largest)] ?? ['', NaN]
  return { label, score, scores: Object.fromEntries(named) }
}
