/**
 * Opens a finished run for a program: model, adapter, length, labels and columns are the run's. Concurrent calls share batches.
 * This folder answers requests for runs, in a thread; what opens an adapter in this thread is in the folder above.
 */
import { inputError, formatValue } from '../../../accelerated/errors/inputError.js'
import { asyncQueue } from '../../run/asyncQueue.js'
import { resolveAnswers } from '../../../accelerated/generation/answers.js'
import type { Text } from '../../tasks/taskType.js'
import { findTaskTypeByName } from '../../tasks/findTaskType.js'
import { readRunConfig } from '../../run/runFiles.js'
import { takesPromptTemplate } from '../../tasks/index.js'
import { framed, type FramedPrompt, type Prompt } from '../../tasks/texts/prompts.js'
import { type ServedRun, openRuns } from './openRuns.js'
import type { GeneratedText, GenerationChoice, RunInfo } from './protocol.js'
import type { MachineChoice, RunColumns } from '../runSource.js'

/** Probabilities by class. */
type ClassScores = Readonly<Record<string, number>>

/** Of two texts the cosine of their embeddings; of one text its embedding. */
type EmbeddingPrediction = { readonly similarity: number } | { readonly embedding: readonly number[] }

/** What `predict` returns for one text, by the task type of the run. */
type Predictions = {
  readonly classification: { readonly label: string; readonly score: number; readonly scores: ClassScores }
  readonly 'multi-label': { readonly labels: readonly string[]; readonly scores: ClassScores }
  readonly regression: { readonly value: number }
  readonly 'token-classification': { readonly entities: readonly RunEntity[] }
  readonly similarity: EmbeddingPrediction
  readonly pairs: EmbeddingPrediction
  readonly rerank: { readonly score: number }
  /** a run that writes text: `generate` */
  readonly causal: never
}

/** The task type of a run: `run.taskType`. */
export type RunTaskType = keyof Predictions

/** The prediction for one text. Without a task type, it is a union of all of them. */
export type RunPrediction<T extends RunTaskType = RunTaskType> = Predictions[T]

/** An entity of a text. start, end: characters of the text */
export type RunEntity = {
  readonly entity_group: string
  readonly score: number
  readonly word: string
  readonly start: number
  readonly end: number
}

/** A text, `{ text, textPair }` for a run of pairs, or a row with the columns of the run's data; other columns do not count. */
export type RunText = string | Text | Readonly<Record<string, unknown>>

/** A piece of a text as soon as it is certain, and the whole at the end. */
export type GenerationPiece = { readonly kind: 'piece'; readonly text: string } | ({ readonly kind: 'text' } & GeneratedText)

/** An open run. A comparison of its `taskType` narrows what `predict` returns. */
export type OpenRun<T extends RunTaskType = RunTaskType> = T extends RunTaskType ? TypedRun<T> : never

type TypedRun<T extends RunTaskType> = Omit<RunInfo, 'answers' | 'batchSize' | 'promptTemplate' | 'taskType'> & {
  readonly taskType: T
  /** Predicts a text or several. Calls that wait for a batch share the next one. @throws InputError for a text that cannot be read */
  readonly predict: {
    (text: RunText): Promise<RunPrediction<T>>
    (texts: readonly RunText[]): Promise<readonly RunPrediction<T>[]>
  }
  /**
   * Answers a prompt, if the run writes text. A plain text is an instruction if the run was trained with a template, else a text to continue,
   * as `{ text }` is with any run. Leaving the loop ends the generation. @throws InputError or SettingsError
   */
  readonly generate: (prompt: string | Prompt, settings?: GenerationChoice) => AsyncGenerator<GenerationPiece, void>
  /** Waits for all calls, then frees the model and ends the thread. It may be called twice. */
  readonly release: () => Promise<void>
  /** `await using run = await openRun(…)` releases it at the end of the block. */
  readonly [Symbol.asyncDispose]: () => Promise<void>
}

/** @param taskType the run must be of it: predictions then have its type. Default: any */
export type OpenRunOptions<T extends RunTaskType = RunTaskType> = MachineChoice & { readonly taskType?: T }

/**
 * Opens the run of a folder that `salora train` or `finetune` wrote. A worker thread computes, so this one stays free.
 * @param options device, precision, threads and batch size where they are not to be the run's; and the task type that the run must have
 * @throws InputError, SettingsError or DeviceError with one line; it says what to use for a folder that is no run
 */
