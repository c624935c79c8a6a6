/** Entities of a text from a model's logits, under the names of transformers' pipeline: `entity_group`, `score`, `word`, `start` and `end`. */
import { characterOffsets } from './words.js'
import { entitiesOf, outside, parseTag, tagOf } from './metrics.js'
import type { PredictionFormat, ReadText } from '../taskType.js'

/** An answer as rows: [words][labels] */
export const rowsOf = (answer: readonly number[], labels: number): readonly (readonly number[])[] =>
  Array.from({ length: labels === 0 ? 0 : answer.length / labels }, (_, i) => answer.slice(i * labels, (i + 1) * labels))

const largestAt = (row: readonly number[]): number => row.reduce((best, x, i) => (x > (row[best] ?? -Infinity) ? i : best), 0)

/** The tag of the largest logit of each word; O for words that were cut off. */
export const tagsOf = (rows: readonly (readonly number[])[], names: readonly string[], words: number): readonly string[] =>
  Array.from({ length: words }, (_, i) => {
    const row = rows[i]
    return row === undefined ? outside : (names[largestAt(row)] ?? outside)
  })

/** softmax(row)[its largest] */
const shareOf = (row: readonly number[]): number => {
  const largest = row[largestAt(row)] ?? NaN
  return 1 / row.reduce((sum, x) => sum + Math.exp(x - largest), 0)
}

/** A word that shares the token of the word before belongs to the same entity. */
const continued = (tags: readonly string[], places: readonly number[]): readonly string[] =>
  tags.map((tag, i) => {
    const { kind, type } = parseTag(tag)
    return i > 0 && places[i] === places[i - 1] && kind === 'begin' ? tagOf(type, false) : tag
  })

const entitiesIn = (
  output: readonly number[],
  names: readonly string[],
  { text, words = [], places = [] }: ReadText,
): readonly object[] => {
  const rows = rowsOf(output, names.length)
  const { characterOf } = characterOffsets(text)
  return entitiesOf(continued(tagsOf(rows, names, words.length / 2), places)).map(({ type, start, end }) => {
    const [from, to] = [words[2 * start] ?? 0, words[2 * end - 1] ?? 0]
    const scores = rows.slice(start, end).map(shareOf)
    return {
      entity_group: type,
      score: scores.reduce((a, b) => a + b, 0) / scores.length,
      word: text.slice(from, to),
      start: characterOf(from),
      end: characterOf(to),
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
