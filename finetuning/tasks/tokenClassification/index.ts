/** Token classification: an entity type, or none, for each word of a text. */
import type { Examples } from '../../../accelerated/models/packing.js'
import type { TokenOutputs } from '../../../accelerated/models/modelOutputs.js'
import { inputError, quoted } from '../../../accelerated/errors/inputError.js'
import { option, words } from '../../../accelerated/errors/words.js'
import { tokenClassification as tokenObjective, type TaggedExample } from './objective.js'
import type { Example } from '../../data/dataset.js'
import { readTagged, taggedEndings } from './examples.js'
import { constantPrediction, crossEntropy, majorityClass, selectionScore } from '../../metrics/index.js'
import { outside, reportByType, scoreEntities, parseEntities, parseTag, toTag } from './metrics.js'
import { encodeWords } from './tokens.js'
import { wordsIn, characterOffsets } from './sentences.js'
import {
  toReading,
  sealTask,
  type TypedTask,
  type TaskData,
  type TaskType,
  selectWorst,
  type PredictionFormat,
  type ReadText,
} from '../taskType.js'
import { truncationWarnings } from '../exampleTokenizer.js'
import type { Task } from '../task.js'

// Entities of a text from a model's logits, under the names of transformers' pipeline: `entity_group`, `score`, `word`, `start` and `end`.
/** An answer as rows: [words][labels] */
export const splitRows = (answer: readonly number[], labels: number): readonly (readonly number[])[] =>
  Array.from({ length: labels === 0 ? 0 : answer.length / labels }, (_, i) => answer.slice(i * labels, (i + 1) * labels))

const argmax = (row: readonly number[]): number => row.reduce((best, x, i) => (x > (row[best] ?? -Infinity) ? i : best), 0)

/** The tag of the largest logit of each word; O for words that were cut off. */
export const decodeTags = (rows: readonly (readonly number[])[], names: readonly string[], words: number): readonly string[] =>
  Array.from({ length: words }, (_, i) => {
    const row = rows[i]
    return row === undefined ? outside : (names[argmax(row)] ?? outside)
  })

/** softmax(row)[its largest] */
const largestShare = (row: readonly number[]): number => {
  const largest = row[argmax(row)] ?? NaN
  return 1 / row.reduce((sum, x) => sum + Math.exp(x - largest), 0)
}

/** A word that shares the token of the word before belongs to the same entity. */
const continued = (tags: readonly string[], places: readonly number[]): readonly string[] =>
  tags.map((tag, i) => {
    const { kind, type } = parseTag(tag)
    return i > 0 && places[i] === places[i - 1] && kind === 'begin' ? toTag(type, false) : tag
  })

const entitiesIn = (
  output: readonly number[],
  names: readonly string[],
  { text, words = [], places = [] }: ReadText,
): readonly object[] => {
  const rows = splitRows(output, names.length)
  const { toCharacter } = characterOffsets(text)
  return parseEntities(continued(decodeTags(rows, names, words.length / 2), places)).map(({ type, start, end }) => {
    const [from, to] = [words[2 * start] ?? 0, words[2 * end - 1] ?? 0]
    const scores = rows.slice(start, end).map(largestShare)
    return {
      entity_group: type,
      score: scores.reduce((a, b) => a + b, 0) / scores.length,
      word: text.slice(from, to),
      start: toCharacter(from),
      end: toCharacter(to),
    }
  })
}

/** score: the mean of softmax(logits)[tag] over the entity's words */
export const entityPredictions: PredictionFormat = {
  columns: ['entities'],
  predict: (output, labelNames, read) => {
    const entities = entitiesIn(output, labelNames, read)
    return { json: { entities }, cells: [JSON.stringify(entities)] }
  },
}

const name = 'token-classification'

const outputsFor = (labelNames: readonly string[] | null): TokenOutputs => ({
  head: 'token',
  labels: labelNames?.length ?? 1,
  taskType: name,
})

const metricNames = ['precision', 'recall', 'f1', 'accuracy', 'loss']

