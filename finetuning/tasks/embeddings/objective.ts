/** Sentence embeddings: the mean of a text's hidden states, trained so that the cosines of pairs rank or score them. */
import type { Expression } from '../../../accelerated/graph/expression.js'
import { add, input, logSumExp, matMul, mul, reduceSum, slice, square, stopGradient, sub } from '../../../accelerated/graph/operators.js'
import type { Model } from '../../../accelerated/models/architecture.js'
import { unitRows } from '../../../accelerated/models/layers/classifierHead.js'
import type { TokenizedExample } from '../../../accelerated/models/packing.js'
import { meanFeed, meanRows } from '../../../accelerated/objectives/pooledRows.js'
import { floatFeed, scalarFeed, type Feeds } from '../../../accelerated/engines/feeds.js'
import type { FloatType } from '../../../accelerated/graph/expression.js'
import type { ModelOutput, Objective, TrainingExample } from '../../../accelerated/objectives/objective.js'

/**
 * A text, a pair of texts, or a pair with a negative. `ends`: where the first text, the second one and the negative end.
 * score: the cosine that a pair should have; NaN: the texts belong together, and every other second text of the batch does not.
 */
export type PairExample = TrainingExample & { readonly ends: readonly number[]; readonly score: number }

/**
 * ranking: multiple negatives (Henderson et al., 2017) · triplets: the same with the negatives of all rows as further candidates
 * similarity: squared distance of cosines and scores
 */
export type EmbeddingLoss = 'ranking' | 'triplets' | 'similarity'

/** The cosines of a ranking loss are multiplied by this, as in sentence-transformers. */
export const rankingScale = 20

const splitTexts = ({ inputIds, tokenTypeIds, ends }: PairExample): readonly TokenizedExample[] =>
  ends.map((end, i) => {
    const part = (all: ArrayLike<number>): readonly number[] => Array.from(all).slice(ends[i - 1] ?? 0, end)
    return { inputIds: part(inputIds), ...(tokenTypeIds === undefined ? {} : { tokenTypeIds: part(tokenTypeIds) }) }
  })

/**
 * An answer holds the embeddings of an example's texts, each of length 1: [texts · hidden]. First texts of a batch come before second ones. Virtual
 * tokens are not part of a mean.
 * @param sizes Matryoshka sizes (Kusupati et al., 2022): the loss of the whole embeddings, plus that of their first 256, 128, … numbers
 */
