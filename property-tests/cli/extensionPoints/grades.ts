/** A task type that is in no release: grades 0 to 2, learned as numbers and predicted by rounding. What a new task type's one file looks like. */
import { scoreColumn } from '../../../finetuning/data/labelColumn.js'
import { sequenceTaskType } from '../../../finetuning/tasks/sequences/taskType.js'
import type { TaskSource } from '../../../finetuning/tasks/task.js'
import { toyRows } from '../toyTask.js'

const names = ['poor', 'fair', 'good']
const gradeOf = ([value = NaN]: ReadonlyArray<number>): number => Math.min(2, Math.max(0, Math.round(value)))

export const grades = sequenceTaskType({
  name: 'grades',
  noun: 'a grading',
  problemType: 'regression',
  isImpliedBy: () => false,
  refuses: { positiveLabel: 'none, as grades have an order', classWeights: 'none, as grades have an order' },
  file: { labels: scoreColumn, metrics: ['exactGrade'], selectionMetric: 'exactGrade' },
  commonMetrics: () => ['withinOne'],
  scoreSet: (_, outputs, truths) => {
    const share = (distance: number): number =>
      outputs.filter((output, i) => Math.abs(gradeOf(output) - Number(truths[i])) <= distance).length / outputs.length
    return { scores: { exactGrade: share(0), withinOne: share(1) }, constant: null }
  },
  predictions: {
    columns: ['grade'],
    predict: (output) => {
      const grade = names[gradeOf(output)] ?? ''
      return { json: { grade }, cells: [grade] }
    },
  },
  exportWarnings: (format) => (format === 'merged' ? ['round the value to a grade'] : []),
})

const dataset = (source: string, count: number) => ({
  source,
  labelNames: null,
  skipped: [],
  examples: toyRows(count).map(({ text, label }, i) => ({ text, label: label === 'good' ? 2 : 0, row: i + 1 })),
})

const scored = { taskType: grades, metrics: ['exactGrade'], selectionMetric: 'exactGrade' }

export const essays: TaskSource = {
  names: ['essays'],
  help: 'graded essays',
  recognizes: (task) => task === 'essays',
  load: async () => ({
    ...scored,
    name: 'essays',
    train: dataset('essays of a year', 24),
    evaluation: dataset('essays of a day', 8),
    labelNames: null,
    heldOut: false,
  }),
  loadEvaluation: async () => ({ ...scored, evaluation: dataset('essays of a day', 8) }),
}
