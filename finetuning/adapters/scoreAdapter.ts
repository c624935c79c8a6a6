/** Scores of a trained adapter on labeled texts, beside what always answering the most frequent class would score. */
import { inputError, oneLine } from '../../accelerated/errors/inputError.js'
import type { Dataset } from '../data/index.js'
import type { Evaluation, TaskOptions } from '../tasks/index.js'
import {
  confusionMatrix,
  majorityClass,
  predictedSets,
  reportByClass,
  reportBySets,
  scoreOutputs,
  type ClassReport,
} from '../metrics/index.js'
import { isAmong, rowsDigest, type RunRows } from '../runs/runRows.js'
import { loadEvaluation, loadTask } from '../tasks/loadTask.js'
import type { TrainedAdapter } from './trainedAdapter.js'

export type AdapterScore = {
  readonly scores: Readonly<Record<string, number>>
  readonly examples: number
  /** of text, those that were to be predicted */
  readonly tokens?: number
  readonly source: string
  readonly majority: { readonly label: string; readonly share: number } | null
  /** the class that every example is predicted as, where that is so */
  readonly constant: string | null
  /** how many of the examples have a text that the run trained on; null where that is not known */
  readonly trainedOn: number | null
  /** the class that f1 is of; null where none was named */
  readonly positive: string | null
  /** class by class, of the first set where two are scored apart; null in a regression, or where there are more classes than anybody reads */
  readonly byClass: ReadonlyArray<ClassReport & { readonly label: string }> | null
  /** counts by label (rows) and prediction (columns), in the order of byClass */
  readonly confusion: ReadonlyArray<ReadonlyArray<number>> | null
}

export type Labeled = Evaluation

/** Classes up to which a report is made: the matrix grows with their square. */
const mostReported = 100

/** What of a run is remembered: its rows, and the digest of those that it was evaluated on. */
export type RememberedRows = { readonly rows: RunRows; readonly digest: string | undefined }

/**
 * What a run evaluated on, with a warning where that is no more what it was. Of a file, the rows that it held out, whatever else the file has by
 * now: a split of the grown file would hold out rows that the run trained on. @throws InputError
 */
export const evaluationOfRun = async (
  task: TaskOptions,
  remembered: RememberedRows | null = null,
): Promise<Labeled & { readonly warning: string | null }> => {
  const heldOut = remembered?.rows.heldOut === true
  const labeled: Labeled = await (heldOut ? loadEvaluation(task) : loadTask(task))
  if (remembered === null) return { ...labeled, warning: null }
  const all = labeled.evaluation
  const evaluation = heldOut ? { ...all, examples: all.examples.filter((example) => isAmong(remembered.rows.evaluation, example)) } : all
  const { source, examples } = evaluation
  if (examples.length === 0) throw inputError(source, 'rows that the run held out', 'none of them')
  const changed = remembered.digest !== undefined && remembered.digest !== rowsDigest(evaluation)
  const then = Number.parseInt(remembered.digest ?? '', 10)
  const told =
    then === examples.length
      ? 'are there with other labels, texts or in another order'
      : `were ${then}, and ${examples.length} are there now`
  return { ...labeled, evaluation, warning: changed ? `${source}: the rows that the run was evaluated on ${told}` : null }
}

/** Data that the adapter has not seen by name: a task's dev file, or the whole of a file. @throws Mistake */
export const evaluationOf: (task: TaskOptions) => Promise<Labeled> = loadEvaluation

/** `rows`: those that the run trained on; `told` hears after each batch how many examples are done. */
export type ScoringOptions = { readonly rows?: RunRows | null; readonly told?: (done: number) => void }

/**
 * @throws InputError where the labels of the data are not those of the adapter
 */
