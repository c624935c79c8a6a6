/** Scores of a trained adapter on labelled texts, beside what always answering the most frequent class would score. */
import { isLeft } from 'fp-ts/lib/Either.js'
import type { Dataset, Scoring, TaskOptions } from './data/index.js'
import { describeProblem, loadEvaluation, loadTask } from './data/index.js'
import { predictionOf } from './preparation.js'
import { constantPrediction, majorityClass, score } from './metrics/index.js'
import type { TrainedAdapter } from './trainedAdapter.js'
import { UserError } from './userError.js'

export type AdapterScore = {
  readonly scores: Readonly<Record<string, number>>
  readonly examples: number
  readonly source: string
  readonly majority: { readonly label: string; readonly share: number } | null
  /** the class that every example is predicted as, where that is so */
  readonly constant: string | null
}

export type Labelled = Scoring & { readonly evaluation: Dataset }

/** What a run evaluated on: of a file, the part that it held out. @throws UserError */
export const evaluationOfRun = (task: TaskOptions): Labelled => {
  const loaded = loadTask(task)
  if (isLeft(loaded)) throw new UserError(describeProblem(loaded.left))
  return loaded.right
}

/** Data that the adapter has not seen by name: a task's dev file, or the whole of a file. @throws UserError */
export const evaluationOf = (task: TaskOptions): Labelled => {
  const loaded = loadEvaluation(task)
  if (isLeft(loaded)) throw new UserError(describeProblem(loaded.left))
  return loaded.right
}

/** @param told hears after each batch how many examples are done @throws UserError where the labels of the data are not those of the adapter */
export const scoreAdapter = async (
  adapter: TrainedAdapter,
  { evaluation, problem, metrics }: Labelled,
  told?: (done: number) => void,
): Promise<AdapterScore> => {
  const { outputs } = adapter
  if (problem !== outputs.problem)
    throw new UserError(
      `${evaluation.source}: expected labels of a ${outputs.problem}, as the adapter was trained for, found those of a ${problem}`,
    )
  const classOf = ownClass(adapter, evaluation)
  const labels = evaluation.examples.map(({ label }) => classOf(label))
  const predictions = (await adapter.predict(evaluation.examples, told)).map((output) => predictionOf(problem, output))
  const nameOf = (label: number): string => adapter.labelNames?.[label] ?? evaluation.labelNames?.[label] ?? String(label)
  const majority = problem === 'classification' ? majorityClass(labels) : null
  const constant = problem === 'classification' ? constantPrediction(predictions) : null
  return {
    scores: score(metrics)(predictions, labels) as AdapterScore['scores'],
    examples: labels.length,
    source: evaluation.source,
    majority: majority === null ? null : { label: nameOf(majority.label), share: majority.share },
    constant: constant === null ? null : nameOf(constant),
  }
}

/** From the data's index of a class to the adapter's: by name where both have names, which may stand in another order. */
const ownClass = ({ outputs, labelNames }: TrainedAdapter, { labelNames: theirs, source }: Dataset): ((label: number) => number) => {
  if (theirs === null) return (label) => label
  if (labelNames === undefined) {
    if (theirs.length !== outputs.labels)
      throw new UserError(`${source}: expected ${outputs.labels} classes, as the adapter has, found ${theirs.length}`)
    return (label) => label
  }
  const places = theirs.map((name) => labelNames.indexOf(name))
  const unknown = theirs.find((_, i) => places[i] === -1)
  if (unknown !== undefined)
    throw new UserError(`${source}: expected the adapter's labels (${labelNames.join(', ')}), found ${JSON.stringify(unknown)}`)
  return (label) => places[label] ?? label
}
