/** Sentence embeddings: texts that belong together, or that have a similarity, by the cosine of their vectors. */
import type { Examples } from '../../../accelerated/models/packing.js'
import type { EmbeddingOutputs } from '../../../accelerated/models/modelOutputs.js'
import type { Tokenizer, Encoding } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { inputError } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { numberTexts, sentenceEmbedding, type EmbeddingLoss, type PairExample, type PairTexts } from './objective.js'
import type { Example } from '../../data/dataset.js'
import { readDelimited } from '../../data/delimited.js'
import { scoreColumn } from '../../data/labelColumn.js'
import { pearson, selectionScore, spearman } from '../../metrics/index.js'
import { dot, findSeconds, pairMetrics, scorePairs, shortenVector, type Pair } from './metrics.js'
import { pairMining } from './mining.js'
import { embeddingOptions, pairColumn, readPairs } from './rows.js'
import {
  toReading,
  type EvaluationError,
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
type PairEncoding = Encoding & { readonly ends: readonly number[] }

/** @param maxLength tokens of each text @throws SettingsError or InputError as `encode` of the tokenizer */
const encodeTexts = ({ encode }: Pick<Tokenizer, 'encode'>, texts: readonly (string | undefined)[], maxLength: number): PairEncoding => {
  const parts = texts.filter((text) => text !== undefined).map((text) => encode(text, undefined, maxLength))
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

const shortened =
  (size: number) =>
  ([a, b]: Pair): Pair => [shortenVector(a, size), shortenVector(b, size)]

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

/** A pair without a negative has its own second text there, which the loss does not count. */
const tokenizeWith =
  (tokenizer: Tokenizer, maxLength: number, onTruncated: () => void) =>
  (examples: Iterable<Example>, hasNegatives: boolean): readonly PairExample[] =>
    Array.from(examples, ({ text, textPair, negative = textPair, label, row }) => {
      const texts = [text, textPair, ...(hasNegatives ? [negative] : [])]
      const { inputIds, tokenTypeIds: _, ends, truncated } = encodeTexts(tokenizer, texts, maxLength)
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
  { selectionMetric, metrics, evaluation, embedding }: TaskData,
): TypedTask<PairExample, readonly number[]> => {
  const { examples } = evaluation
  const { negatives, sizes, sizeMetric } = embedding ?? { negatives: null, sizes: [], sizeMetric: '' }
  const facts: PairFacts = {
    labels: examples.map(({ label }) => label),
    rows: examples.map(({ row }, i) => row ?? i),
    texts: { first: numberTexts(examples.map(({ text }) => text)), second: numberTexts(examples.map(({ textPair = '' }) => textPair)) },
  }
  return {
    outputs: outputsFor(name),
    objective: (model) => {
      const { hiddenSize } = model.spec
      const long = sizes.find((size) => size >= hiddenSize)
      if (long !== undefined)
        throw inputError(option('matryoshka'), `sizes below the ${hiddenSize} numbers of an embedding of this model`, String(long))
      return sentenceEmbedding(model, negatives === null ? loss : 'triplets', sizes)
    },
    ...(negatives === 'mined' ? { mining: pairMining } : {}),
    tokenizer: async (base, maxLength) => {
      let [texts, truncated] = [0, 0]
      const tokenize = tokenizeWith(await base.tokenizer(), maxLength, () => truncated++)
      const read = (examples: Iterable<Example>, hasNegatives: boolean): Examples<PairExample> => {
        const list = scaled(tokenize(examples, hasNegatives))
        texts += list.length
        return listed(list)
      }
      return {
        training: (examples) => read(examples, negatives !== null),
        evaluation: (examples) => read(examples, false),
        warnings: () => truncationWarnings(truncated, texts, maxLength),
      }
    },
    score: (answers) => {
      const all = answers.map(halves)
      const ofSizes = sizes.map((size) => [`${sizeMetric}${size}`, score(all.map(shortened(size)), facts)[sizeMetric] ?? NaN] as const)
      const scores = { ...score(all, facts), ...Object.fromEntries(ofSizes) }
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
    metricNames: ({ metrics }) => [...new Set([...definition.metricNames, ...metrics])],
    refuses: { positiveLabel: noClasses, classWeights: noClasses, labelNames: noClasses },
    bind: (data) => sealTask(boundTo(definition, data)),
    predictions,
    openReading: async ({ base, adapter }, _, maxLength) => {
      const tokenizer = await base.tokenizer()
      return toReading(
        ({ text, textPair }) => encodeTexts(tokenizer, [text, textPair], maxLength),
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

export const similarity = embeddingType(
  {
    name: 'similarity',
    noun: 'a similarity of texts',
    dataNoun: 'pairs of texts with a similarity',
    loss: 'similarity',
    file: {
      strata: scoreColumn.strata,
      noClasses: 'similarities',
      embedding: embeddingOptions('spearman', false),
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

export const pairs = embeddingType(
  {
    name: 'pairs',
    noun: 'a search among texts',
    dataNoun: 'pairs of texts that belong together',
    loss: 'ranking',
    file: {
      ...{ strata: () => () => 0, noClasses: 'pairs', read: readPairs, metrics: ['accuracy'], selectionMetric: 'accuracy' },
      embedding: embeddingOptions('mrr', true),
    },
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
