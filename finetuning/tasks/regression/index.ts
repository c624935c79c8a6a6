/** Regression: a number per example. */
import { scoreColumn } from '../../data/labelColumn.js'
import { isPredictionMetric, METRICS } from '../../metrics/index.js'
import { toLabels, sequenceTaskType } from '../sequences/sequenceTaskType.js'
import type { Task } from '../task.js'

const commonMetrics = () => ['mse', 'mae']

const noClasses = 'none, as a regression has no classes'

export const regression = sequenceTaskType({
  name: 'regression',
  noun: 'a regression',
  problemType: 'regression',
  refuses: { positiveLabel: noClasses, classWeights: noClasses, labelNames: noClasses },
  file: { labels: scoreColumn, metrics: ['pearson', 'spearman'], selectionMetric: 'mean' },
  commonMetrics,
  scoreSet: ({ metrics }, outputs, truths) => {
    const [predictions, labels] = [outputs.map(([value]) => value ?? NaN), toLabels(truths)]
    const names = [...new Set([...metrics, ...commonMetrics()])].filter(isPredictionMetric)
    return { scores: Object.fromEntries(names.map((name) => [name, METRICS[name](predictions, labels)])), constant: null }
  },
  toPrediction: ([value = NaN]) => value,
  toError: ([value = NaN], truth) => ({ predicted: value, loss: Math.abs(value - (toLabels([truth])[0] ?? NaN)) }),
  predictions: {
    columns: ['value'],
    predict: ([value = NaN]) => ({ json: { value }, cells: [String(value)] }),
  },
  exportWarnings: (format) =>
    format === 'transformers.js'
      ? ["pipeline('text-classification') answers 1 for every regression: use the logits of AutoModelForSequenceClassification"]
      : [],
})

export const regressionTask: Task = { types: [regression] }
