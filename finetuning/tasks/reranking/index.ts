/** Reranking: the texts of a query in the order of their grades, by a cross-encoder that reads the query beside each text. */
import { mean } from 'simple-statistics'
import type { Tokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import type { ModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import type { SequenceOutputs } from '../../../accelerated/models/modelOutputs.js'
import type { Examples } from '../../../accelerated/models/packing.js'
import { sequenceClassification } from '../../../accelerated/objectives/sequenceClassification.js'
import { type Example, type Dataset, type SkippedRow, atRow } from '../../data/dataset.js'
import { selectionScore } from '../../metrics/index.js'
import { normalizedGain, rankGrades, reciprocalRank } from '../../metrics/ranking.js'
import { type ExampleTokenizer, truncationWarnings } from '../exampleTokenizer.js'
import type { Task } from '../task.js'
import { sealTask, toReading, type TaskData, type TaskType, type TypedTask, type FileOptions } from '../taskType.js'
import { listNet, rankedExample, type RankedExample } from './objective.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { exampleStore } from '../../data/compactExamples.js'
import { readDelimited } from '../../data/delimited.js'
import { scoreColumn } from '../../data/labelColumn.js'
import { pairColumn } from '../embeddings/rows.js'

/** Texts of a query: a step reads all of them at once. */
export const mostTexts = 100

export type Query = { readonly query: string; readonly texts: readonly string[] }

/** The text that an example stores as JSON. Its labels are the grades of the texts. */
export const parseQuery = (json: string): Query => JSON.parse(json) as Query

/** @throws InputError for the first thing wrong in the file */
export const readQueries = async (file: string, options: FileOptions): Promise<Dataset> => {
  const read = await readDelimited(file, { ...options, textPair: pairColumn(options, 'rerank'), labelColumn: scoreColumn })
  const byQuery = new Map<string, Example[]>()
  for (const example of read.examples) {
    const rows = byQuery.get(example.text)
    if (rows === undefined) byQuery.set(example.text, [example])
    else rows.push(example)
    checkRow(file, example, byQuery.get(example.text)?.length ?? 0)
  }
  const store = exampleStore()
  const [examples, skipped]: [Example[], SkippedRow[]] = [[], [...read.skipped]]
  for (const [query, rows] of byQuery) {
    const { row } = rows[0] as Example
    const labels = rows.map(({ label }) => label)
    if (new Set(labels).size > 1) {
      const texts = rows.map(({ textPair = '' }) => textPair)
      examples.push(store({ text: JSON.stringify({ query, texts } satisfies Query), label: NaN, labels, row }))
    } else if (options.skipMissing === true) skipped.push({ row, reason: 'no two grades of its query' })
    else
      throw inputError(
        atRow(file, row),
        words`texts of two grades or more for each query (or ${option('skipMissing', true)})`,
        `${rows.length === 1 ? 'one text' : `${rows.length} texts of grade ${labels[0]}`} for ${quoted(query, 40)}`,
      )
  }
  if (examples.length === 0) throw inputError(file, 'at least one query with texts of two grades', 'none')
  return { ...read, examples, skipped }
}

/** @param texts of the query up to this row @throws InputError */
const checkRow = (file: string, { text, label, row }: Example, texts: number): void => {
  if (label < 0) throw inputError(atRow(file, row), 'a grade of at least 0', String(label))
  if (texts > mostTexts) throw inputError(atRow(file, row), `at most ${mostTexts} texts for a query`, `more for ${quoted(text, 40)}`)
}

const outputs: SequenceOutputs = { head: 'sequence', labels: 1, problemType: 'regression', taskType: 'rerank', readsPairs: true }

const openQueryTokens = async (base: ModelFolder, maxLength: number): Promise<ExampleTokenizer<RankedExample>> => {
  const tokenizer = await base.tokenizer()
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
  openReading: async ({ base, adapter }, _, maxLength) => {
    const tokenizer = await base.tokenizer()
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

/** Reads queries with graded texts: the rows of one query, wherever they stand in the file, are one example. */
