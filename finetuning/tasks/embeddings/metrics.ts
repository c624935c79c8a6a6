/** Scores of pairs of embeddings that belong together: whether each first text finds its second one. */
import { mean } from 'simple-statistics'
import { rankingScale } from './objective.js'

type Vector = readonly number[]

/** Pairs that are compared with each other: the time grows with the square. */
const blockSize = 1_000

/** What a first text finds. nearest: the pair whose second text has the largest cosine; its own one if that is as large */
export type Found = { readonly nearest: number; readonly loss: number }

/** Of each pair, among equal blocks of at most 1,000 in the order of the file, with vectors of length 1. loss: −log softmax(20 · cosines)[own] */
export const findSeconds = (pairs: readonly (readonly [Vector, Vector])[]): readonly Found[] => {
  const blocks = Math.ceil(pairs.length / blockSize)
  const blockStart = (block: number): number => Math.floor((block * pairs.length) / blocks)
  return Array.from({ length: blocks }, (_, number) => {
    const from = blockStart(number)
    const block = pairs.slice(from, blockStart(number + 1))
    return block.map(([first], i) => {
      const cosines = block.map(([, second]) => first.reduce((sum, x, j) => sum + x * (second[j] ?? 0), 0))
      const [own = NaN, largest] = [cosines[i], cosines.reduce((most, x) => Math.max(most, x), -Infinity)]
      return {
        nearest: own === largest ? from + i : from + cosines.indexOf(largest),
        loss: rankingScale * (largest - own) + Math.log(cosines.reduce((sum, x) => sum + Math.exp(rankingScale * (x - largest)), 0)),
      }
    })
  }).flat()
}

/**
 *  - accuracy: the share of first texts whose own second text has the largest cosine
 *  - loss: the mean of −log softmax(20 · cosines)[own]
 * @throws Error if there is no pair
 */
export const scorePairs = (pairs: readonly (readonly [Vector, Vector])[]): Readonly<Record<'accuracy' | 'loss', number>> => {
  if (pairs.length === 0) throw new Error('scorePairs: expected at least one pair, got none')
  const found = findSeconds(pairs)
  return { accuracy: mean(found.map(({ nearest }, i) => (nearest === i ? 1 : 0))), loss: mean(found.map(({ loss }) => loss)) }
}
