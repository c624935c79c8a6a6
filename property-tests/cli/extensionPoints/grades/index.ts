/** A task that is in no release: essays with grades from 0 to 2. What a new task's one folder looks like. */
import type { SequenceOutputs } from '../../../../accelerated/models/modelOutputs.js'
import { loadTokenizer } from '../../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { scoreColumn } from '../../../../finetuning/data/labelColumn.js'
import { readDelimited } from '../../../../finetuning/data/delimited.js'
import { evalShare } from '../../../../finetuning/tasks/files/flags.js'
import type { Task } from '../../../../finetuning/tasks/task.js'
import { sealTask, toReading, type TypedTask, type TaskData, type TaskType } from '../../../../finetuning/tasks/taskType.js'
import { textSource } from '../../../../finetuning/tasks/texts/source.js'
import { gradeMetrics, scoreGrades, toGrade } from './metrics.js'
import { logCosh, type GradedExample } from './objective.js'
import { gradeNames, readEssays } from './rows.js'
import { openEssayTokens } from './tokens.js'

const outputs: SequenceOutputs = { head: 'sequence', labels: 1, problemType: 'regression', taskType: 'grades' }
const refused = 'none, as grades have an order'
const toName = (output: readonly number[]): string => gradeNames[toGrade(output)] ?? ''

const boundTo = ({ evaluation: { examples } }: TaskData): TypedTask<GradedExample, readonly number[]> => {
  const grades = examples.map(({ label }) => label)
  return {
    outputs,
    objective: logCosh,
    tokenizer: openEssayTokens,
    score: (answers) => {
      const scores = scoreGrades(answers, grades)
      return { scores, selection: scores.exactGrade, constant: null }
    },
    worstErrors: (answers, count) =>
      answers
        .map((answer, index) => ({
          index,
          label: gradeNames[grades[index] ?? NaN] ?? '',
          predicted: toName(answer),
          loss: Math.abs((answer[0] ?? NaN) - (grades[index] ?? NaN)),
        }))
        .sort((a, b) => b.loss - a.loss)
        .slice(0, count),
    report: () => ({ byClass: null, confusion: null }),
    majority: null,
  }
}

const type: TaskType = {
  name: 'grades',
  noun: 'a grading',
  dataNoun: 'grades of essays',
  outputs: () => outputs,
  isImpliedBy: () => false,
  metricNames: () => gradeMetrics,
  refuses: { positiveLabel: refused, classWeights: refused, labelNames: refused },
  file: {
    read: (file, options) => readDelimited(file, { ...options, labelColumn: scoreColumn }),
    strata: scoreColumn.strata,
    noClasses: 'grades',
    metrics: ['exactGrade'],
    selectionMetric: 'exactGrade',
  },
  bind: (data) => sealTask(boundTo(data)),
  openReading: async ({ base: { folder, model, storage } }, _, maxLength) => {
    const { encode } = await loadTokenizer(folder, model, storage)
    return toReading(
      ({ text, textPair }) => encode(text, textPair, maxLength),
      logCosh(model),
      (encoding, row) => ({ ...encoding, row, grade: NaN }),
    )
  },
  predictions: { columns: ['grade'], predict: (output) => ({ json: { grade: toName(output) }, cells: [toName(output)] }) },
  pipelineTag: 'text-classification',
  command: 'predict',
  exportWarnings: (format) => (format === 'merged' ? ['round the value to a grade'] : []),
}

export const grades: Task = {
  types: [type],
  sources: [
    textSource({
      name: 'essays',
      help: 'graded essays of a file',
      scoring: { taskType: type, metrics: ['exactGrade'], selectionMetric: 'exactGrade' },
      flags: [
        { name: 'data', placeholder: 'folder|file', description: 'essays: file of a grade, " | " and an essay on each line' },
        evalShare,
      ],
      read: readEssays,
      dataOptions: () => ({}),
    }),
  ],
}
