/**
 * Cross-validation of a run with few rows (Stone, 1974). The rows are split into folds. For each fold, a model is trained as the run will be, on the
 * other rows, and answers the fold's. Then the run trains on all rows, and its evaluations score these answers: each is of a model that has not
 * seen its row, so nothing is lost to a held-out part, and no score rests on two rows.
 */
import { z } from 'zod'
import { inputError } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { findFormat } from '../../accelerated/formats/index.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import type { Examples } from '../../accelerated/models/packing.js'
import type { TrainingExample } from '../../accelerated/objectives/objective.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { mapVectors } from '../../accelerated/parameters/vectors.js'
import { contrast as defaultContrast, defaultFolds, mostFoldedRows } from '../../accelerated/settings/defaults.js'
import { fileInFolder, joinPath } from '../../accelerated/storage/paths.js'
import { readText } from '../../accelerated/storage/text.js'
import type { Storage } from '../../accelerated/storage/storage.js'
import type { TrainingTask } from '../../accelerated/training/events.js'
import { findMethod } from '../../accelerated/training/resolveSettings.js'
import { runLength } from '../../accelerated/training/runLength.js'
import { train } from '../../accelerated/training/trainingLoop.js'
import type { Dataset, Example } from '../data/index.js'
import { isGlueName } from '../data/glueTasks.js'
import { holdOut, holdOutFold } from '../data/holdOut.js'
import type { LoadedTask } from '../tasks/task.js'
import type { Answer } from '../tasks/taskType.js'
import { startFromProbe, wantsProbe, type ProbedRun, type ProbeRows } from './linearProbeStart.js'
import type { RunAssembly } from './runResult.js'
import type { FinetuneEvent, RunOptions } from './run.js'

/**
 * How many folds the run has; 0: its evaluation rows are held out. By default, few rows of a file have folds where an adapter with one phase is trained
 * from a probe: such a run takes seconds. Gates and ranks take 350 steps to choose, and full fine-tuning has a large state.
 * @throws InputError for folds of data that has none
 */
const countFolds = (
  { settings, task, redis, adapter }: Pick<RunOptions, 'settings' | 'task' | 'redis' | 'adapter'>,
  { heldOut, train: { files, examples }, evaluation, taskType }: LoadedTask,
  outputs: ModelOutputs,
  base: ModelFolder,
): number => {
  const { evalFolds, evalSteps, earlyStoppingPatience, loadBestModelAtEnd } = settings
  const canFold = heldOut && files === undefined && outputs.head === 'sequence' && taskType.file !== undefined && !isGlueName(task.task)
  const isPlain = task.evalShare === undefined && task.fold === undefined && redis === undefined
  if (evalFolds !== null && evalFolds > 0 && !(canFold && isPlain))
    throw inputError(
      option('evalFolds'),
      words`one file of labeled texts, without ${option('evalData')}, ${option('evalShare')} and ${option('redis')}`,
      String(evalFolds),
    )
  if (evalFolds !== null) return evalFolds
  const isFree = adapter === undefined && evalSteps === null && earlyStoppingPatience === null && loadBestModelAtEnd === null
  return canFold && isPlain && isFree && hasFewRows(settings, { train: examples, evaluation: evaluation.examples }, base, outputs)
    ? defaultFolds.value
    : 0
}

/** Whether a method of one phase trains an adapter from a probe on few rows. */
const hasFewRows = (
  settings: RunOptions['settings'],
  { train: kept, evaluation }: Readonly<Record<'train' | 'evaluation', readonly Example[]>>,
  base: ModelFolder,
  outputs: ModelOutputs,
): boolean => {
  const method = findMethod(settings.method)
  const isShort = method.phases.advance === undefined && method.train.trainsAll !== true
  return isShort && wantsProbe(base, settings, outputs, findFormat(method)) && kept.length + evaluation.length < mostFoldedRows.value
}

/**
 * The weight of the contrast between classes: by default, few rows of a file have one.
 * @throws InputError for a contrast of what is no new classifier of a sentence encoder with one class a row
 */
export const chooseContrast = (
  { settings, task }: Pick<RunOptions, 'settings' | 'task'>,
  { train: { examples, files }, evaluation, taskType, softTemperature }: LoadedTask,
  base: ModelFolder,
  outputs: ModelOutputs,
): number => {
  const { contrast } = settings
  const hasClasses = outputs.head === 'sequence' && outputs.problemType === 'single_label_classification' && softTemperature === undefined
  const canContrast = hasClasses && wantsProbe(base, settings, outputs, findFormat(findMethod(settings.method)))
  if (contrast !== null && contrast > 0 && !canContrast)
    throw inputError(option('contrast'), 'a new classifier of a sentence encoder, with one class a row', String(contrast))
  if (contrast !== null) return contrast
  const isOwnFile = taskType.file !== undefined && files === undefined && !isGlueName(task.task)
  const isFew = hasFewRows(settings, { train: examples, evaluation: evaluation.examples }, base, outputs)
  return canContrast && isOwnFile && isFew ? defaultContrast.value : 0
}

/** The fold of each training row. Rows of the same text share one. */
export type Folds = { readonly count: number; readonly byRow: readonly number[] }

type OwnedDataset = Dataset & { readonly examples: Example[] }
type SplitData = LoadedTask & { readonly train: OwnedDataset; readonly evaluation: OwnedDataset }

/**
 * The data with all rows in both sets, in the order of the file, and their folds; null where a fold would be empty.
 * @param count folds, at least 2
 */
