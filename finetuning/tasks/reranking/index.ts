/** Reranking: the texts of a query in the order of their grades, by a cross-encoder that reads the query beside each text. */
import { mean } from 'simple-statistics'
import { loadTokenizer, type Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { ModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import type { SequenceOutputs } from '../../../accelerated/models/modelOutputs.js'
import type { Examples } from '../../../accelerated/models/packing.js'
import { sequenceClassification } from '../../../accelerated/objectives/sequenceClassification.js'
import type { Example } from '../../data/dataset.js'
import { selectionScore } from '../../metrics/index.js'
import { normalizedGain, rankGrades, reciprocalRank } from '../../metrics/ranking.js'
import { type ExampleTokenizer, truncationWarnings } from '../exampleTokenizer.js'
import type { Task } from '../task.js'
import { sealTask, toReading, type TaskData, type TaskType, type TypedTask } from '../taskType.js'
import { listNet, rankedExample, type RankedExample } from './objective.js'
import { parseQuery, readQueries } from './rows.js'

const outputs: SequenceOutputs = { head: 'sequence', labels: 1, problemType: 'regression', taskType: 'rerank', readsPairs: true }

const openQueryTokens = async ({ folder, model, storage }: ModelFolder, maxLength: number): Promise<ExampleTokenizer<RankedExample>> => {
  const tokenizer = await loadTokenizer(folder, model, storage)
  let [pairs, truncated] = [0, 0]
  const encode = (query: string, text: string): ReturnType<Tokenizer['encode']> => {
    const encoding = tokenizer.encode(query, text, maxLength)
    pairs++
    if (encoding.truncated === true) truncated++
    return encoding
  }
  const read = (examples: Iterable<Example>): Examples<RankedExample> => {
    const list = Array.from(examples, ({ text, labels = [], row }) => {
      const { query, texts } = parseQuery(text)
      return rankedExample(
        row,
        texts.map((one) => encode(query, one)),
        labels,
      )
    })
    return { length: list.length, at: (index) => list[index] }
  }
  return { training: read, evaluation: read, warnings: () => truncationWarnings(truncated, pairs, maxLength) }
}

/** The means over queries of nDCG@10 and MRR@10. @throws Error if there is no query */
export const scoreQueries = (answers: readonly (readonly number[])[], grades: readonly (readonly number[])[]) => {
  if (answers.length === 0) throw new Error('scoreQueries: expected at least one query, got none')
  const ranked = answers.map((scores, i) => rankGrades(scores, grades[i] ?? []))
  return { ndcg: mean(ranked.map(normalizedGain)), mrr: mean(ranked.map(reciprocalRank)) }
}

const boundTo = ({ selectionMetric, metrics, evaluation: { examples } }: TaskData): TypedTask<RankedExample, readonly number[]> => {
  const grades = examples.map(({ labels = [] }) => labels)
  return {
    outputs,
    objective: (model) => listNet(model, outputs),
    tokenizer: openQueryTokens,
    score: (answers) => {
      const scores = scoreQueries(answers, grades)
      return { scores, selection: selectionScore(selectionMetric, metrics)(scores), constant: null }
    },
    report: () => ({ byClass: null, confusion: null }),
    majority: null,
  }
}

const noClasses = 'none, as a reranking has no classes'

const rerank: TaskType = {
  name: 'rerank',
  noun: 'a reranking',
  dataNoun: 'queries with graded texts',
  outputs: () => outputs,
  isImpliedBy: () => false,
  metricNames: () => ['ndcg', 'mrr'],
  file: { strata: () => () => 0, noClasses: 'grades', read: readQueries, metrics: ['ndcg', 'mrr'], selectionMetric: 'ndcg' },
  refuses: { positiveLabel: noClasses, classWeights: noClasses, labelNames: noClasses },
  bind: (data) => sealTask(boundTo(data)),
  predictions: { columns: ['score'], predict: ([score = NaN]) => ({ json: { score }, cells: [String(score)] }) },
  openReading: async ({ base: { folder, model, storage }, adapter }, _, maxLength) => {
    const tokenizer = await loadTokenizer(folder, model, storage)
    return toReading(
      ({ text, textPair }) => tokenizer.encode(text, textPair, maxLength),
      sequenceClassification(adapter.model, outputs),
      (encoding, row) => ({ ...encoding, row, label: NaN }),
    )
  },
  pipelineTag: 'text-classification',
  command: 'predict',
  exportWarnings: (format) =>
    format === 'transformers.js'
      ? [
          "pipeline('text-classification') answers 1 for every pair: use the logits of AutoModelForSequenceClassification, and AutoTokenizer with { text_pair }",
        ]
      : [],
}

export const reranking: Task = { types: [rerank] }
