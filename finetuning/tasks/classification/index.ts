/** Classification: one class per example. */
import { classColumn } from '../../data/labelColumn.js'
import {
  confusionMatrix,
  constantPrediction,
  crossEntropy,
  f1Of,
  isPredictionMetric,
  majorityClass,
  METRICS,
  reportByClass,
} from '../../metrics/index.js'
import { labelsOf, sequenceTaskType, type Outputs } from '../sequences/taskType.js'
import type { Task } from '../task.js'

const commonMetrics = (hasPositive: boolean) => [...(hasPositive ? ['f1'] : []), 'macroF1', 'loss']

/** The class of the largest logit; of equal ones the first. */
const predictedClass = (logits: readonly number[]): number => logits.reduce((best, x, i) => (x > (logits[best] ?? -Infinity) ? i : best), 0)

const predictedClasses = (outputs: Outputs): readonly number[] => outputs.map(predictedClass)

export const singleLabel = sequenceTaskType({
  name: 'classification',
  noun: 'a classification',
  problemType: 'single_label_classification',
  refuses: {},
  file: { labels: classColumn, metrics: ['accuracy', 'matthews'], selectionMetric: 'accuracy' },
  commonMetrics,
  scoreSet: ({ metrics, positive }, outputs, truths) => {
    const [predictions, labels] = [predictedClasses(outputs), labelsOf(truths)]
    const scoreBy = (name: string): number => {
      if (!isPredictionMetric(name)) return crossEntropy(outputs, labels)
      return (name === 'f1' && positive !== undefined ? f1Of(positive) : METRICS[name])(predictions, labels)
    }
    const names = new Set([...metrics, ...commonMetrics(positive !== undefined)])
    return { scores: Object.fromEntries([...names].map((name) => [name, scoreBy(name)])), constant: constantPrediction(predictions) }
  },
  predictionOf: predictedClass,
  errorOf: (logits, truth) => {
    const predicted = predictedClass(logits)
    return predicted === truth ? null : { predicted, loss: crossEntropy([logits], labelsOf([truth])) }
  },
  majority: (truths) => majorityClass(labelsOf(truths)),
  report: (outputs, truths, classes) => {
    const [predictions, labels] = [predictedClasses(outputs), labelsOf(truths)]
    const all = Array.from({ length: classes }, (_, i) => i)
    return { byClass: reportByClass(predictions, labels, all), confusion: confusionMatrix(predictions, labels, classes) }
  },
  predictions: {
    columns: ['label', 'score'],
    scoresClasses: true,
    /** score: softmax(logits)[label] */
    predict: (logits, labelNames) => {
      const largest = logits.reduce((most, logit) => Math.max(most, logit), -Infinity)
      const powers = logits.map((logit) => Math.exp(logit - largest))
      const total = powers.reduce((a, b) => a + b, 0)
      const shares = powers.map((power, i) => [labelNames[i] ?? '', power / total] as const)
      const [label, score] = shares[logits.indexOf(largest)] ?? ['', NaN]
      return { json: { label, score, scores: Object.fromEntries(shares) }, cells: [label, String(score)] }
    },
  },
})

export const classification: Task = { types: [singleLabel] }
