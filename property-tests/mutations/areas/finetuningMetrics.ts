/** Mutations of finetuning/metrics. */
import type { Mutation } from '../mutation.js'

export const finetuningMetrics: readonly Mutation[] = [
  {
    file: 'finetuning/metrics/classification.ts',
    mistake: 'Macro F1 is weighted by the examples.',
    before: 'counts.reduce((sum, count) => sum + f1OfCount(count), 0) / counts.length',
    after: 'counts.reduce((sum, count) => sum + f1OfCount(count) * count.labeled, 0) / labels.length',
    tests: ['property/finetuning/metrics'],
  },
  {
    file: 'finetuning/metrics/classification.ts',
    mistake: 'Matthews forgets one of the two spreads.',
    before: '* (n * n - sum(({ labeled }) => labeled ** 2)) //',
    after: '* (n * n - sum(({ predicted }) => predicted ** 2)) //',
    tests: ['property/finetuning/metrics'],
  },
  {
    file: 'finetuning/metrics/classification.ts',
    mistake: 'The confusion matrix is transposed.',
    before: 'const row = matrix[labels[i] as number]\n    if (row?.[prediction] !== undefined) row[prediction] += 1',
    after: 'const row = matrix[prediction]\n    if (row?.[labels[i] as number] !== undefined) row[labels[i] as number]! += 1',
    tests: ['property/finetuning/metrics'],
  },
  {
    file: 'finetuning/metrics/classification.ts',
    mistake: 'Precision and recall are swapped.',
    before: 'precision: predicted === 0 ? 0 : both / predicted',
    after: 'precision: labeled === 0 ? 0 : both / labeled',
    tests: ['property/finetuning/metrics'],
  },
  {
    file: 'finetuning/metrics/correlation.ts',
    mistake: 'Spearman does not rank.',
    before: 'correlation(sampleRankCorrelation, predictions, labels',
    after: 'correlation(sampleCorrelation, predictions, labels',
    tests: ['property/finetuning/metrics'],
  },
  {
    file: 'finetuning/metrics/score.ts',
    mistake: 'A larger loss is selected.',
    before: 'isLowerBetter(selection) ? -mean(present) : mean(present)',
    after: 'mean(present)',
    tests: ['property/finetuning/metrics'],
  },
  {
    file: 'finetuning/metrics/classification.ts',
    mistake: 'Of equally frequent labels the largest is the majority.',
    before: 'n - m || a - b',
    after: 'n - m || b - a',
    tests: ['property/finetuning/metrics'],
  },
  {
    file: 'finetuning/metrics/customMetric.ts',
    mistake: 'A metric may return NaN.',
    before: '|| !Number.isFinite(value)',
    after: '',
    tests: ['cli/customMetric'],
  },
  {
    file: 'finetuning/metrics/customMetric.ts',
    mistake: 'What a metric throws ends the run with a stack.',
    before: '    throw inputError(file, `a number from',
    after: '    throw thrown\n    throw inputError(file, `a number from',
    tests: ['cli/customMetric'],
  },
]