const boundTo = (data: TaskData): TypedTask<TaggedExample, readonly number[]> => {
  const { selectionMetric, evaluation, labelNames } = data
  const names = labelNames ?? []
  const truths = evaluation.examples.map(({ labels = [] }) => labels)
  const labeled = truths.map((labels) => labels.map((label) => names[label] ?? outside))
  const predictTags = (answers: readonly (readonly number[])[]): readonly (readonly string[])[] =>
    answers.map((answer, i) => decodeTags(splitRows(answer, names.length), names, truths[i]?.length ?? 0))
  const tags = truths.flat()
  const majority = tags.length === 0 ? null : majorityClass(tags)
  return {
    outputs: outputsFor(labelNames),
    objective: (model) => tokenObjective(model, { labels: names.length }),
    tokenizer: async (base, maxLength) => {
      const tokenizer = await base.tokenizer()
      let [texts, truncated] = [0, 0]
      const tokenize = (examples: Iterable<Example>): readonly TaggedExample[] =>
        Array.from(examples, ({ text, words = [], labels = [], row }) => {
          const { inputIds, ...encoding } = encodeWords(tokenizer, text, words, labels, maxLength)
          texts++
          if (encoding.truncated === true) truncated++
          return { inputIds: Int32Array.from(inputIds), targets: encoding.targets, places: encoding.places, row }
        })
      return {
        // a batch without a labeled token has no loss
        training: (examples) => listed(tokenize(examples).filter(({ targets }) => Array.from(targets).some((target) => target >= 0))),
        evaluation: (examples) => listed(tokenize(examples)),
        warnings: () => truncationWarnings(truncated, texts, maxLength),
      }
    },
    score: (answers) => {
      const predicted = predictTags(answers)
      const rows = answers.map((answer) => splitRows(answer, names.length))
      const reached = truths.flatMap((labels, i) => labels.slice(0, rows[i]?.length ?? 0))
      const loss = reached.length === 0 ? 0 : crossEntropy(rows.flat(), reached)
      const scores = { ...scoreEntities(predicted, labeled), loss }
      const constant = constantPrediction(predicted.flat().map((tag) => names.indexOf(tag)))
      return {
        scores,
        selection: selectionScore(selectionMetric)(scores),
        constant: constant === null ? null : (names[constant] ?? outside),
      }
    },
    compared: (answers) => ({ predictions: predictTags(answers), labels: labeled }),
    worstErrors: (answers, count) => {
      const errors = predictTags(answers).flatMap((predicted, index) => {
        const [labels, rows] = [labeled[index] ?? [], splitRows(answers[index] ?? [], names.length)]
        const reached = (truths[index] ?? []).slice(0, rows.length)
        if (reached.length === 0 || predicted.every((tag, i) => tag === labels[i])) return []
        return [{ index, label: tagsText(labels), predicted: tagsText(predicted), loss: crossEntropy(rows, reached) }]
      })
      return selectWorst(errors, count)
    },
    report: (answers) => {
      const byClass = reportByType(predictTags(answers), labeled)
      return { byClass: byClass.length > mostReportedTypes ? null : byClass, confusion: null }
    },
    majority: majority === null ? null : { label: names[majority.label] ?? outside, share: majority.share },
  }
}

/** A tag for each word; very long sentences are truncated. */
const tagsText = (tags: readonly string[]): string => {
  const text = tags.join(' ')
  return text.length > longestTags ? `${text.slice(0, longestTags - 1)}…` : text
}

const longestTags = 2000

/** More are not read. */
const mostReportedTypes = 100

const listed = (list: readonly TaggedExample[]): Examples<TaggedExample> => ({ length: list.length, at: (index) => list[index] })

const refused = words`none with ${option('problemType')} token-classification`

export const tokenClassification: TaskType = {
  name,
  noun: 'a token classification',
  dataNoun: 'words with tags',
  outputs: outputsFor,
  isImpliedBy: ({ head }) => head === 'token',
  checkModel: ({ type, tokenHead }, task) => {
    if (tokenHead === undefined)
      throw inputError(
        option('model'),
        words`an encoder, as ${option('task')} ${task} asks for a tag per word`,
        `a decoder of type ${type}`,
      )
  },
  metricNames: () => metricNames,
  file: { read: readTagged, noClasses: 'tags', endings: taggedEndings, strata: () => () => 0, metrics: [], selectionMetric: 'f1' },
  refuses: { positiveLabel: refused, classWeights: refused },
  bind: (data) => sealTask(boundTo(data)),
  predictions: entityPredictions,
  openReading: async ({ base, adapter }, outputs, maxLength) => {
    if (outputs.head !== 'token') throw new Error(`${name}: expected a head over tokens, got ${outputs.head}`)
    const tokenizer = await base.tokenizer()
    return toReading(
      ({ text, textPair, words = wordsIn(text) }) => {
        if (textPair !== undefined)
          throw inputError('text', 'one text, as the model classifies its words', `a second one (${quoted(textPair, 40)})`)
        return { ...encodeWords(tokenizer, text, words, null, maxLength), words }
      },
      tokenObjective(adapter.model, outputs),
      ({ targets = [], places = [], ...encoding }, row) => ({ ...encoding, targets, places, row }),
    )
  },
  pipelineTag: 'token-classification',
  command: 'predict',
  exportWarnings: (format) =>
    format === 'transformers.js'
      ? [
          "pipeline('token-classification') also labels the later pieces of a word, which training ignores: use the label of the first piece",
        ]
      : [],
}

export const tokenClassificationTask: Task = { types: [tokenClassification] }
