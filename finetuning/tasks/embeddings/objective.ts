/** Sentence embeddings: the mean of a text's hidden states, trained so that the cosines of pairs rank or score them. */
import type { Expression } from '../../../accelerated/graph/expression.js'
import { input, logSumExp, matMul, mul, reduceSum, square, sub } from '../../../accelerated/graph/operators.js'
import type { Model } from '../../../accelerated/models/architecture.js'
import { unitRows } from '../../../accelerated/models/layers/classifierHead.js'
import type { TokenizedExample } from '../../../accelerated/models/packing.js'
import { meanFeed, meanRows } from '../../../accelerated/objectives/pooledRows.js'
import { floatFeed, scalarFeed, type Feeds } from '../../../accelerated/engines/feeds.js'
import type { FloatType } from '../../../accelerated/graph/expression.js'
import type { ModelOutput, Objective, TrainingExample } from '../../../accelerated/objectives/objective.js'

/**
 * A text, or a pair of texts. `ends`: where the first text and, of a pair, the second one end.
 * score: the cosine that a pair should have; NaN: the texts belong together, and every other second text of the batch does not.
 */
export type PairExample = TrainingExample & { readonly ends: readonly number[]; readonly score: number }

/** ranking: multiple negatives (Henderson et al., 2017) · similarity: squared distance of cosines and scores */
export type EmbeddingLoss = 'ranking' | 'similarity'

/** The cosines of a ranking loss are multiplied by this, as in sentence-transformers. */
export const rankingScale = 20

/** The texts of an example. */
const splitTexts = ({ inputIds, tokenTypeIds, ends }: PairExample): readonly TokenizedExample[] =>
  ends.map((end, i) => {
    const part = (all: ArrayLike<number>): readonly number[] => Array.from(all).slice(ends[i - 1] ?? 0, end)
    return { inputIds: part(inputIds), ...(tokenTypeIds === undefined ? {} : { tokenTypeIds: part(tokenTypeIds) }) }
  })

/**
 * An answer holds the embeddings of an example's texts, each of length 1: [texts · hidden]. First texts of a batch come before second ones. Virtual
 * tokens are not part of a mean.
 */
export const sentenceEmbedding = (model: Model, loss: EmbeddingLoss): Objective<PairExample, readonly number[]> => {
  const width = model.spec.hiddenSize
  /** [texts, hidden] */
  const embeddings = (output: ModelOutput): Expression => unitRows(meanRows(output, 'texts'))
  /** [pairs, hidden]: of one side of each pair */
  const side = (all: Expression, name: string): Expression => matMul(input(name, ['pairs', 'texts'], all.dtype), all)
  return {
    name: 'embedding',
    tensors: () => [],
    outputs: ({ forward }, batch) => ({ embeddings: embeddings(forward(batch)) }),
    loss: ({ forward }, batch) => {
      const output = forward(batch)
      const { dtype } = output
      const all = embeddings(output)
      const [first, second] = [side(all, 'firstTexts'), side(all, 'secondTexts')]
      const cosines = reduceSum(mul(first, second), [-1]) // [pairs]
      const losses =
        loss === 'ranking'
          ? sub(logSumExp(mul(matMul(first, second, { transposeB: true }), rankingScale)), mul(cosines, rankingScale))
          : square(sub(cosines, input('scores', ['pairs'], dtype)))
      return mul(reduceSum(losses), input('lossWeight', [], dtype))
    },
    dimensions: (tokens) => ({ texts: tokens, pairs: tokens }),
    prepare: (examples) => {
      const texts = examples.flatMap(splitTexts)
      return {
        texts,
        weight: examples.length,
        feeds: (packed, whole, dtype) => ({
          pooling: meanFeed(texts, packed, dtype),
          ...sideFeeds(examples, texts.length, dtype),
          ...(loss === 'similarity'
            ? {
                scores: floatFeed(
                  examples.map(({ score }) => score),
                  [examples.length],
                  dtype,
                ),
              }
            : {}),
          lossWeight: scalarFeed(1 / whole, dtype),
        }),
        read: ({ embeddings: read }) => {
          let at = 0
          return examples.map(({ ends }) => {
            at += ends.length
            return Array.from({ length: ends.length * width }, (_, i) => Number(read?.[(at - ends.length) * width + i]))
          })
        },
      }
    },
  }
}

/** Which text is the first of each pair, and which the second: [pairs, texts] */
const sideFeeds = (examples: readonly PairExample[], texts: number, dtype: FloatType): Feeds => {
  const starts = examples.map((_, i) => examples.slice(0, i).reduce((sum, { ends }) => sum + ends.length, 0))
  const chosen = (place: number): Feeds[string] => {
    const ones = new Float64Array(examples.length * texts)
    starts.forEach((start, pair) => {
      ones[pair * texts + start + place] = 1
    })
    return floatFeed(ones, [examples.length, texts], dtype)
  }
  return { firstTexts: chosen(0), secondTexts: chosen(1) }
}
