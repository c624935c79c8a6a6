/** Sentence embeddings: texts that belong together, or that have a similarity, by the cosine of their vectors. */
import type { Examples } from '../../../accelerated/models/packing.js'
import type { EmbeddingOutputs } from '../../../accelerated/models/modelOutputs.js'
import { loadTokenizer, type Tokenizer, type Encoding } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { sentenceEmbedding, type EmbeddingLoss, type PairExample } from './objective.js'
import { type Dataset, type Example, atRow } from '../../data/dataset.js'
import { readDelimited, readTexts } from '../../data/delimited.js'
import { exampleStore } from '../../data/compactExamples.js'
import { scoreColumn } from '../../data/labelColumn.js'
import { pearson, selectionScore, spearman } from '../../metrics/index.js'
import { dot, findSeconds, numberTexts, pairMetrics, scorePairs, type Pair, type PairTexts } from './metrics.js'
import {
  toReading,
  type EvaluationError,
  type FileOptions,
  type PredictionFormat,
  sealTask,
  type TypedTask,
  type TaskData,
  type TaskType,
  selectWorst,
} from '../taskType.js'
import { truncationWarnings } from '../exampleTokenizer.js'
import type { Task } from '../task.js'

// Tokens of one text or two for embeddings: each text is a sequence of its own, and `ends` says where each one ends.
export type PairEncoding = Encoding & { readonly ends: readonly number[] }

/** @param maxLength tokens of each text @throws SettingsError or InputError as `encode` of the tokenizer */
export const encodePair = (
  { encode }: Pick<Tokenizer, 'encode'>,
  text: string,
  textPair: string | undefined,
  maxLength: number,
): PairEncoding => {
  const parts = [text, ...(textPair === undefined ? [] : [textPair])].map((part) => encode(part, undefined, maxLength))
  const isTruncated = parts.some(({ truncated }) => truncated === true)
  let end = 0
  return {
    inputIds: parts.flatMap(({ inputIds }) => inputIds),
    tokenTypeIds: parts.flatMap(({ tokenTypeIds }) => tokenTypeIds),
    ends: parts.map(({ inputIds }) => {
      end += inputIds.length
      return end
    }),
    ...(isTruncated ? { truncated: true } : {}),
  }
}

type Definition = Pick<TaskType, 'name' | 'noun' | 'dataNoun'> & {
  readonly loss: EmbeddingLoss
  readonly file: NonNullable<TaskType['file']>
  readonly metricNames: readonly string[]
  /** @param pairs the two embeddings of each pair */
  readonly score: (pairs: readonly Pair[], facts: PairFacts) => Readonly<Record<string, number>>
  readonly errors: (pairs: readonly Pair[], facts: PairFacts) => readonly EvaluationError[]
}

/** What an evaluation keeps of its pairs. labels: their scores · rows: in their file */
type PairFacts = { readonly labels: readonly number[]; readonly rows: readonly number[]; readonly texts: PairTexts }

const halves = (answer: readonly number[]): Pair => [answer.slice(0, answer.length / 2), answer.slice(answer.length / 2)]

const cosine = ([a, b]: Pair): number => dot(a, b)

/** One text: its embedding. Two: their cosine. */
const predictions: PredictionFormat = {
  columns: ['similarity', 'embedding'],
  predict: (output, _, { ends = [] }) => {
    if (ends.length < 2) return { json: { embedding: output }, cells: ['', JSON.stringify(output)] }
    const similarity = cosine(halves(output))
    return { json: { similarity }, cells: [String(similarity), ''] }
  },
}

const sixDigits = (value: number): string => String(Number(value.toPrecision(6)))

const outputsFor = (name: string): EmbeddingOutputs => ({ head: 'embedding', labels: 0, taskType: name })

const tokenizeWith =
  (tokenizer: Tokenizer, maxLength: number, onTruncated: () => void) =>
  (examples: Iterable<Example>): readonly PairExample[] =>
    Array.from(examples, ({ text, textPair, label, row }) => {
      const { inputIds, tokenTypeIds: _, ends, truncated } = encodePair(tokenizer, text, textPair, maxLength)
      if (truncated === true) onTruncated()
      return { inputIds: Int32Array.from(inputIds), ends, score: label, row }
    })

/** Scores above 1, such as those of STS-B, become shares of the largest one: a cosine is at most 1. */
const scaled = (examples: readonly PairExample[]): readonly PairExample[] => {
  const largest = findScale(examples.map(({ score }) => score))
  return largest === 1 ? examples : examples.map((example) => ({ ...example, score: example.score / largest }))
}

const findScale = (scores: readonly number[]): number => scores.reduce((most, score) => Math.max(most, Math.abs(score)), 1)

const listed = (list: readonly PairExample[]): Examples<PairExample> => ({ length: list.length, at: (index) => list[index] })

const boundTo = (
  { name, loss, score, errors }: Definition,
  { selectionMetric, metrics, evaluation }: TaskData,
): TypedTask<PairExample, readonly number[]> => {
  const { examples } = evaluation
  const facts: PairFacts = {
    labels: examples.map(({ label }) => label),
    rows: examples.map(({ row }, i) => row ?? i),
    texts: { first: numberTexts(examples.map(({ text }) => text)), second: numberTexts(examples.map(({ textPair = '' }) => textPair)) },
  }
  return {
    outputs: outputsFor(name),
    objective: (model) => sentenceEmbedding(model, loss),
    tokenizer: async ({ folder, model, storage }, maxLength) => {
      let [texts, truncated] = [0, 0]
      const tokenize = tokenizeWith(await loadTokenizer(folder, model, storage), maxLength, () => truncated++)
      const all = (examples: Iterable<Example>): Examples<PairExample> => {
        const list = scaled(tokenize(examples))
        texts += list.length
        return listed(list)
      }
      return { training: all, evaluation: all, warnings: () => truncationWarnings(truncated, texts, maxLength) }
    },
    score: (answers) => {
      const scores = score(answers.map(halves), facts)
      return { scores, selection: selectionScore(selectionMetric, metrics)(scores), constant: null }
    },
    worstErrors: (answers, count) => selectWorst(errors(answers.map(halves), facts), count),
    report: () => ({ byClass: null, confusion: null }),
    majority: null,
  }
}

