/** Hard negatives that a model finds itself, before its first step (de Souza P. Moreira et al., 2024, NV-Retriever's positive-aware mining). */
import type { Examples } from '../../../accelerated/models/packing.js'
import type { Mining } from '../taskType.js'
import { dot, equalBlocks } from './metrics.js'
import { answering, numberTexts, type PairExample } from './objective.js'

/** Pairs among which a negative is sought: their vectors are in memory, and the time grows with the square. */
const mostMined = 4_096

/** The largest cosine of a negative, as a share of that of the pair's own second text: nearer ones are too often right. */
const largestShare = 0.95

const partOf = ({ inputIds, ends }: PairExample, part: number): readonly number[] =>
  Array.from(inputIds).slice(part === 0 ? 0 : ends[part - 1], ends[part])

/** The pair alone, or with another text as its negative. */
const withNegative = (example: PairExample, negative: readonly number[] = []): PairExample => {
  const pair = Array.from(example.inputIds).slice(0, example.ends[1])
  const ends = [...example.ends.slice(0, 2), ...(negative.length === 0 ? [] : [pair.length + negative.length])]
  return { ...example, inputIds: Int32Array.from([...pair, ...negative]), ends }
}

/** Of each pair: the one whose second text is nearest of those that do not answer its first text and are not too near; −1: there is none. */
const nearestNegatives = (pairs: readonly PairExample[], answers: readonly (readonly number[])[]): readonly number[] => {
  const numbers = [0, 1].map((part) => numberTexts(pairs.map((pair) => partOf(pair, part).join(' '))))
  const isRight = answering({ first: numbers[0] ?? [], second: numbers[1] ?? [] })
  const vectors = answers.map((both) => Float32Array.from(both))
  const width = (vectors[0]?.length ?? 0) / 2
  const seconds = vectors.map((both) => both.subarray(width))
  return vectors.map((both, i) => {
    const first = both.subarray(0, width)
    const limit = largestShare * dot(first, seconds[i] ?? [])
    let [nearest, largest] = [-1, -Infinity]
    seconds.forEach((second, j) => {
      const cosine = dot(first, second)
      if (cosine > largest && cosine < limit && !isRight(i, j)) [nearest, largest] = [j, cosine]
    })
    return nearest
  })
}

export const pairMining: Mining<PairExample, readonly number[]> = {
  blocks: (pairs) => equalBlocks(pairs, mostMined),
  asked: (example) => withNegative(example),
  find: nearestNegatives,
  attach: (examples: Examples<PairExample>, chosen) => ({
    length: examples.length,
    at: (index) => {
      const [example, other] = [examples.at(index), examples.at(chosen[index] ?? -1)]
      return example === undefined || other === undefined ? example : withNegative(example, partOf(other, 1))
    },
  }),
}
