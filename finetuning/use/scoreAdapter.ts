/** Scores of a trained model on labeled data, with the majority-class baseline, whatever the task type. */
import type { Device } from '../../accelerated/engines/devices/device.js'
import { inputError, oneLine } from '../../accelerated/errors/inputError.js'
import type { TrainedModel } from '../../accelerated/formats/mergedWeights.js'
import { isAmong, type RunRows, rowsDigest } from '../run/runRows.js'
import { type Evaluation, loadEvaluation, loadTask, type TaskOptions } from '../tasks/index.js'
import { bindWithMetric } from '../tasks/chosenMetric.js'
import type { Answer, BoundTask, EvaluationReport, TaskData } from '../tasks/taskType.js'
import { resolveLabels, adapterNoun } from './attachAdapter.js'
import { openAnswers, resolveMaxLength, type OnProgress } from './modelSessions.js'
import type { TrainedAdapter, TrainedAdapterOptions } from './openModel.js'
import { option, words } from '../../accelerated/errors/words.js'
import type { ModelOutputs } from '../../accelerated/models/modelOutputs.js'
import { labelIndexIn } from '../data/labels.js'
import type { Example } from '../data/index.js'
import { findTaskType } from '../tasks/findTaskType.js'

export type AdapterScore = EvaluationReport & {
  readonly scores: Readonly<Record<string, number>>
  readonly examples: number
  readonly source: string
  /** the majority-class baseline; null where there are no classes */
  readonly majority: { readonly label: string; readonly share: number } | null
  /** the class that the model predicts for every example; null if it predicts several */
  readonly constant: string | null
  /** how many examples have a text that the run trained on; null if that is unknown */
  readonly trainedOn: number | null
  /** the class that f1 is of; null if none was named */
  readonly positive: string | null
}

export type ScoringOptions = {
  /** the run's rows, if they are known */
  readonly rows?: RunRows | null
  /** Reports how many examples are done. */
  readonly onProgress?: OnProgress
  /** Reports what is wrong with the texts, such as how many are truncated. */
  readonly onWarning?: (message: string) => void
}

/** Opens a trained model and scores it. @throws InputError or SettingsError if the data is of another task type or other classes, or an output is not finite */
export const scoreTrained = async (
  trained: TrainedModel,
  labeled: Evaluation,
  { maxLength, ...machine }: Pick<TrainedAdapterOptions, 'precision' | 'threads' | 'batchSize' | 'maxLength'>,
  device: Device,
  { rows = null, onProgress, onWarning = () => undefined }: ScoringOptions = {},
): Promise<AdapterScore> => {
  const { model, method, outputs } = trained.adapter
  const data = alignLabels(labeled, { outputs, labelNames: resolveLabels(trained), called: adapterNoun(trained) })
  const task = bindWithMetric(data)
  const tokenizer = await task.tokenizer(trained.base, resolveMaxLength(trained, maxLength))
  const opened = await openAnswers(trained, task.objective(model, method), machine, device, 'scoring')
  try {
    const examples = tokenizer.evaluation(data.evaluation.examples)
    tokenizer.warnings().forEach(onWarning)
    const answers = await opened.answers(examples, onProgress)
    return scoreAnswers(task, data, answers, (i) => examples.at(i)?.row, rows)
  } finally {
    await opened.release()
  }
}

/** Scores an adapter that is open. @throws as scoreTrained */
export const scoreAdapter = async (
  adapter: Pick<TrainedAdapter, 'outputs' | 'labelNames' | 'called' | 'predict'>,
  labeled: Evaluation,
  { rows = null, onProgress }: ScoringOptions = {},
): Promise<AdapterScore> => {
  const { outputs, labelNames, called = 'adapter' } = adapter
  const data = alignLabels(labeled, { outputs, labelNames, called })
  const { examples } = data.evaluation
  const answers = await adapter.predict(examples, onProgress)
  return scoreAnswers(bindWithMetric(data), data, answers, (i) => examples[i]?.row, rows)
}

const scoreAnswers = (
  task: BoundTask,
  { evaluation: { source, examples }, labelNames, positive }: TaskData,
  answers: readonly Answer[],
  findRow: (answer: number) => number | undefined,
  rows: RunRows | null,
): AdapterScore => {
  checkFiniteAnswers(answers, (i) => `${source}, row ${findRow(i)}`)
  const { scores, constant } = task.score(answers)
  return {
    scores,
    ...task.report(answers),
    examples: examples.length,
    source,
    majority: task.majority,
    constant,
    trainedOn: rows === null ? null : examples.filter((example) => isAmong(rows.training, example)).length,
    positive: positive === undefined ? null : (labelNames?.[positive] ?? String(positive)),
  }
}

/** An average would hide an output that is not finite. @throws InputError that names the row */
const checkFiniteAnswers = (answers: readonly unknown[], where: (answer: number) => string): void => {
  const listNumbers = (answer: unknown): readonly unknown[] => (Array.isArray(answer) ? answer : Object.values(answer as object).flat())
  const at = answers.findIndex((answer) => !listNumbers(answer).every(Number.isFinite))
  if (at >= 0) throw inputError(where(at), 'finite outputs of model and adapter', listNumbers(answers[at]).slice(0, 8).join(', '))
}

// Reloads the data that a run was evaluated on.
/** What a run stored about its rows, and the digest of those that it evaluated on. */
type StoredRows = { readonly rows: RunRows; readonly digest: string | undefined }

