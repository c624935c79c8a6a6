/** Reranking: a cross-encoder reads a query beside each of its texts, and the scores of one query's texts learn the order of their grades. */
import { floatFeed, scalarFeed } from '../../../accelerated/engines/feeds.js'
import type { FloatType } from '../../../accelerated/graph/expression.js'
import { add, input, logSoftmax, mul, neg, reduceSum, transpose } from '../../../accelerated/graph/operators.js'
import type { Model } from '../../../accelerated/models/architecture.js'
import type { SequenceOutputs } from '../../../accelerated/models/modelOutputs.js'
import type { TokenizedExample } from '../../../accelerated/models/packing.js'
import type { Objective, TrainingExample } from '../../../accelerated/objectives/objective.js'
import { pooledFeeds } from '../../../accelerated/objectives/pooledRows.js'
import { sequenceClassification } from '../../../accelerated/objectives/sequenceClassification.js'

/** A query beside each of its texts, with the grades of the texts. */
export type RankedExample = TrainingExample & { readonly pairs: readonly TokenizedExample[]; readonly grades: readonly number[] }

/** The example of several pairs: they share a query, not a row of attention. */
export const rankedExample = (row: number, pairs: readonly TokenizedExample[], grades: readonly number[]): RankedExample => {
  const inputIds = pairs.flatMap((pair) => Array.from(pair.inputIds))
  let end = 0
  const ends = pairs.map((pair) => {
    end += pair.inputIds.length
    return end
  })
  return { row, pairs, grades, inputIds, ends }
}

/** exp(−1e9) is 0. */
const ofAnotherQuery = -1e9

const softmax = (values: readonly number[]): readonly number[] => {
  const largest = values.reduce((most, value) => Math.max(most, value), -Infinity)
  const powers = values.map((value) => Math.exp(value - largest))
  const total = powers.reduce((sum, power) => sum + power, 0)
  return powers.map((power) => power / total)
}

/** The mean over queries of −Σ softmax(grades) log softmax(scores): ListNet (Cao et al., 2007). An answer has the score of each text. */
export const listNet = (model: Model, outputs: SequenceOutputs): Objective<RankedExample, readonly number[]> => {
  const { tensors, outputs: score } = sequenceClassification(model, outputs)
  return {
    name: 'listNet',
    ...{ tensors, outputs: score },
    loss: (forwards, batch) => {
      const { logits } = score(forwards, batch)
      if (logits === undefined) throw new Error('listNet: expected logits of the head, got none')
      const { dtype } = logits as { readonly dtype: FloatType }
      // [queries, batch]: each query among the texts of all
      const scores = add(transpose(logits, [1, 0]), input('otherQueries', ['queries', 'batch'], dtype))
      const losses = mul(logSoftmax(scores), input('gradeShares', ['queries', 'batch'], dtype))
      return mul(neg(reduceSum(losses)), input('lossWeight', [], dtype))
    },
    dimensions: (tokens) => ({ queries: tokens }),
    prepare: (examples) => {
      const texts = examples.flatMap(({ pairs }) => pairs)
      /** A row of each query, with values at its own texts. */
      const byQuery = (of: (example: RankedExample) => readonly number[], elsewhere: number, dtype: FloatType) => {
        const all = new Float64Array(examples.length * texts.length).fill(elsewhere)
        let at = 0
        examples.forEach((example, query) => {
          all.set(of(example), query * texts.length + at)
          at += example.pairs.length
        })
        return floatFeed(all, [examples.length, texts.length], dtype)
      }
      return {
        texts,
        weight: examples.length,
        feeds: (packed, whole, dtype) => ({
          ...pooledFeeds(model, texts, packed, dtype),
          otherQueries: byQuery(({ grades }) => grades.map(() => 0), ofAnotherQuery, dtype),
          gradeShares: byQuery(({ grades }) => softmax(grades), 0, dtype),
          lossWeight: scalarFeed(1 / whole, dtype),
        }),
        read: ({ logits }) => {
          let at = 0
          return examples.map(({ pairs }) => {
            at += pairs.length
            return pairs.map((_, i) => Number(logits?.[at - pairs.length + i]))
          })
        },
      }
    },
  }
}
