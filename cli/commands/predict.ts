/** salora predict: texts in, predictions out. */
import type { Command } from 'commander'
import { InputError } from '../../accelerated/errors/inputError.js'
import type { Encoding } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { SettingsError } from '../../accelerated/errors/settingsError.js'
import type { TextColumns } from '../../finetuning/data/index.js'
import { labelsOf } from '../../accelerated/formats/modelFiles.js'
import { taskTypeOf } from '../../finetuning/tasks/taskTypeOf.js'
import type { PredictionFormat } from '../../finetuning/tasks/taskType.js'
import { openTrainedAdapter, type OpenAdapter } from '../../finetuning/adapters/trainedAdapter.js'
import { addAdapterFlags, adapterRequest } from '../options/adapterRequest.js'
import { openOutput, outputFormats, type Answer } from '../format/answers.js'
import { withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { inFlags } from '../options/flagNames.js'
import { choiceOf, flagValues, type Values } from '../options/flagValues.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import { printable, type Terminal } from '../terminal/output.js'
import { fileTexts, inputFormats, streamTexts } from '../input/textInput.js'
import type { TextLine } from '../input/textLines.js'
import { addFlags } from '../options/trainFlags.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

const columnFlags = ['text', 'textPair', 'delimiter', 'quote'] as const

export const addPredict = (command: Command): void => {
  command.description(
    'Reads one text a line from standard input (a TAB separates the two texts of a pair) and writes one JSON line for each as it comes:\n' +
      '{"label", "score", "scores"} for classes (probabilities), {"labels", "scores"} where any number can hold, {"value"} for a regression. A line that is empty or no text gets {"error"} in its place, ' +
      'so that lines out match lines in; the exit code is then 1. With --json the answers are one JSON array. Texts of several lines come as CSV or JSON ' +
      'objects, from standard input or a file.',
  )
  addAdapterFlags(command)
  command
    .option('--input <file>', 'instead of standard input: a file with named columns, as for --task')
    .option('--from <format>', `what standard input holds: ${inputFormats.join(', ')} (default: lines)`)
    .option('--to <format>', 'jsonl or csv, which has the text beside each answer (default: jsonl)')
  addFlags(command, columnFlags)
  withOutput(
    command,
    [
      `echo 'A wonderful film.' | salora predict --run runs/sentiment-salora-1`,
      'salora predict --model exported/reviews < texts.txt',
      'salora predict --run runs/reviews --input new.csv --text review --to csv > answers.csv',
    ],
    async (given, terminal) => {
      const request = requestOf(given, terminal)
      const { adapter: options } = await adapterRequest(given)
      const adapter = await openTrainedAdapter(options)
      const interrupt = watchInterrupt(
        () => terminal.note('stopping after the texts at hand; once more leaves at once'),
        () => undefined,
      )
      interrupt.signal.addEventListener('abort', () => process.stdin.destroy())
      // CSV is for programs: texts come out as they went in
      const put = (text: string) => process.stdout.write(request.to === 'csv' && process.stdout.isTTY !== true ? text : printable(text))
      const output = openOutput(request.to, request.columns, predictionsOf(adapter), put)
      const problems: TextLine[] = []
      const prompt = promptOf(request.input, terminal)
      try {
        prompt()
        for await (const lines of texts(request)) {
          for (let at = 0; at < lines.length && !interrupt.signal.aborted; at += options.batchSize)
            for (const { line, answer } of await answersTo(adapter, lines.slice(at, at + options.batchSize))) {
              if ('problem' in line) problems.push(line)
              output.write(line, answer)
            }
          if (interrupt.signal.aborted) break
          prompt()
        }
      } catch (thrown) {
        if (!interrupt.signal.aborted) throw thrown // a stream that was ended for the signal says so
      } finally {
        output.end()
        interrupt.release()
        await adapter.release()
      }
      return told(problems, request.input ?? 'standard input') ?? interrupt.exitCode() ?? exitCodes.success
    },
  )
}

type Request = {
  readonly input: string | null
  readonly from: (typeof inputFormats)[number]
  readonly to: (typeof outputFormats)[number] | 'json'
  readonly columns: TextColumns
}

const requestOf = (given: Values, { json }: Terminal): Request => {
  const input = typeof given['input'] === 'string' ? given['input'] : null
  const [from, to] = [choiceOf(given, 'from', inputFormats), choiceOf(given, 'to', outputFormats)]
  const columns = Object.fromEntries(Object.entries(flagValues(given)).filter(([name]) => columnFlags.some((flag) => flag === name)))
  if (input !== null && from !== null) throw usageError('--from', 'either --input, whose ending says what it holds, or --from', 'both')
  if (json && to === 'csv') throw usageError('--to', 'jsonl, as --json is given', 'csv')
  if (input === null && (from ?? 'lines') === 'lines' && Object.keys(columns).length > 0)
    throw usageError('--from', `one of ${inputFormats.slice(1).join(', ')}, or --input, where columns are named`, 'lines')
  return { input, from: from ?? 'lines', to: json ? 'json' : (to ?? 'jsonl'), columns }
}

const texts = ({ input, from, columns }: Request): AsyncGenerator<ReadonlyArray<TextLine>> =>
  input === null ? streamTexts(process.stdin, from, columns) : fileTexts(input, columns)

/** Whoever sits before an empty terminal is told what it waits for. */
const promptOf = (input: string | null, { quiet, note }: Terminal): (() => void) => {
  if (input !== null || quiet || process.stdin.isTTY !== true || process.stderr.isTTY !== true) return () => undefined
  note('a text and Enter (a TAB between the two of a pair); Ctrl-D ends')
  return () => void process.stderr.write('> ')
}

/** The first problem as one line → the exit code; null where there is none. */
const told = (problems: ReadonlyArray<TextLine>, source: string): number | null => {
  const [first] = problems
  if (first === undefined || !('problem' in first)) return null
  process.stderr.write(
    `${source}, line ${first.line}: ${first.problem}${problems.length > 1 ? ` (and ${problems.length - 1} more such lines)` : ''}\n`,
  )
  return exitCodes.failure
}

type Answered = { readonly line: TextLine; readonly answer: Answer }

/** One answer a line, in order. A text that the model cannot take, or whose answer is no number, is a problem of its own line. */
const answersTo = async (adapter: OpenAdapter, lines: ReadonlyArray<TextLine>): Promise<ReadonlyArray<Answered>> => {
  const encoded = lines.map((line) => ('given' in line ? encodedLine(adapter, line) : { line, encoding: null }))
  const encodings = encoded.flatMap(({ encoding }) => (encoding === null ? [] : [encoding]))
  const outputs = encodings.length === 0 ? [] : await adapter.answer(encodings)
  const predict = (output: ReadonlyArray<number>) => predictionsOf(adapter).predict(output, labelsOf(adapter.outputs, adapter.labelNames))
  let next = 0
  return encoded.map(({ line }) => {
    if ('problem' in line) return { line, answer: { error: line.problem } }
    const output = outputs[next++] ?? []
    if (output.every(Number.isFinite)) return { line, answer: predict(output) }
    const problem = `expected finite outputs of model and adapter, got ${output.slice(0, 8).join(', ')}`
    return { line: { line: line.line, problem }, answer: { error: problem } }
  })
}

const encodedLine = (
  { encode }: OpenAdapter,
  line: TextLine & { readonly given: Parameters<OpenAdapter['encode']>[0] },
): { readonly line: TextLine; readonly encoding: Encoding | null } => {
  try {
    return { line, encoding: encode(line.given) }
  } catch (thrown) {
    if (!(thrown instanceof InputError || thrown instanceof SettingsError)) throw thrown
    return { line: { line: line.line, problem: inFlags(thrown.message) }, encoding: null }
  }
}

/** What the adapter's task type prints. @throws InputError for a task type without predictions */
const predictionsOf = ({ outputs }: OpenAdapter): PredictionFormat => {
  const { predictions, noun } = taskTypeOf(outputs, '--run')
  if (predictions === undefined) throw usageError('--run', 'an adapter that predicts', `one of ${noun}`)
  return predictions
}