export const scoreAdapter = async (
  adapter: TrainedAdapter,
  labeled: Labeled,
  { rows = null, told }: ScoringOptions = {},
): Promise<AdapterScore> => {
  const { evaluation } = labeled
  const { outputs, called = 'adapter' } = adapter
  if (labeled.taskType === 'causal' || labeled.taskType !== outputs.taskType)
    throw inputError(
      evaluation.source,
      `labels of a ${outputs.taskType}, as the ${called} was trained for`,
      labeled.taskType === 'causal' ? 'text alone' : `those of a ${labeled.taskType}`,
    )
  const { taskType } = labeled
  const classOf = ownClass(adapter, labeled)
  const labels = evaluation.examples.map(({ label }) => classOf(label))
  const sets = evaluation.examples.map(({ labels: own = [] }) => own.map(classOf))
  const answers = await adapter.predict(evaluation.examples, told)
  checkFiniteAnswers(answers, evaluation)
  const positive = labeled.positive === undefined ? undefined : classOf(labeled.positive)
  const { second } = evaluation
  const { scores, predictions, constant } = scoreOutputs(
    { ...labeled, ...(positive === undefined ? {} : { positive }) },
    answers,
    taskType === 'multi-label' ? sets : labels,
    second,
  )
  const ofFirst = labels.slice(0, second?.from)
  const nameOf = (label: number): string => adapter.labelNames?.[label] ?? evaluation.labelNames?.[label] ?? String(label)
  const majority = taskType === 'classification' ? majorityClass(ofFirst) : null
  const [reported, multiLabel] = [taskType !== 'regression' && outputs.labels <= mostReported, taskType === 'multi-label']
  const classes = Array.from({ length: reported ? outputs.labels : 0 }, (_, i) => i)
  return {
    scores,
    examples: labels.length,
    source: evaluation.source,
    majority: majority === null ? null : { label: nameOf(majority.label), share: majority.share },
    constant: constant === null ? null : nameOf(constant),
    trainedOn: rows === null ? null : evaluation.examples.filter((example) => isAmong(rows.training, example)).length,
    positive: positive === undefined ? null : nameOf(positive),
    byClass: reported
      ? (multiLabel ? reportBySets(predictedSets(answers), sets, outputs.labels) : reportByClass(predictions, ofFirst, classes)).map(
          (report, i) => ({ label: nameOf(i), ...report }),
        )
      : null,
    confusion: reported && !multiLabel ? confusionMatrix(predictions, ofFirst, outputs.labels) : null,
  }
}

/** @throws InputError naming the row whose answer is no number: an average would hide it, and so would the largest of such numbers */
const checkFiniteAnswers = (answers: ReadonlyArray<ReadonlyArray<number>>, { source, examples }: Dataset): void => {
  const at = answers.findIndex((answer) => !answer.every(Number.isFinite))
  if (at >= 0)
    throw inputError(
      `${source}, row ${examples[at]?.row}`,
      'finite outputs of model and adapter',
      String(answers[at]?.slice(0, 8).join(', ')),
    )
}

/**
 * From the data's index of a class to the adapter's: by name where both have names, which may stand in another order. An adapter without
 * names is believed to have a task's own order, or that of its numbers where the labels are numbers; nothing else says which output is which.
 */
const ownClass = (
  { outputs, labelNames, called = 'adapter' }: TrainedAdapter,
  { evaluation: { labelNames: theirs, source }, sorted = false }: Labeled,
): ((label: number) => number) => {
  if (theirs === null) return (label) => label
  if (labelNames === undefined) {
    const numbers = theirs.map((name) => Number(/^(?:LABEL_)?(\d+)$/.exec(name)?.[1] ?? NaN))
    if (sorted && !(theirs.length === outputs.labels && theirs.every((_, i) => numbers.includes(i))))
      throw inputError(
        '--labels',
        `the ${outputs.labels} classes of the ${called} in the order of its outputs (such as ${oneLine(theirs.slice(0, 5).join(','))}), since ${called === 'model' ? 'its config.json does not name them' : 'neither adapter nor model names them'}`,
        'none given',
      )
    if (theirs.length !== outputs.labels) throw inputError(source, `${outputs.labels} classes, as the ${called} has`, String(theirs.length))
    return sorted ? (label) => numbers[label] ?? label : (label) => label
  }
  const places = theirs.map((name) => labelNames.indexOf(name))
  const unknown = theirs.find((_, i) => places[i] === -1)
  if (unknown !== undefined) throw inputError(source, `the ${called}'s labels (${labelNames.join(', ')})`, JSON.stringify(unknown))
  return (label) => places[label] ?? label
}
