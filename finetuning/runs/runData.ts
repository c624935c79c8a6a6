/** The data of a run: loaded once, and released while it becomes tokens. */
import { checkLabelNames } from '../../accelerated/checkpoints/labelNames.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { scoreScaleOf } from '../../accelerated/objectives/scoreScale.js'
import type { TrainingExample } from '../../accelerated/objectives/objective.js'
import type { Settings } from '../../accelerated/training/settings.js'
import type { Examples } from '../../accelerated/models/packing.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Dataset, Example } from '../data/index.js'
import { classWeightsOf } from '../tasks/classWeights.js'
import { boundWithMetric } from '../tasks/chosenMetric.js'
import type { Task } from '../tasks/task.js'
import type { AnyTaskAdapter, TaskAdapter, TaskData } from '../tasks/taskType.js'
import { reportTokenizing } from '../tokens/tokenizingProgress.js'
import type { FinetuneEvent } from './run.js'

/** A task whose lists of examples belong to the run, which may empty them. */
export type RunData = Omit<Task, 'train' | 'evaluation' | 'test'> &
  Pick<TaskData, 'metric'> & {
    readonly train: OwnedDataset
    readonly evaluation: OwnedDataset
    readonly test?: OwnedDataset
  }
type OwnedDataset = Dataset & { readonly examples: Example[] }

/** The task as the run's own, with a line on skipped rows. @throws InputError for class names that no file can hold */
export function* ownedData({ train, evaluation, test, ...rest }: Task): Generator<FinetuneEvent, RunData> {
  for (const { source, skipped } of [train, evaluation, ...(test === undefined ? [] : [test])]) {
    const [first] = skipped
    if (first !== undefined)
      yield { kind: 'preparing', what: `${source}: skipped ${skipped.length} rows; the first is row ${first.row} (${first.reason})` }
  }
  const owned = (dataset: Dataset): OwnedDataset => ({ ...dataset, examples: [...dataset.examples] })
  const data = { ...rest, train: owned(train), evaluation: owned(evaluation), ...(test === undefined ? {} : { test: owned(test) }) }
  if (data.labelNames !== null) checkLabelNames(data.labelNames, data.train.source)
  return data
}

/** The data's task type, bound to it. @throws InputError for class weights that the task type does not have */
export const bindTask = (data: Task, { classWeights }: Pick<Settings, 'classWeights'>): AnyTaskAdapter => {
  const { taskType, labelNames, train, scalesScores } = data
  const labels = (): ReadonlyArray<number> => train.examples.map(({ label }) => label)
  if (classWeights === null) return boundWithMetric(data, scalesScores === true ? { scoreScale: scoreScaleOf(labels()) } : {})
  if (taskType.refuses.classWeights !== undefined) throw inputError('--class-weights', taskType.refuses.classWeights, quoted(classWeights))
  return boundWithMetric(data, { classWeights: classWeightsOf(classWeights, labelNames ?? [], labels()) })
}

/** test: null without test data */
export type RunExamples<E> = { readonly training: Examples<E>; readonly evaluation: Examples<E>; readonly test: Examples<E> | null }

/** Tokenizes the data and empties its lists, so that a large file's texts are released on the way. @throws InputError */
export async function* tokenizeRunData<E extends TrainingExample>(
  { train, evaluation, test }: RunData,
  task: Pick<TaskAdapter<E, unknown>, 'tokenizer'>,
  base: ModelFolder,
  { maxLength }: Pick<Settings, 'maxLength'>,
): AsyncGenerator<FinetuneEvent, RunExamples<E> & { readonly warnings: ReadonlyArray<string> }> {
  const sets = [train, evaluation, ...(test === undefined ? [] : [test])]
  const sources = [...new Set(sets.map(({ source }) => source))].join(' and ')
  const count = sets.reduce((sum, { examples }) => sum + examples.length, 0)
  yield {
    kind: 'preparing',
    what: `tokenizing ${count.toLocaleString('en-US')} examples of ${sources}`,
  }
  const tokenizer = await task.tokenizer(base, maxLength)
  let done = 0
  const drained = function* (examples: Example[]): Generator<Example> {
    for (const example of drain(examples)) {
      yield example
      reportTokenizing({ done: ++done, examples: count })
    }
  }
  const examples = {
    training: tokenizer.training(drained(train.examples)),
    evaluation: tokenizer.evaluation(drained(evaluation.examples)),
    test: test === undefined ? null : tokenizer.evaluation(drained(test.examples)),
  }
  return { ...examples, warnings: tokenizer.warnings() }
}

/** Yields the examples in order and empties the list. */
function* drain(examples: Example[]): Generator<Example> {
  examples.reverse()
  for (let example = examples.pop(); example !== undefined; example = examples.pop()) yield example
}
