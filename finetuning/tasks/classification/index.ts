/** Classification: one class per example. */
import { classColumn } from '../../data/labelColumn.js'
import {
  confusionMatrix,
  constantPrediction,
  crossEntropy,
  f1ForClass,
  isPredictionMetric,
  labelIssues,
  macroF1,
  majorityClass,
  METRICS,
  reportByClass,
} from '../../metrics/index.js'
import { toLabels, sequenceTaskType, type Outputs } from '../sequences/sequenceTaskType.js'
import type { Task } from '../task.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option } from '../../../accelerated/errors/words.js'
import { decimal } from '../../data/dataset.js'
import { labelIndexIn } from '../../data/labels.js'

const commonMetrics = (hasPositive: boolean) => [...(hasPositive ? ['f1'] : []), 'macroF1', 'loss']

/** The class of the largest logit; of equal ones the first. */
const predictedClass = (logits: readonly number[]): number => logits.reduce((best, x, i) => (x > (logits[best] ?? -Infinity) ? i : best), 0)

const predictedClasses = (outputs: Outputs): readonly number[] => outputs.map(predictedClass)

/** Probabilities: softmax(logits) */
const toShares = (logits: readonly number[]): readonly number[] => {
  const largest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity)
  const powers = logits.map((logit) => Math.exp(logit - largest))
  const total = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / total)
}

export const singleLabel = sequenceTaskType({
  name: 'classification',
  noun: 'a classification',
  problemType: 'single_label_classification',
  refuses: {},
  file: { labels: classColumn, metrics: ['accuracy', 'matthews'], selectionMetric: 'accuracy' },
  commonMetrics,
  scoreSet: ({ metrics, positive }, outputs, truths) => {
    const [predictions, labels] = [predictedClasses(outputs), toLabels(truths)]
    const scoreBy = (name: string): number => {
      if (!isPredictionMetric(name)) return crossEntropy(outputs, labels)
      if (name === 'macroF1') return macroF1(predictions, labels, outputs[0]?.length)
      return (name === 'f1' && positive !== undefined ? f1ForClass(positive) : METRICS[name])(predictions, labels)
    }
    const names = new Set([...metrics, ...commonMetrics(positive !== undefined)])
    return { scores: Object.fromEntries([...names].map((name) => [name, scoreBy(name)])), constant: constantPrediction(predictions) }
  },
  toPrediction: predictedClass,
  toError: (logits, truth) => {
    const predicted = predictedClass(logits)
    return predicted === truth ? null : { predicted, loss: crossEntropy([logits], toLabels([truth])) }
  },
  toLabelIssues: (outputs, truths) => labelIssues(outputs.map(toShares), toLabels(truths)),
  majority: (truths) => majorityClass(toLabels(truths)),
  report: (outputs, truths, classes) => {
    const [predictions, labels] = [predictedClasses(outputs), toLabels(truths)]
    const all = Array.from({ length: classes }, (_, i) => i)
    return { byClass: reportByClass(predictions, labels, all), confusion: confusionMatrix(predictions, labels, classes) }
  },
  predictions: {
    columns: ['label', 'score'],
    scoresClasses: true,
    /** score: softmax(logits)[label] */
    predict: (logits, labelNames) => {
      const shares = toShares(logits).map((share, i) => [labelNames[i] ?? '', share] as const)
      const [label, score] = shares[predictedClass(logits)] ?? ['', NaN]
      return { json: { label, score, scores: Object.fromEntries(shares) }, cells: [label, String(score)] }
    },
  },
})

export const classification: Task = { types: [singleLabel] }

// Weights of the classes in the training loss: balanced as in scikit-learn, or given by the user.
const flag = option('classWeights')

/** The share of the largest class above which a model may learn to answer nothing else. */
const largestShare = 2 / 3

/** The class of more than two thirds of the labels, with its share; null: there is none. */
export const dominantClass = (labels: readonly number[]): { readonly label: number; readonly share: number } | null => {
  const counts = new Map<number, number>()
  for (const label of labels) counts.set(label, (counts.get(label) ?? 0) + 1)
  const [label, count] = [...counts].reduce((most, one) => (one[1] > most[1] ? one : most), [0, 0] as const)
  return counts.size > 1 && count > largestShare * labels.length ? { label, share: count / labels.length } : null
}

/**
 * One weight per class. @param weights `equal`; `balanced`: n / (classes · nₖ) of the training labels; or `bad=1,good=3`, where other classes have 1
 * @throws InputError if a weight is out of bounds or a class is unknown
 */
export const parseClassWeights = (weights: string, labelNames: readonly string[], labels: readonly number[]): readonly number[] => {
  if (weights === 'equal') return labelNames.map(() => 1)
  if (weights === 'balanced') return balancedWeights(labelNames.length, labels)
  const byName = new Map(weights.split(',').map((part) => parseClassWeight(part, labelNames)))
  return labelNames.map((name) => byName.get(name) ?? 1)
}

/** A class without examples has weight 1: it is not part of the loss. */
const balancedWeights = (classes: number, labels: readonly number[]): readonly number[] => {
  const counts = new Array<number>(classes).fill(0)
  for (const label of labels) counts[label] = (counts[label] ?? 0) + 1
  return counts.map((count) => (count === 0 ? 1 : labels.length / (classes * count)))
}

/** `LABEL=WEIGHT`, split at the last equals sign: a label may contain one. */
const parseClassWeight = (part: string, labelNames: readonly string[]): readonly [string, number] => {
  const at = part.lastIndexOf('=')
  const [name, weight] = [part.slice(0, Math.max(0, at)).trim(), decimal(part.slice(at + 1).trim())]
  if (at < 0 || weight === null || weight <= 0 || weight > largestWeight)
    throw inputError(flag, `balanced, equal, or LABEL=WEIGHT with commas, each weight above 0 and at most ${largestWeight}`, quoted(part))
  const known = labelNames[labelIndexIn(labelNames)(name) ?? -1]
  if (known === undefined) throw inputError(flag, `labels of the training data (${labelNames.slice(0, 12).join(', ')})`, quoted(name))
  return [known, weight]
}

const largestWeight = 1e6