/**
 * The data that a run evaluated on, with a warning if it has changed. If the run held out rows of its file, these rows are looked up by their texts:
 * another split of a file that has grown would hold out rows that the run trained on.
 * @throws InputError
 */
export const loadRunEvaluation = async (
  { testData: _, ...task }: TaskOptions,
  stored: StoredRows | null = null,
): Promise<Evaluation & { readonly warning: string | null }> => {
  const heldOut = stored?.rows.heldOut === true
  const labeled: Evaluation = await (heldOut ? loadEvaluation(task) : loadTask(task))
  if (stored === null) return { ...labeled, warning: null }
  const all = labeled.evaluation
  const evaluation = heldOut ? { ...all, examples: all.examples.filter((example) => isAmong(stored.rows.evaluation, example)) } : all
  const { source, examples } = evaluation
  if (examples.length === 0)
    throw inputError(source, words`rows that the run held out (${option('evalData')} names others)`, 'none of them')
  const changed = stored.digest !== undefined && stored.digest !== rowsDigest(evaluation)
  const before = Number.parseInt(stored.digest ?? '', 10)
  const change =
    before === examples.length
      ? 'are there with other labels, texts or in another order'
      : `were ${before}, and ${examples.length} are there now`
  return { ...labeled, evaluation, warning: changed ? `${source}: the rows that the run was evaluated on ${change}` : null }
}

// Labeled data in terms of a trained model: its classes by the indices of the model's outputs.
export type ModelClasses = {
  readonly outputs: ModelOutputs
  /** the classes in the order of the outputs; undefined: neither adapter nor model names them */
  readonly labelNames: readonly string[] | undefined
  readonly called: 'adapter' | 'model'
}

/** The data with class indices, and names, in the order of the model's outputs. @throws InputError if task type or classes differ */
export const alignLabels = (labeled: Evaluation, model: ModelClasses): TaskData => {
  const { evaluation } = labeled
  const { source } = evaluation
  const trainedFor = findTaskType(model.outputs, source)
  const [head, trainedHead] = [labeled.taskType, trainedFor].map(({ outputs }) => outputs(null).head)
  // embeddings compare any texts, and a decoder gives any text a probability
  if (labeled.taskType !== trainedFor && (head !== trainedHead || (head !== 'embedding' && head !== 'causal')))
    throw inputError(source, `${trainedFor.dataNoun}, as the ${model.called} was trained for`, labeled.taskType.dataNoun)
  const names = evaluation.labelNames
  if (names === null) return { ...labeled, labelNames: null }
  const indices = outputIndices(names, labeled, model)
  const toOutput = (label: number): number => indices[label] ?? label
  const isSameOrder = indices.every((output, i) => output === i)
  const examples = isSameOrder ? evaluation.examples : evaluation.examples.map((example) => new RelabeledExample(example, toOutput))
  return {
    ...labeled,
    evaluation: { ...evaluation, examples },
    labelNames: model.labelNames ?? namesByOutput(names, indices),
    ...(labeled.positive === undefined ? {} : { positive: toOutput(labeled.positive) }),
  }
}

/** A view of an example, so that texts are not copied. */
class RelabeledExample implements Example {
  constructor(
    private readonly example: Example,
    private readonly toOutput: (label: number) => number,
  ) {}
  get text(): string {
    return this.example.text
  }
  get textPair(): string | undefined {
    return this.example.textPair
  }
  get label(): number {
    return this.toOutput(this.example.label)
  }
  get labels(): readonly number[] | undefined {
    return this.example.labels?.map(this.toOutput)
  }
  get words(): ArrayLike<number> | undefined {
    return this.example.words
  }
  get row(): number {
    return this.example.row
  }
}

const namesByOutput = (names: readonly string[], indices: readonly number[]): readonly string[] => {
  const byOutput: string[] = []
  names.forEach((name, i) => {
    byOutput[indices[i] ?? i] = name
  })
  return byOutput
}

/**
 * The output of each of the data's classes: by name, if the model names its classes. A model without names is assumed to have a task's own order,
 * or the order of labels that are numbers (0, 1, LABEL_2). Nothing else shows the class of an output.
 * @throws InputError
 */
const outputIndices = (
  names: readonly string[],
  { evaluation: { source }, sorted = false }: Evaluation,
  { outputs, labelNames, called }: ModelClasses,
): readonly number[] => {
  if (labelNames !== undefined) {
    const findIndex = labelIndexIn(labelNames)
    const unknown = names.find((name) => findIndex(name) === undefined)
    if (unknown !== undefined) throw inputError(source, `the ${called}'s labels (${labelNames.join(', ')})`, JSON.stringify(unknown))
    return names.map((name) => findIndex(name) ?? NaN)
  }
  const numbers = names.map((name) => Number(/^(?:LABEL_)?(\d+)(?:\.0*)?$/.exec(name)?.[1] ?? NaN))
  const isNumbered = names.length === outputs.labels && names.every((_, i) => numbers.includes(i))
  if (sorted && !isNumbered)
    throw inputError(
      option('labels'),
      `the ${outputs.labels} classes of the ${called} in the order of its outputs (such as ${oneLine(names.slice(0, 5).join(','))}), since ${called === 'model' ? 'its config.json does not name them' : 'neither adapter nor model names them'}`,
      'none given',
    )
  if (names.length !== outputs.labels) throw inputError(source, `${outputs.labels} classes, as the ${called} has`, String(names.length))
  return sorted ? numbers : names.map((_, i) => i)
}