export const sentenceEmbedding = (
  model: Model,
  loss: EmbeddingLoss,
  sizes: readonly number[] = [],
): Objective<PairExample, readonly number[]> => {
  const width = model.spec.hiddenSize
  /** [texts, hidden] */
  const embeddings = (output: ModelOutput): Expression => unitRows(meanRows(output, 'texts'))
  /** @param texts the name of the number of rows of `all` */
  const meanLoss = (all: Expression, texts: string, dtype: FloatType): Expression => {
    const parts = sizes.map((size) => unitRows(slice(all, 1, 0, size)))
    const losses = [all, ...parts].map((vectors) => reduceSum(pairLosses(vectors, texts, loss)))
    return mul(losses.reduce(add), input('lossWeight', [], dtype))
  }
  return {
    name: 'embedding',
    tensors: () => [],
    outputs: ({ forward }, batch) => ({ embeddings: embeddings(forward(batch)) }),
    loss: ({ forward }, batch) => {
      const output = forward(batch)
      return meanLoss(embeddings(output), 'texts', output.dtype)
    },
    ...(loss === 'similarity' ? {} : inStep(width, embeddings, meanLoss)),
    dimensions: (tokens, stepTexts = tokens) => ({
      ...{ texts: tokens, stepTexts, pairs: stepTexts },
      ...(loss === 'triplets' ? { candidates: stepTexts } : {}),
    }),
    prepare: (examples) => {
      const texts = examples.flatMap(splitTexts)
      const scores = (): readonly number[] => examples.map(({ score }) => score)
      return {
        texts,
        weight: examples.length,
        feeds: (packed, whole, dtype) => ({
          pooling: meanFeed(texts, packed, dtype),
          ...sideFeeds(examples, texts.length, dtype),
          ...(loss === 'triplets' ? candidateFeeds(examples, texts, dtype) : {}),
          ...(loss === 'similarity' ? { scores: floatFeed(scores(), [examples.length], dtype) } : {}),
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

/** In a step of several parts, the texts of all parts are each other's negatives: this part's embeddings take their rows among those of the others. */
const inStep = (
  width: number,
  embeddings: (output: ModelOutput) => Expression,
  meanLoss: (all: Expression, texts: string, dtype: FloatType) => Expression,
): Pick<Objective<PairExample>, 'stepLoss' | 'stepFeeds'> => ({
  stepLoss: {
    rows: ({ forward }, batch) => embeddings(forward(batch)),
    loss: ({ forward }, batch) => {
      const output = forward(batch)
      const { dtype } = output
      const places = input('placesInStep', ['stepTexts', 'texts'], dtype)
      const all = add(matMul(places, embeddings(output)), input('otherTexts', ['stepTexts', width], dtype))
      const value = meanLoss(all, 'stepTexts', dtype)
      return sub(value, mul(stopGradient(value), sub(1, input('batchShare', [], dtype))))
    },
  },
  stepFeeds: (parts, part, rows, dtype) => {
    const counts = rows.map(({ length }) => length / width)
    const [texts, before] = [sum(counts), sum(counts.slice(0, part))]
    const here = counts[part] ?? 0
    const others = new Float64Array(texts * width)
    rows.forEach((of, i) => {
      if (i !== part) others.set(Array.from(of, Number), sum(counts.slice(0, i)) * width)
    })
    const places = new Float64Array(texts * here)
    for (let j = 0; j < here; j++) places[(before + j) * here + j] = 1
    const examples = parts.flat()
    return {
      placesInStep: floatFeed(places, [texts, here], dtype),
      otherTexts: floatFeed(others, [texts, width], dtype),
      ...sideFeeds(examples, texts, dtype),
      ...(examples.some(({ ends }) => ends.length > 2) ? candidateFeeds(examples, examples.flatMap(splitTexts), dtype) : {}),
    }
  },
})

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0)

/** The loss of each pair. all: of length 1, [texts, width] → [pairs] */
const pairLosses = (all: Expression, texts: string, loss: EmbeddingLoss): Expression => {
  const { dtype } = all as { readonly dtype: FloatType }
  const side = (name: string, of: string): Expression => matMul(input(name, [of, texts], dtype), all)
  const [first, second] = [side('firstTexts', 'pairs'), side('secondTexts', 'pairs')]
  const cosines = reduceSum(mul(first, second), [-1])
  if (loss === 'similarity') return square(sub(cosines, input('scores', ['pairs'], dtype)))
  const logits = (candidates: Expression): Expression => mul(matMul(first, candidates, { transposeB: true }), rankingScale)
  const compared =
    loss === 'ranking'
      ? logits(second)
      : add(logits(side('candidateTexts', 'candidates')), input('furtherAnswers', ['pairs', 'candidates'], dtype))
  return sub(logSumExp(compared), mul(cosines, rankingScale))
}

/** The place of each example's first text among all texts. */
const findStarts = (examples: readonly PairExample[]): readonly number[] => {
  let next = 0
  return examples.map(({ ends }) => {
    next += ends.length
    return next - ends.length
  })
}

/** 1 where a row is of that text: [rows, texts] */
const selectTexts = (places: readonly number[], texts: number, dtype: FloatType): Feeds[string] => {
  const ones = new Float64Array(places.length * texts)
  places.forEach((place, row) => (ones[row * texts + place] = 1))
  return floatFeed(ones, [places.length, texts], dtype)
}

/** Which text is the first of each pair, and which the second: [pairs, texts] */
const sideFeeds = (examples: readonly PairExample[], texts: number, dtype: FloatType): Feeds => {
  const starts = findStarts(examples)
  const chosen = (place: number): Feeds[string] =>
    selectTexts(
      starts.map((start) => start + place),
      texts,
      dtype,
    )
  return { firstTexts: chosen(0), secondTexts: chosen(1) }
}

/** exp(−1e9) is 0: such a candidate does not count. */
const outOfSight = -1e9

/** The candidates of all pairs, second texts and then negatives; and which of them answer a first text as well as its own second text does. */
const candidateFeeds = (examples: readonly PairExample[], texts: readonly TokenizedExample[], dtype: FloatType): Feeds => {
  const starts = findStarts(examples)
  const places = [1, 2].flatMap((place) => starts.map((start) => start + place))
  const numbers = numberTexts(texts.map(({ inputIds }) => Array.from(inputIds).join(' ')))
  const numbersAt = (all: readonly number[]): readonly number[] => all.map((place) => numbers[place] ?? NaN)
  const answers = answering({ first: numbersAt(starts), second: numbersAt(places) })
  const bias = starts.flatMap((_, pair) => places.map((__, i) => (i !== pair && answers(pair, i) ? outOfSight : 0)))
  return {
    candidateTexts: selectTexts(places, texts.length, dtype),
    furtherAnswers: floatFeed(bias, [starts.length, places.length], dtype),
  }
}

/** The texts of each pair as numbers: equal texts have one. */
export type PairTexts = { readonly first: readonly number[]; readonly second: readonly number[] }

/** A number for each text, the same for the same text. */
export const numberTexts = (texts: readonly string[]): readonly number[] => {
  const numbers = new Map<string, number>()
  return texts.map((text) => {
    const number = numbers.get(text) ?? numbers.size
    numbers.set(text, number)
    return number
  })
}

/** Whether pair j's second text answers pair i's first text: some pair joins the two. */
export const answering = ({ first, second }: PairTexts): ((i: number, j: number) => boolean) => {
  const answers = new Map<number, Set<number>>()
  first.forEach((text, i) => answers.set(text, (answers.get(text) ?? new Set()).add(second[i] ?? NaN)))
  return (i, j) => answers.get(first[i] ?? NaN)?.has(second[j] ?? NaN) === true
}
