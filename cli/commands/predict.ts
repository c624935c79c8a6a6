/** salora predict: texts in, predictions out. */
import { InputError } from '../../accelerated/errors/inputError.js'
import { SettingsError } from '../../accelerated/errors/expectedErrors.js'
import type { TextColumns } from '../../finetuning/data/index.js'
import { nameOutputs } from '../../accelerated/formats/modelConfig.js'
import { checkTextCount } from '../../finetuning/use/serving/openRun.js'
import { runColumns } from '../../finetuning/use/runSource.js'
import type { TaskOptions } from '../../finetuning/tasks/index.js'
import { findTaskType } from '../../finetuning/tasks/findTaskType.js'
import type { EncodedText, PredictionFormat, ReadText } from '../../finetuning/tasks/taskType.js'
import { truncationWarnings } from '../../finetuning/tasks/exampleTokenizer.js'
import { openTrainedAdapter, type OpenAdapter } from '../../finetuning/use/openModel.js'
import { choiceFlag, switchFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { lineInFlags } from '../../finetuning/commandLine/optionNames.js'
import { inShell } from '../../finetuning/commandLine/shell.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'
import { describeColumns } from '../../finetuning/data/table.js'
import { openOutput, outputFormats, type Answer, type OutputFormat } from '../format/answers.js'
import { fileTexts, inputFormats, isPlainText, lineTexts, streamTexts, type InputFormat } from '../input/textInput.js'
import { tabbedText, type TextLine } from '../input/textLines.js'
import { adapterFlags, adapterMachineFlags, labelFlags, adapterRequest } from '../options/adapterRequest.js'
import { inheritColumns } from '../options/taskRequest.js'
import { dropUndefined, pickFlags, type Values } from '../options/settingFlags.js'
import { allTrainFlags } from '../options/trainFlags.js'
import { standardInput } from '../input/promptInput.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { watchInterrupt, type Interrupt } from '../terminal/interrupt.js'
import { placementNote, printable, type Terminal } from '../terminal/output.js'

const columnFlags = pickFlags(allTrainFlags, ['text', 'textPair', 'delimiter', 'quote', 'encoding'])

export const predict = defineCommand({
  name: 'salora predict',
  description:
    'Classify texts from the command line, a file or standard input, one per line, and print one JSON object per text. A tab separates the two texts of a pair. ' +
    'A text that cannot be classified gets {"error"} in its place, and the exit code is 1.',
  arguments: [
    { name: 'text', description: 'Texts to classify, each in quotes (default: those of --input or standard input)', several: true },
  ],
  flags: {
    Model: { ...adapterFlags, ...labelFlags },
    Texts: {
      input: textFlag('file', 'File with named columns, as for --task, or a .txt file with a text per line', {
        defaultText: 'standard input',
      }),
      from: choiceFlag(inputFormats, 'format', `Format of standard input: ${inputFormats.join(', ')}`, { defaultText: 'lines' }),
      to: choiceFlag(outputFormats, 'format', 'Output format: jsonl, or csv; both keep the other columns of the input', {
        defaultText: 'jsonl',
      }),
      escapeFormulas: switchFlag(
        'With --to csv, write an apostrophe before a text that begins with =, +, - or @, which a spreadsheet would run',
      ),
      keepTexts: switchFlag('In JSON, keep the texts too: the answers are then data for salora train, with --label scores'),
      ...columnFlags,
    },
    Machine: adapterMachineFlags(['device', 'precision', 'threads', 'maxLength', 'batchSize']),
  },
  examples: [
    {
      command: "salora predict --run runs/sentiment-salora-1 'A wonderful film.'",
      result: '{"label":"positive","score":0.98,"scores":{"negative":0.02,"positive":0.98}}',
    },
    {
      command: 'salora predict --run runs/reviews --input new.csv --to csv > predictions.csv',
      result: 'Writes the rows of new.csv with the columns label, score, a score of each class, and error.',
    },
  ],
  run: async ({ input, from, to, escapeFormulas, keepTexts, text, textPair, delimiter, quote, encoding, ...model }, terminal, words) => {
    const given = dropUndefined({ text, textPair, delimiter, quote, encoding }) as TextColumns
    const requested = parseRequest({ words, input, from, to, escapeFormulas, keepTexts, columns: given }, terminal)
    checkModel(model, words)
    const { adapter: options, runTask } = await adapterRequest(model)
    const isNamed = input === null ? requested.from !== 'lines' : !isPlainText(input)
    const { text: ofRun, textPair: pairOfRun, delimiter: d, quote: q, encoding: e } = inheritColumns(runTask, input)
    const columnsOfData = dropUndefined({ text: ofRun, textPair: pairOfRun, delimiter: d, quote: q, encoding: e }) as TextColumns
    const request = { ...requested, isNamed, ...(isNamed ? { columns: { ...columnsOfData, ...given } } : {}) }
    const opened = await openTrainedAdapter({ ...options, onPlacement: placementNote(terminal) })
    const adapter = runTask === null ? opened : countingTexts(opened, runTask, isNamed ? 'text' : 'text, cut at tabs')
    const interrupt = watchInterrupt(
      () => terminal.note('stopping after this batch; press Ctrl-C again to exit at once'),
      () => undefined,
    )
    interrupt.signal.addEventListener('abort', () => process.stdin.destroy())
    const problems = await answerAll(adapter, request, options.batchSize, interrupt, terminal).finally(async () => {
      interrupt.release()
      await adapter.release()
    })
    const place = words.length > 0 ? 'text' : `${input ?? 'standard input'}, line`
    return reportProblems(problems, place) ?? interrupt.exitCode() ?? exitCodes.success
  },
})

/** Refuses one text where the run was trained on pairs, and two where it was not, as `serve` does. */
const countingTexts = (adapter: OpenAdapter, task: TaskOptions, where: string): OpenAdapter => {
  const ofRun = { columns: runColumns({ task }), taskType: findTaskType(adapter.outputs, '--run').name }
  return {
    ...adapter,
    encode: (text) => {
      checkTextCount(text, ofRun, where)
      return adapter.encode(text)
    },
  }
}

type Problem = { readonly line: number; readonly problem: string }

/** Writes the answers. @returns the lines without one */
const answerAll = async (
  adapter: OpenAdapter,
  request: Request & { readonly isNamed: boolean },
  batchSize: number,
  { signal }: Interrupt,
  terminal: Terminal,
): Promise<readonly Problem[]> => {
  // programs read CSV: texts come out as they went in
  const put = (text: string) => process.stdout.write(request.to === 'csv' && process.stdout.isTTY !== true ? text : printable(text))
  const names = nameOutputs(adapter.outputs, adapter.labelNames)
  const classes = requirePredictions(adapter).scoresClasses === true && names.length <= mostScoreColumns ? names : []
  const output = openOutput(request.to, request.columns, { ...requirePredictions(adapter), classes }, put, request)
  const problems: Problem[] = []
  let [read, truncated] = [0, 0]
  const prompt = makePrompter(request, terminal)
  try {
    prompt()
    for await (const lines of texts(request, terminal)) {
      for (let at = 0; at < lines.length && !signal.aborted; at += batchSize)
        for (const { line, answer, isTruncated } of await answersTo(adapter, lines.slice(at, at + batchSize))) {
          read++
          if (isTruncated) truncated++
          if ('problem' in line) problems.push(line)
          output.write('given' in line ? line.given : null, answer, line.row)
        }
      if (signal.aborted) break
      prompt()
    }
  } catch (thrown) {
    if (!signal.aborted) throw thrown // the signal destroyed the stream
  } finally {
    const late = output.end()
    if (late.length > 0) terminal.warn(lateColumns(request.input ?? 'standard input', late))
    truncationWarnings(truncated, read, adapter.maxLength).forEach(terminal.warn)
  }
  return problems
}

const lateColumns = (source: string, names: readonly string[]): string =>
  `${source}: expected the columns of the first row in every row, got also ${describeColumns(names)}; --to jsonl keeps all`

/** A CSV file with more columns is hard to read. */
const mostScoreColumns = 100

type Request = {
  /** texts of the command line; if there are any, nothing else is read */
  readonly words: readonly string[]
  readonly input: string | null
  readonly from: InputFormat
  readonly to: OutputFormat
  readonly escapeFormulas: boolean
  readonly keepTexts: boolean
  readonly columns: TextColumns
}

type Given = Omit<Request, 'from' | 'to'> & {
  readonly from: InputFormat | null
  readonly to: (typeof outputFormats)[number] | null
}

/** A path without --run was meant for it. @throws UsageError */
const checkModel = ({ run, adapter, model }: Values, [word, ...others]: readonly string[]): void => {
  if ((run ?? adapter ?? model ?? null) !== null || word === undefined || others.length > 0 || /\s/.test(word)) return
  throw usageError('--run', 'the folder of a run', `none (use --run ${inShell(word)})`)
}

/** @throws UsageError for flags that exclude each other */
const parseRequest = (given: Given, { json }: Terminal): Request => {
  const { words, input, from, to, escapeFormulas, columns } = given
  if (input !== null && from !== null) throw usageError('--from', 'either --input, whose ending says what it holds, or --from', 'both')
  if (words.length > 0 && (input !== null || from !== null))
    throw usageError(input === null ? '--from' : '--input', 'texts from one source', 'some on the command line too')
  if (json && to === 'csv') throw usageError('--to', 'jsonl, as --json is given', 'csv')
  const isLines = input === null ? (from ?? 'lines') === 'lines' : isPlainText(input)
  if (isLines && Object.keys(columns).some((name) => name !== 'encoding'))
    throw input === null
      ? usageError('--from', `one of ${inputFormats.slice(1).join(', ')}, or --input, where columns are named`, 'lines')
      : usageError('--input', 'a file with named columns', 'lines of text')
  if (escapeFormulas && to !== 'csv') throw usageError('--escape-formulas', 'it with --to csv', to ?? (json ? 'json' : 'jsonl'))
  return { ...given, from: from ?? 'lines', to: json ? 'json' : (to ?? 'jsonl') }
}

const texts = (
  { words, input, from, columns }: Request,
  { note }: Terminal,
): AsyncIterable<readonly TextLine[]> | Iterable<readonly TextLine[]> => {
  if (words.length > 0) return [words.map((word, i) => tabbedText(word, i + 1))]
  if (input === null) return streamTexts(standardInput(), from, columns)
  return isPlainText(input) ? lineTexts(input, columns) : fileTexts(input, columns, note)
}

/** The prompt on a terminal. */
const makePrompter = ({ words, input }: Request, { quiet, note }: Terminal): (() => void) => {
  if (words.length > 0 || input !== null || quiet || process.stdin.isTTY !== true || process.stderr.isTTY !== true) return () => undefined
  note('type a text and Enter (a tab between the two texts of a pair); Ctrl-D ends')
  return () => void process.stderr.write('> ')
}

/** Prints the first problem. @returns the exit code; null without a problem */
const reportProblems = (problems: readonly Problem[], place: string): number | null => {
  const [first] = problems
  if (first === undefined) return null
  process.stderr.write(
    `${place} ${first.line}: ${first.problem}${problems.length > 1 ? ` (and ${problems.length - 1} more invalid lines)` : ''}\n`,
  )
  return exitCodes.failure
}

type Answered = { readonly line: TextLine; readonly answer: Answer; readonly isTruncated: boolean }

/** One answer per line, in order. A text that is too long for the model, or whose outputs are not finite, gets an error. */
const answersTo = async (adapter: OpenAdapter, lines: readonly TextLine[]): Promise<readonly Answered[]> => {
  const encoded = lines.map((line) => ('given' in line ? encodedLine(adapter, line) : { line, encoding: null }))
  const encodings = encoded.flatMap(({ encoding }) => (encoding === null ? [] : [encoding]))
  const outputs = encodings.length === 0 ? [] : await adapter.answer(encodings)
  let next = 0
  return encoded.map(({ line, encoding }) => {
    const isTruncated = encoding?.truncated === true
    if ('problem' in line) return { line, answer: { error: line.problem }, isTruncated }
    const output = outputs[next++] ?? []
    if (output.every(Number.isFinite))
      return { line, answer: toAnswer(adapter, output, { text: line.given.text, ...encoding }), isTruncated }
    const problem = `expected finite outputs of model and adapter, got ${output.slice(0, 8).join(', ')}`
    return { line: withProblem(line, problem), answer: { error: problem }, isTruncated }
  })
}

const withProblem = ({ line, row }: TextLine, problem: string): TextLine => ({ line, problem, ...(row === undefined ? {} : { row }) })

const encodedLine = (
  { encode }: OpenAdapter,
  line: TextLine & { readonly given: Parameters<OpenAdapter['encode']>[0] },
): { readonly line: TextLine; readonly encoding: EncodedText | null } => {
  try {
    return { line, encoding: encode(line.given) }
  } catch (thrown) {
    if (!(thrown instanceof InputError || thrown instanceof SettingsError)) throw thrown
    return { line: withProblem(line, lineInFlags(thrown)), encoding: null }
  }
}

/** What the adapter's task type predicts. @throws UsageError for a task type that generates text */
const requirePredictions = ({ outputs }: OpenAdapter): PredictionFormat => {
  const { predictions, noun } = findTaskType(outputs, '--run')
  if (predictions === undefined) throw usageError('--run', 'an adapter that predicts', `one of ${noun}`)
  return predictions
}

const toAnswer = (adapter: OpenAdapter, output: readonly number[], read: ReadText): Answer =>
  requirePredictions(adapter).predict(output, nameOutputs(adapter.outputs, adapter.labelNames), read)
