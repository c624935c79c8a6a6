/** Loads a task from a given source, with the test data, the positive class and the selection metric that the options choose. */
import { alternatives } from '../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option, words } from '../../accelerated/errors/words.js'
import type { Dataset } from '../data/dataset.js'
import { labelIndexIn } from '../data/labels.js'
import type { Placed } from '../data/rows.js'
import type { Scoring, LoadedTask, TaskOptions, TaskSource } from './task.js'

/** The training, evaluation and test data of a source. @throws InputError for the first thing wrong */
export const loadFromSource = async (source: TaskSource, options: TaskOptions & Placed): Promise<LoadedTask> => {
  const task = await source.load(options)
  const test = await loadTestData(source, options, task.labelNames)
  return withChosenMetrics({ ...task, ...(test === null ? {} : { test }) }, task.labelNames, options)
}

/** The test data, with the classes of the training data; null: there is none. @throws InputError */
const loadTestData = async (
  { loadEvaluation }: TaskSource,
  { testData, ...options }: TaskOptions & Placed,
  labelNames: readonly string[] | null,
): Promise<Dataset | null> => {
  if (testData === undefined) return null
  const { evaluation } = await loadEvaluation({ ...options, evalData: testData, ...(labelNames === null ? {} : { labelNames }) })
  return evaluation
}

/** The task with the positive label and the selection metric that the options choose. */
export const withChosenMetrics = <T extends Scoring>(
  task: T,
  labelNames: readonly string[] | null,
  { positiveLabel, metricForBestModel }: TaskOptions,
): T => {
  const positive = positiveLabel === undefined ? task.positive : positiveClass(positiveLabel, task, labelNames ?? [])
  const scored = positive === undefined ? task : { ...task, positive }
  if (metricForBestModel === undefined) return scored
  const known = [...task.taskType.metricNames(scored), ...(task.metrics.length > 1 ? ['mean'] : [])]
  if (known.includes(metricForBestModel)) return { ...scored, selectionMetric: metricForBestModel }
  throw inputError(
    option('metricForBestModel'),
    metricForBestModel === 'f1' ? words`${option('positiveLabel')}, which names the class that f1 is of` : alternatives(known),
    metricForBestModel === 'f1' ? 'none given' : quoted(metricForBestModel),
  )
}

/** The index of the class that F1 is of. @throws InputError */
const positiveClass = (positiveLabel: string, { taskType }: Scoring, labelNames: readonly string[]): number => {
  const index = labelIndexIn(labelNames)(positiveLabel) ?? -1
  const { positiveLabel: refusal } = taskType.refuses
  if (refusal !== undefined || index < 0)
    throw inputError(option('positiveLabel'), refusal ?? alternatives(labelNames), quoted(positiveLabel))
  return index
}
