/** Scores of pairs of embeddings that belong together: what each first text finds among the second texts. */
import { mean } from 'simple-statistics'
import { normalizedGain, rankGrades, recallAmongTen, reciprocalRank } from '../../metrics/ranking.js'
import { answering, rankingScale, type PairTexts } from './objective.js'

export type Pair = readonly [first: ArrayLike<number>, second: ArrayLike<number>]

export const dot = (a: ArrayLike<number>, b: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0)
  return sum
}

/** The first numbers of a vector, again of length 1. */
export const shortenVector = (vector: ArrayLike<number>, size: number): readonly number[] => {
  const first = Array.from({ length: size }, (_, i) => vector[i] ?? NaN)
  const length = Math.hypot(...first) || 1
  return first.map((x) => x / length)
}

/** Equal parts of at most `most` items in order, from and to. */
export const equalBlocks = (items: number, most: number): readonly (readonly [from: number, to: number])[] => {
  const blocks = Math.ceil(items / most)
  return Array.from({ length: blocks }, (_, i) => [Math.floor((i * items) / blocks), Math.floor(((i + 1) * items) / blocks)])
}

/** Pairs that are compared with each other: the time grows with the square. */
const blockSize = 1_000

/**
 * What a first text finds among the second texts of its block. loss: −log softmax(20 · cosines)[own]
 * nearest: the pair whose second text has the largest cosine; its own one if that is as large or the same text
 * ranked: of the different second texts by descending cosine, 1 for one that answers the first text, else 0
 */
export type Found = { readonly nearest: number; readonly loss: number; readonly ranked: readonly number[] }

/** Of each pair, among equal blocks of at most 1,000 in the order of the file, with vectors of length 1. */
export const findSeconds = (pairs: readonly Pair[], texts: PairTexts): readonly Found[] =>
  equalBlocks(pairs.length, blockSize).flatMap(([from, to]) => {
    const block = pairs.slice(from, to)
    const [first, seconds] = [texts.first.slice(from, to), texts.second.slice(from, to)]
    const answers = answering({ first, second: seconds })
    const different = seconds.flatMap((text, i) => (seconds.indexOf(text) === i ? [i] : []))
    return block.map(([vector], i) => {
      const cosines = block.map(([, second]) => dot(vector, second))
      const [own = NaN, largest] = [cosines[i], cosines.reduce((most, x) => Math.max(most, x), -Infinity)]
      const nearest = cosines.indexOf(largest)
      return {
        nearest: from + (own === largest || seconds[nearest] === seconds[i] ? i : nearest),
        loss: rankingScale * (largest - own) + Math.log(cosines.reduce((sum, x) => sum + Math.exp(rankingScale * (x - largest)), 0)),
        ranked: rankGrades(
          different.map((j) => cosines[j] ?? NaN),
          different.map((j) => (answers(i, j) ? 1 : 0)),
        ),
      }
    })
  })

export const pairMetrics = ['accuracy', 'mrr', 'ndcg', 'recall', 'loss'] as const

/**
 *  - accuracy: the share of first texts whose own second text has the largest cosine
 *  - mrr, ndcg, recall: the means of MRR@10, nDCG@10 and recall@10
 *  - loss: the mean of −log softmax(20 · cosines)[own]
 * @throws Error if there is no pair
 */
export const scorePairs = (pairs: readonly Pair[], texts: PairTexts): Readonly<Record<(typeof pairMetrics)[number], number>> => {
  if (pairs.length === 0) throw new Error('scorePairs: expected at least one pair, got none')
  const found = findSeconds(pairs, texts)
  const meanOf = (measure: (ranked: readonly number[]) => number): number => mean(found.map(({ ranked }) => measure(ranked)))
  return {
    accuracy: mean(found.map(({ nearest }, i) => (nearest === i ? 1 : 0))),
    mrr: meanOf(reciprocalRank),
    ndcg: meanOf(normalizedGain),
    recall: meanOf(recallAmongTen),
    loss: mean(found.map(({ loss }) => loss)),
  }
}
