/** Multi-label classification: any number of classes per example, each decided by itself. */
import { labelSetColumn } from '../../data/labelColumn.js'
import { labelSeparator } from '../../data/labels.js'
import { predictedSets, reportBySets, scoreSets, type LabelSets } from './metrics.js'
import { sequenceTaskType, type Truth } from '../sequences/taskType.js'
import type { Task } from '../task.js'

const setsOf = (truths: readonly Truth[]): LabelSets => truths.map((truth) => (typeof truth === 'number' ? [truth] : truth))

export const multiLabel = sequenceTaskType({
  name: 'multi-label',
  noun: 'a multi-label classification',
  problemType: 'multi_label_classification',
  refuses: {
    positiveLabel: 'none with --problem-type multi-label, where every class has its own F1',
    classWeights: 'none with --problem-type multi-label',
  },
  file: { labels: labelSetColumn, metrics: [], selectionMetric: 'microF1' },
  commonMetrics: () => ['accuracy', 'microF1', 'macroF1', 'loss'],
  scoreSet: (_, outputs, truths) => ({ scores: scoreSets(outputs, setsOf(truths)), constant: null }),
  predictionOf: (logits) => predictedSets([logits])[0] ?? [],
  errorOf: (logits, truth) => {
    const [[predicted = []], labels] = [predictedSets([logits]), setsOf([truth])]
    const { accuracy, loss } = scoreSets([logits], labels)
    return accuracy === 1 ? null : { predicted, loss }
  },
  report: (outputs, truths, classes) => ({
    byClass: reportBySets(predictedSets(outputs), setsOf(truths), classes),
    confusion: null,
  }),
  predictions: {
    columns: ['label'],
    scoresClasses: true,
    /** scores: σ(logit); a class holds if its logit is above 0 */
    predict: (logits, labelNames) => {
      const shares = logits.map((logit, i) => [labelNames[i] ?? '', 1 / (1 + Math.exp(-logit))] as const)
      const labels = shares.filter((_, i) => (logits[i] ?? 0) > 0).map(([name]) => name)
      return { json: { labels, scores: Object.fromEntries(shares) }, cells: [labels.join(labelSeparator)] }
    },
  },
})

export const multiLabelTask: Task = { types: [multiLabel] }
