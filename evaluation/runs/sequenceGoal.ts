/** Sequences as a run's goal: each text has a class, several of them, or a number. */
import { loadTokenizer } from '../../accelerated/files/tokenizer.js'
import { sequence, type LabelledExample } from '../../accelerated/objectives/sequence.js'
import type { SequenceOutputs } from '../../accelerated/objectives/outputs.js'
import type { Settings } from '../../accelerated/settings.js'
import { SettingsError } from '../../accelerated/settingsError.js'
import { classWeightsOf } from './classWeights.js'
import type { Example, Task } from '../data/index.js'
import type { Goal } from './goal.js'
import { majorityClass, scoreOutputs, selectionScore, truthOf, type SequenceScoring } from '../metrics/index.js'
import { tokenise } from '../tokens/tokenisedExamples.js'

/** Throws Mistake or SettingsError for class weights that the task has no classes for. */
export const sequenceGoal = (
  data: Task & SequenceScoring,
  settings: Pick<Settings, 'classWeights'>,
): Goal<LabelledExample, ReadonlyArray<number>> => {
  const { problem, labelNames, train, evaluation } = data
  const outputs: SequenceOutputs = { labels: labelNames?.length ?? 1, problem }
  if (settings.classWeights !== null && problem === 'multi-label')
    throw new SettingsError('classWeights', 'none with problem multi-label', settings.classWeights)
  const weights = classWeightsOf(
    settings.classWeights,
    labelNames,
    train.examples.map(({ label }) => label),
  )
  const nameOf = (label: number): string => labelNames?.[label] ?? String(label)
  const majority =
    problem === 'classification' ? majorityClass(evaluation.examples.slice(0, evaluation.second?.from).map(({ label }) => label)) : null
  return {
    outputs,
    objective: (model) => sequence(model, outputs, weights),
    tokeniser: async ({ folder, model }, { maxLength }) => {
      const tokenizer = await loadTokenizer(folder, model)
      const tokens = (texts: Iterable<Example>) => tokenise(tokenizer, model.vocabularySize, texts, maxLength)
      return { training: tokens, evaluation: tokens, warnings: () => [] }
    },
    score: scorer(data, evaluation.examples.map(truthOf)),
    majority: majority === null ? null : { label: nameOf(majority.label), share: majority.share },
  }
}

const scorer = (
  { metrics, problem, positive, selectionMetric, labelNames, evaluation: { second } }: Task & SequenceScoring,
  labels: ReadonlyArray<ReturnType<typeof truthOf>>,
): Goal<LabelledExample, ReadonlyArray<number>>['score'] => {
  const scoring = { metrics, problem, selectionMetric, ...(positive === undefined ? {} : { positive }) }
  return (outputs) => {
    const { scores, constant } = scoreOutputs(scoring, outputs, labels, second)
    return {
      scores,
      selection: selectionScore(selectionMetric, metrics)(scores),
      constant: constant === null ? null : (labelNames?.[constant] ?? String(constant)),
    }
  }
}