const foldRows = <D extends SplitData>(data: D, count: number): { readonly data: D; readonly folds: Folds } | null => {
  const { train: kept, evaluation, taskType } = data
  const examples = [...kept.examples, ...evaluation.examples].sort((a, b) => (a.row ?? 0) - (b.row ?? 0))
  const place = new Map(examples.map((example, index) => [example, index]))
  const byRow = new Array<number>(examples.length).fill(-1)
  for (let index = 0; index < count; index++) {
    const strata = taskType.file?.strata ?? (() => () => 0)
    const { held } = holdOut<Example>({ seed: 0, strata, ...holdOutFold({ index, of: count }) })(examples)
    if (held.length === 0) return null
    for (const example of held) byRow[place.get(example) ?? NaN] = index
  }
  const folds = { count, byRow: byRow.map((fold) => Math.max(0, fold)) } // the only text of a class is held out by no fold: it joins the first
  return { data: { ...data, train: { ...kept, examples }, evaluation: { ...evaluation, examples: [...examples] } }, folds }
}

/** Few rows of a file are all trained on, and scored by folds. @throws InputError for folds of data that has none */
export const chooseFolds = <D extends SplitData>(
  options: Pick<RunOptions, 'settings' | 'task' | 'redis' | 'adapter'>,
  data: D,
  base: ModelFolder,
  outputs: ModelOutputs,
): { readonly data: D; readonly folds: Folds | null } => {
  const count = countFolds(options, data, outputs, base)
  if (count === 0) return { data, folds: null }
  const folded = foldRows(data, count)
  if (folded === null && options.settings.evalFolds !== null)
    throw inputError(option('evalFolds'), 'a different text for each fold, of a class that has others', String(count))
  return folded ?? { data, folds: null }
}

/** Answers to all rows by step: the steps at which the run is evaluated. */
export type AnswersByStep = ReadonlyMap<number, readonly Answer[]>

type FoldedRun = {
  readonly task: TrainingTask & RunAssembly
  readonly start: RunState
  /** with the features of all rows; null: the head does not begin as a probe */
  readonly probed: (ProbedRun & ProbeRows) | null
  readonly folds: Folds
}

/** Trains a model for each fold, and collects its answers to the fold's rows; null if the signal stopped it. @throws TrainingError */
export async function* crossValidate(
  { task, start, probed, folds: { count, byRow } }: FoldedRun,
  signal: AbortSignal,
): AsyncGenerator<FinetuneEvent, AnswersByStep | null> {
  const { training } = task
  const { steps, evalSteps } = runLength(task.method, task.settings, task.model, training.length, probed !== null)
  const settings = { ...task.settings, maxSteps: steps, evalSteps, earlyStoppingPatience: null }
  const byStep = new Map<number, Answer[]>()
  for (let fold = 0; fold < count; fold++) {
    const [rest, held] = [byRow.flatMap((f, i) => (f === fold ? [] : [i])), byRow.flatMap((f, i) => (f === fold ? [i] : []))]
    yield { kind: 'preparing', what: `fold ${fold + 1} of ${count}: training on ${rest.length} rows, to score the other ${held.length}` }
    const fresh = { ...start, ...mapVectors(start, (vector) => vector.slice()) } // training overwrites them
    const begun = probed === null ? fresh : startFromProbe(probed, pickRows(probed, rest), fresh)
    const evalOnStart = probed === null ? false : ('candidate' as const)
    const part = { ...task, settings, training: pick(training, rest), evaluation: pick(training, held), score: keepAnswers, evalOnStart }
    for await (const event of train(part, begun, null, signal)) {
      if (event.kind !== 'evaluation') continue
      const all = byStep.get(event.step) ?? new Array<Answer>(training.length)
      byStep.set(event.step, all)
      held.forEach((row, i) => (all[row] = (event.details as readonly Answer[])[i]))
    }
    if (signal.aborted) return null
  }
  return byStep
}

const keepAnswers = (answers: readonly Answer[]) => ({ scores: {}, selection: 0, constant: null, details: answers })

const pick = (examples: Examples<TrainingExample>, indices: readonly number[]): Examples<TrainingExample> => ({
  length: indices.length,
  at: (index) => (indices[index] === undefined ? undefined : examples.at(indices[index])),
})

const pickRows = ({ examples, rows }: ProbeRows, indices: readonly number[]): ProbeRows => ({
  examples: indices.map((index) => examples[index] as TrainingExample),
  rows: indices.map((index) => rows[index] ?? []),
})

// folds.json: the answers, so that a resumed run need not give them again

export const foldsFile = 'folds.json'

const schema = z.object({
  byRow: z.array(z.int().min(0)),
  answers: z.array(z.object({ step: z.int().min(0), rows: z.array(z.array(z.number())) })),
})

/** The maximum characters of the file: a thousand classes of 500 rows at 3 steps. */
const foldsLimit = 40_000_000

export const writeFolds = (output: string, { byRow }: Folds, answers: AnswersByStep, storage: Storage): Promise<void> =>
  storage.write(
    joinPath(output, foldsFile),
    `${JSON.stringify({ byRow, answers: [...answers].map(([step, rows]) => ({ step, rows })) })}\n`,
  )

/** The answers of an earlier process of the run, at these steps; null: there are none, or the file is damaged, and they are given again. */
export const readFolds = async (
  output: string,
  { byRow }: Folds,
  steps: readonly number[],
  storage: Storage,
): Promise<AnswersByStep | null> => {
  if ((await fileInFolder(output, foldsFile, storage)) === undefined) return null
  const text = await readText(joinPath(output, foldsFile), foldsLimit, storage)
  const parsed = schema.safeParse(parseOrNull(text))
  if (!parsed.success || parsed.data.byRow.join() !== byRow.join()) return null
  const answers = new Map(parsed.data.answers.map(({ step, rows }) => [step, rows]))
  return steps.every((step) => answers.get(step)?.length === byRow.length) ? answers : null
}

const parseOrNull = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return null
  }
}
