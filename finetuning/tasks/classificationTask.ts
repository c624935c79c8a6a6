/** Sequences as a run's goal: each text has a class, several of them, or a number. */
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { sequenceClassification, type LabeledExample } from '../../accelerated/objectives/sequenceClassification.js'
import type { SequenceOutputs } from '../../accelerated/objectives/taskType.js'
import type { Settings } from '../../accelerated/training/settings.js'
import { SettingsError } from '../../accelerated/errors/settingsError.js'
import { classWeightsOf } from './classWeights.js'
import type { Example } from '../data/index.js'
import type { Task } from './task.js'
import type { TaskAdapter } from './taskAdapter.js'
import { majorityClass, scoreOutputs, selectionScore, truthOf, type SequenceScoring } from '../metrics/index.js'
import { tokenize } from '../tokens/tokenizedExamples.js'

/** Throws Mistake or SettingsError for class weights that the task has no classes for. */
export const classificationTask = (
  data: Task & SequenceScoring,
  settings: Pick<Settings, 'classWeights'>,
): TaskAdapter<LabeledExample, ReadonlyArray<number>> => {
  const { taskType, labelNames, train, evaluation } = data
  const outputs: SequenceOutputs = { labels: labelNames?.length ?? 1, taskType }
  if (settings.classWeights !== null && taskType === 'multi-label')
    throw new SettingsError('classWeights', 'none with problem multi-label', settings.classWeights)
  const weights = classWeightsOf(
    settings.classWeights,
    labelNames,
    train.examples.map(({ label }) => label),
  )
  const nameOf = (label: number): string => labelNames?.[label] ?? String(label)
  const majority =
    taskType === 'classification' ? majorityClass(evaluation.examples.slice(0, evaluation.second?.from).map(({ label }) => label)) : null
  return {
    outputs,
    objective: (model) => sequenceClassification(model, outputs, weights),
    tokenizer: async ({ folder, model }, { maxLength }) => {
      const tokenizer = await loadTokenizer(folder, model)
      const tokens = (texts: Iterable<Example>) => tokenize(tokenizer, model.vocabularySize, texts, maxLength)
      return { training: tokens, evaluation: tokens, warnings: () => [] }
    },
    score: scorer(data, evaluation.examples.map(truthOf)),
    majority: majority === null ? null : { label: nameOf(majority.label), share: majority.share },
  }
}

const scorer = (
  { metrics, taskType, positive, selectionMetric, labelNames, evaluation: { second } }: Task & SequenceScoring,
  labels: ReadonlyArray<ReturnType<typeof truthOf>>,
): TaskAdapter<LabeledExample, ReadonlyArray<number>>['score'] => {
  const scoring = { metrics, taskType, selectionMetric, ...(positive === undefined ? {} : { positive }) }
  return (outputs) => {
    const { scores, constant } = scoreOutputs(scoring, outputs, labels, second)
    return {
      scores,
      selection: selectionScore(selectionMetric, metrics)(scores),
      constant: constant === null ? null : (labelNames?.[constant] ?? String(constant)),
    }
  }
}
