/** The embedded dataset of review sentences as a task. */
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { readSentiment } from '../../data/sentiment.js'
import { singleLabel } from '../classification/index.js'
import type { LoadedTask, TaskSource, TaskOptions } from '../task.js'

const load = async ({ evalData, testData }: TaskOptions): Promise<LoadedTask> => {
  if (testData !== undefined)
    throw inputError('--test-data', 'no file with --task sentiment, whose sentences are embedded', quoted(testData))
  if (evalData !== undefined)
    throw inputError('--eval-data', 'no file with --task sentiment, whose dev sentences are embedded', quoted(evalData))
  const { train, dev } = readSentiment()
  return {
    name: 'sentiment',
    train,
    evaluation: dev,
    taskType: singleLabel,
    metrics: ['accuracy'],
    selectionMetric: 'accuracy',
    labelNames: train.labelNames,
    heldOut: false,
  }
}

export const sentimentSource: TaskSource = {
  names: ['sentiment'],
  help: '3,000 sentences of reviews, which are embedded',
  recognizes: (task) => task === 'sentiment',
  load,
  loadEvaluation: load,
}
