/** Scores of pairs of embeddings that belong together: whether each first text finds its second one. */
import { mean } from 'simple-statistics'
import { rankingScale } from '../../accelerated/objectives/sentenceEmbedding.js'

type Vector = ReadonlyArray<number>

/** Pairs that are compared with each other: the time grows with the square. */
const blockSize = 1_000

/**
 * Among blocks of at most 1,000 pairs, in the order of the file, with vectors of length 1:
 *  - accuracy: the share of first texts whose own second text has the largest cosine
 *  - loss: the mean of −log softmax(20 · cosines)[own]
 * @throws Error if there is no pair
 */
export const scorePairs = (pairs: ReadonlyArray<readonly [Vector, Vector]>): Readonly<Record<'accuracy' | 'loss', number>> => {
  if (pairs.length === 0) throw new Error('scorePairs: expected at least one pair, got none')
  const [right, losses]: [number[], number[]] = [[], []]
  for (let from = 0; from < pairs.length; from += blockSize) {
    const block = pairs.slice(from, from + blockSize)
    block.forEach(([first], i) => {
      const cosines = block.map(([, second]) => first.reduce((sum, x, j) => sum + x * (second[j] ?? 0), 0))
      const [own = NaN, largest] = [cosines[i], cosines.reduce((most, x) => Math.max(most, x), -Infinity)]
      right.push(own === largest ? 1 : 0)
      losses.push(rankingScale * (largest - own) + Math.log(cosines.reduce((sum, x) => sum + Math.exp(rankingScale * (x - largest)), 0)))
    })
  }
  return { accuracy: mean(right), loss: mean(losses) }
}