const embeddingType = (definition: Definition, isImplied: boolean): TaskType => {
  const { name, noun, dataNoun, file } = definition
  const noClasses = `none, as ${noun} has no classes`
  return {
    ...{ name, noun, dataNoun, file },
    outputs: () => outputsFor(name),
    isImpliedBy: ({ head }) => isImplied && head === 'embedding',
    checkModel: ({ type, spec }, task) => {
      if (spec.kind !== 'encoder')
        throw inputError(option('model'), words`an encoder, as ${option('task')} ${task} asks for embeddings`, `a decoder of type ${type}`)
    },
    metricNames: () => definition.metricNames,
    refuses: { positiveLabel: noClasses, classWeights: noClasses, labelNames: noClasses },
    bind: (data) => sealTask(boundTo(definition, data)),
    predictions,
    openReading: async ({ base: { folder, model, storage }, adapter }, _, maxLength) => {
      const tokenizer = await loadTokenizer(folder, model, storage)
      return toReading(
        ({ text, textPair }) => encodePair(tokenizer, text, textPair, maxLength),
        sentenceEmbedding(adapter.model, 'ranking'),
        ({ ends = [], ...encoding }, row) => ({ ...encoding, ends, row, score: NaN }),
      )
    },
    readsHalfPairs: true,
    pipelineTag: 'feature-extraction',
    command: 'predict',
    exportWarnings: (format) =>
      format === 'transformers.js'
        ? ["pipeline('feature-extraction') needs { pooling: 'mean', normalize: true } for the same vectors"]
        : [],
  }
}

/** @throws InputError if the options name no second column */
const pairColumn = ({ textPair }: FileOptions, problemType: string): string => {
  if (textPair === undefined)
    throw inputError(option('textPair'), words`the column of the second texts, for ${option('problemType')} ${problemType}`, 'none given')
  return textPair
}

export const similarity = embeddingType(
  {
    name: 'similarity',
    noun: 'a similarity of texts',
    dataNoun: 'pairs of texts with a similarity',
    loss: 'similarity',
    file: {
      strata: scoreColumn.strata,
      noClasses: 'similarities',
      read: (file, options) => readDelimited(file, { ...options, textPair: pairColumn(options, 'similarity'), labelColumn: scoreColumn }),
      metrics: ['spearman', 'pearson'],
      selectionMetric: 'spearman',
    },
    metricNames: ['spearman', 'pearson'],
    score: (pairs, { labels }) => {
      const cosines = pairs.map(cosine)
      return { spearman: spearman(cosines, labels), pearson: pearson(cosines, labels) }
    },
    // the cosine in the units of the labels, and its distance from the label
    errors: (pairs, { labels }) => {
      const largest = findScale(labels)
      return pairs.map((pair, index) => {
        const [label = NaN, predicted] = [labels[index], largest * cosine(pair)]
        return { index, label: sixDigits(label), predicted: sixDigits(predicted), loss: Math.abs(predicted - label) }
      })
    },
  },
  true,
)

/** Pairs without labels. @throws InputError for an empty text */
const readPairs = async (file: string, options: FileOptions): Promise<Dataset> => {
  const columns = { ...options, textPair: pairColumn(options, 'pairs') }
  const store = exampleStore()
  const [examples, skipped, notes]: [Example[], { row: number; reason: string }[], string[]] = [[], [], []]
  const takeRow = (row: number, text: string | null, textPair: string | null | undefined): void => {
    if (text !== null && text.trim() !== '' && textPair != null && textPair.trim() !== '') {
      examples.push(store({ text, textPair, label: NaN, row }))
      return
    }
    if (options.skipMissing !== true)
      throw inputError(atRow(file, row), words`two texts (or ${option('skipMissing', true)})`, 'an empty one')
    skipped.push({ row, reason: 'no text' })
  }
  await readTexts(file, columns, takeRow, { note: (line) => notes.push(line) })
  if (examples.length === 0) throw inputError(file, 'at least one pair of texts', 'none')
  return { source: file, examples, labelNames: null, skipped, ...(notes.length === 0 ? {} : { notes }) }
}

export const pairs = embeddingType(
  {
    name: 'pairs',
    noun: 'a search among texts',
    dataNoun: 'pairs of texts that belong together',
    loss: 'ranking',
    file: { strata: () => () => 0, noClasses: 'pairs', read: readPairs, metrics: ['accuracy'], selectionMetric: 'accuracy' },
    metricNames: pairMetrics,
    score: (all, { texts }) => scorePairs(all, texts),
    // the text that is nearest to the first one, by its row
    errors: (all, { rows, texts }) =>
      findSeconds(all, texts).flatMap(({ nearest, loss }, index) =>
        nearest === index ? [] : [{ index, label: `text of row ${rows[index]}`, predicted: `text of row ${rows[nearest]}`, loss }],
      ),
  },
  false,
)

export const embeddings: Task = { types: [similarity, pairs] }
