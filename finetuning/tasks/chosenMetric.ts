/** A task with a custom metric: its score is among the others, and may select the best checkpoint. */
import { alternatives } from '../../accelerated/errors/nearest.js'
import { inputError, quoted } from '../../accelerated/errors/inputError.js'
import { option } from '../../accelerated/errors/words.js'
import type { LabelLoss } from '../../accelerated/objectives/sequenceClassification.js'
import { computeScore } from '../metrics/customMetric.js'
import type { LoadedMetric } from '../metrics/metricModule.js'
import type { BoundTask, ChosenMetric, Scoring, TaskData } from './taskType.js'

/** @param selects whether it selects the best checkpoint @throws InputError if the task has a metric of this name */
export const withMetric = <T extends Scoring>(
  task: T,
  { definition, file }: LoadedMetric,
  selects: boolean,
): T & Pick<TaskData, 'metric'> => {
  const names = task.taskType.metricNames(task)
  if (names.includes(definition.name) || definition.name === 'mean')
    throw inputError(file, `a "name" other than ${alternatives([...names, 'mean'])}`, quoted(definition.name))
  return { ...task, metric: { definition, file, selects } }
}

/** The task's type, bound to it, with the scores of its metric. @throws InputError if the answers are no predictions of labels */
export const bindWithMetric = (data: TaskData, loss: LabelLoss = {}): BoundTask => {
  const { metric, taskType } = data
  const bound = taskType.bind(data, loss)
  return metric === undefined ? bound : scoredBy(bound, metric, taskType.noun)
}

const scoredBy = (task: BoundTask, { definition, file, selects }: ChosenMetric, noun: string): BoundTask => {
  const { compared, score } = task
  if (compared === undefined) throw inputError(option('metric'), `none with ${noun}, which predicts no labels`, quoted(file))
  const { name, higherIsBetter } = definition
  return {
    ...task,
    score: (answers) => {
      const scored = score(answers)
      const value = computeScore(definition, file, compared(answers))
      if (!selects) return { ...scored, scores: { ...scored.scores, [name]: value } }
      // the first score is the one that reports show
      return { ...scored, scores: { [name]: value, ...scored.scores }, selection: higherIsBetter ? value : -value }
    },
  }
}