export const openRun = async <T extends RunTaskType = RunTaskType>(
  folder: string,
  { taskType, ...machine }: OpenRunOptions<T> = {},
): Promise<OpenRun<T>> => {
  if (typeof folder !== 'string') throw inputError('openRun', 'the folder of a run', formatValue(folder))
  const { runs, release } = await openRuns({ runs: [folder], machine })
  const [run] = runs as readonly [ServedRun]
  const { answers: _, batchSize: __, promptTemplate, ...info } = run.info
  if (taskType !== undefined && taskType !== info.taskType) {
    await release()
    throw inputError(folder, `a run of task type ${taskType}`, `one of ${info.taskType}`)
  }
  const template = takesPromptTemplate((await readRunConfig(folder))?.task.task ?? '') ? promptTemplate : null
  const predictOne = async (given: RunText): Promise<object> => {
    const text = toText(given, info.columns, folder)
    checkTextCount(text, info, folder)
    return (await run.predict(text)).value
  }
  const opened = {
    ...info,
    predict: (given: RunText | readonly RunText[]) => (isList(given) ? Promise.all(given.map(predictOne)) : predictOne(given)),
    generate: (prompt: string | Prompt, settings: GenerationChoice = {}) =>
      generation(run, () => framed(prompt, template, 'prompt'), settings),
    release,
    [Symbol.asyncDispose]: release,
  }
  return opened as object as OpenRun<T> // the thread answers by `info.taskType`, as `salora predict` prints it
}

const isList = (given: RunText | readonly RunText[]): given is readonly RunText[] => Array.isArray(given)

/** @throws InputError if there is no text */
export const toText = (given: RunText, { text, textPair }: RunColumns, where: string): Text => {
  if (typeof given === 'string') return checked({ text: given }, where)
  const row = given as Readonly<Record<string, unknown>>
  const isRow = typeof row === 'object' && row !== null && text in row
  const first = row?.[isRow ? text : 'text']
  const ofRow = isRow && textPair !== undefined ? row[textPair] : undefined
  const second = ofRow ?? (isRow && text !== 'text' ? undefined : row?.['textPair']) // `text` may be a column, and the form { text, textPair }
  if (typeof first !== 'string')
    throw inputError(
      where,
      `a text, or an object with ${JSON.stringify(text)}`,
      first === undefined ? formatValue(given) : formatValue(first),
    )
  if (second !== undefined && typeof second !== 'string')
    throw inputError(where, `a second text in ${JSON.stringify(textPair ?? 'textPair')}`, formatValue(second))
  return checked(second === undefined ? { text: first } : { text: first, textPair: second }, where)
}

/** @throws InputError unless there are as many texts as the run was trained on; a run that compares embeddings also gives that of one text */
export const checkTextCount = (
  { textPair }: Text,
  { columns, taskType, takesAny }: Pick<RunInfo, 'columns' | 'taskType' | 'takesAny'>,
  where: string,
): void => {
  if (takesAny === true) return
  const [expected, got] = [columns.textPair, textPair].map((second) => second !== undefined)
  if (expected === got || (expected && findTaskTypeByName(taskType)?.readsHalfPairs === true)) return
  throw inputError(where, `${expected ? 'two texts' : 'one text'}, as in the data of the run`, got ? 'two' : 'one')
}

const checked = (texts: Text, where: string): Text => {
  if (texts.text.trim() === '' || texts.textPair?.trim() === '') throw inputError(where, 'a text', 'an empty one')
  return texts
}

async function* generation(
  run: ServedRun,
  buildPrompt: () => FramedPrompt,
  settings: GenerationChoice,
): AsyncGenerator<GenerationPiece, void> {
  const prompt = buildPrompt()
  resolveAnswers(settings)
  const [stop, pieces] = [new AbortController(), asyncQueue<string>()]
  const answer = run.generate(prompt, settings, { onPiece: pieces.push }, stop.signal).finally(pieces.close)
  answer.catch(() => undefined) // awaited below
  try {
    for await (const text of pieces) yield { kind: 'piece', text }
    yield { kind: 'text', ...(await answer) }
  } finally {
    stop.abort()
    await answer.catch(() => undefined)
  }
}
