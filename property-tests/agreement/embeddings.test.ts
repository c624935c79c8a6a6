/** Losses of sentence embeddings: means, lengths and cosines, hand-derived against automatic, and by central differences. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { gradient } from '../../accelerated/graph/gradient.js'
import { input } from '../../accelerated/graph/operators.js'
import { encoderModel } from '../../accelerated/models/bert/bert.js'
import { batchInputs } from '../../accelerated/models/batchInputs.js'
import { packBatch } from '../../accelerated/models/packing.js'
import { rankingScale, sentenceEmbedding, type EmbeddingLoss, type PairExample } from '../../finetuning/tasks/embeddings/objective.js'
import type { Forwards } from '../../accelerated/objectives/objective.js'
import { drawModel } from '../../evaluation/agreement/drawModel.js'
import {
  generate,
  meanPool,
  meanPoolVjp,
  nestedLoss,
  nestedLossVjp,
  normal,
  rankingLoss,
  rankingLossVjp,
  scatterRows,
  add,
  selectRows,
  similarityLoss,
  similarityLossVjp,
  unitRows,
  type Tensor,
} from '../../reference/index.js'
import { inBatches } from '../../accelerated/training/batchOrder.js'
import { assertClose } from '../support/assertClose.js'
import { lossOfParts } from '../support/lossOfParts.js'
import { float64, evaluate, resultOf } from '../support/runGraph.js'
import { SEED } from '../support/seed.js'
import { someOptions } from './modelOptions.js'

const { config } = drawModel(someOptions())
const model = encoderModel({ ...config, embeddingSize: config.hiddenSize })
const width = config.hiddenSize

/** Pairs, or triplets, of these lengths. The ids only say that all texts differ, since the hidden states are given. */
const examplesOf = (lengths: readonly (readonly [number, number])[], loss: EmbeddingLoss = 'ranking'): readonly PairExample[] =>
  lengths.map(([a, b], i) => {
    const inputIds = [...new Array<number>(a).fill(2 * i), ...new Array<number>(b).fill(2 * i + 1)]
    const pair = { inputIds, ends: [a, a + b], score: Math.sin(i), row: i + 1 }
    return loss === 'triplets' ? { ...pair, inputIds: [...inputIds, 100 + i, 100 + i], ends: [a, a + b, a + b + 2] } : pair
  })

const pairLengths = fc.array(fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })), { minLength: 1, maxLength: 5 })

/** First numbers of an embedding that are trained as shorter ones. */
const sizes = [3, 1]

/** The loss and its gradient with respect to the hidden states, as training builds them. */
const accelerated = async (loss: EmbeddingLoss, examples: readonly PairExample[], hidden: Tensor) => {
  const objective = sentenceEmbedding(model, loss, sizes)
  const states = input('hidden', ['tokens', width], 'float64')
  const forward = () => ({ hidden: states, host: undefined as never, dtype: 'float64' as const })
  const forwards: Forwards = { forward, baseForward: forward }
  const value = objective.loss(forwards, batchInputs('float64'))
  const [slope] = gradient(value, [states])
  const prepared = objective.prepare(examples, { seed: 0, step: 0 })
  const packed = packBatch(prepared.texts, 0, 'float64')
  const feeds = { ...prepared.feeds(packed, prepared.weight, 'float64'), hidden: float64(hidden.data, hidden.shape) }
  const { embeddings } = objective.outputs(forwards, batchInputs('float64'))
  const results = await evaluate({ value, slope: slope!, embeddings: embeddings! }, feeds)
  return {
    value: resultOf(results, 'value'),
    slope: resultOf(results, 'slope'),
    answers: prepared.read({ embeddings: resultOf(results, 'embeddings') as never }, packed),
  }
}

const reference = (loss: EmbeddingLoss, examples: readonly PairExample[], hidden: Tensor) => {
  const lengths = examples.flatMap(({ ends }) => ends.map((end, i) => end - (ends[i - 1] ?? 0)))
  const pooled = meanPool(hidden, lengths)
  const texts = loss === 'triplets' ? 3 : 2
  const rowsAt = (place: number): readonly number[] => examples.map((_, i) => texts * i + place)
  const sides = [rowsAt(0), texts === 3 ? [...rowsAt(1), ...rowsAt(2)] : rowsAt(1)] as const
  const [first, second] = sides.map((rows) => selectRows(pooled, rows)) as [Tensor, Tensor]
  const scores = examples.map(({ score }) => score)
  const all = [width, ...sizes]
  const value = nestedLoss(
    all,
    (a, b) => (loss === 'similarity' ? similarityLoss(a, b, scores) : rankingLoss(rankingScale, a, b)),
    first,
    second,
  )
  const bars = nestedLossVjp(
    all,
    (a, b) => (loss === 'similarity' ? similarityLossVjp(a, b, scores, 1) : rankingLossVjp(rankingScale, a, b, 1)),
    first,
    second,
  )
  const bar = add(scatterRows(bars.first, sides[0], lengths.length), scatterRows(bars.second, sides[1], lengths.length))
  return { value, slope: meanPoolVjp(bar, lengths), embeddings: unitRows(pooled) }
}

const hiddenOf = (examples: readonly PairExample[], seed: number): Tensor =>
  normal([examples.reduce((sum, { ends }) => sum + (ends.at(-1) ?? 0), 0), width])(seed)[0]

describe.each(['ranking', 'triplets', 'similarity'] as const)('the %s loss of pairs, and of their first numbers', (loss) => {
  it(`has the value and the gradient of the reference in float64 to 1e-9 (seed ${SEED})`, () =>
    fc.assert(
      fc.asyncProperty(pairLengths, fc.integer({ min: 0, max: 1e6 }), async (lengths, seed) => {
        const examples = examplesOf(lengths, loss)
        const hidden = hiddenOf(examples, seed)
        const [ours, expected] = [await accelerated(loss, examples, hidden), reference(loss, examples, hidden)]
        assertClose(ours.value, [expected.value], { relative: 1e-9, absolute: 1e-12, name: 'loss' })
        assertClose(ours.slope, expected.slope.data, { relative: 1e-8, absolute: 1e-11, name: 'gradient' })
        assertClose(ours.answers.flat(), expected.embeddings.data, { relative: 1e-10, absolute: 1e-13, name: 'embeddings' })
      }),
      { seed: SEED, numRuns: 12 },
    ))

  it.skipIf(loss === 'similarity')(
    `is the same, and so is its gradient, where parts of the batch are computed one after another (seed ${SEED})`,
    () =>
      fc.assert(
        fc.asyncProperty(pairLengths, fc.integer({ min: 1, max: 3 }), fc.integer({ min: 0, max: 1e6 }), async (lengths, size, seed) => {
          const examples = examplesOf(lengths, loss)
          const hidden = hiddenOf(examples, seed)
          const ours = await lossOfParts(sentenceEmbedding(model, loss, sizes), inBatches(examples, size), hidden)
          const expected = reference(loss, examples, hidden)
          assertClose([ours.loss], [expected.value], { relative: 1e-9, absolute: 1e-12, name: 'loss' })
          assertClose(ours.gradient, expected.slope.data, { relative: 1e-8, absolute: 1e-11, name: 'gradient' })
        }),
        { seed: SEED, numRuns: 12 },
      ),
  )

  it('has the gradient of central differences in the reference', () => {
    const pairs = [
      [2, 1],
      [3, 2],
      [1, 4],
    ] as const
    const examples = examplesOf(pairs, loss)
    const hidden = hiddenOf(examples, SEED)
    const { slope } = reference(loss, examples, hidden)
    const at = (i: number, step: number): number =>
      reference(
        loss,
        examples,
        generate(hidden.shape, (j) => hidden.data[j]! + (i === j ? step : 0)),
      ).value
    const differences = Array.from(hidden.data, (_, i) => (at(i, 1e-5) - at(i, -1e-5)) / 2e-5)
    expect(Math.max(...differences.map(Math.abs))).toBeGreaterThan(0.01)
    assertClose(slope.data, differences, { relative: 1e-5, absolute: 1e-8, name: 'gradient' })
  })
})

describe('virtual tokens before a text', () => {
  it('are not part of its mean', async () => {
    const objective = sentenceEmbedding(model, 'ranking')
    const { texts, feeds } = objective.prepare(examplesOf([[2, 3]]), { seed: 0, step: 0 })
    const packed = packBatch(texts, 0, 'float64', { count: 2, at: 'embeddings' })
    const { pooling } = feeds(packed, 1, 'float64')
    expect(Array.from((pooling?.data ?? []) as Float64Array)).toEqual([
      0,
      0,
      0.5,
      0.5,
      0,
      0,
      0,
      0,
      0,
      ...new Array<number>(6).fill(0),
      1 / 3,
      1 / 3,
      1 / 3,
    ])
  })
})

describe('triplets whose texts repeat', () => {
  /** Of one token each, so that a text is its token. */
  const triplet = (texts: readonly [number, number, number], row: number): PairExample => ({
    inputIds: texts,
    ends: [1, 2, 3],
    score: NaN,
    row,
  })
  const lossOf = async (texts: readonly (readonly [number, number, number])[]) => {
    const examples = texts.map(triplet)
    const vectors = normal([200, width])(SEED)[0]
    const rows = selectRows(
      vectors,
      texts.flat().map((token) => token),
    )
    return (await accelerated('triplets', examples, rows)).value
  }

  it('do not count what answers a first text among its negatives', async () => {
    // the first pair's second text is the negative of the second pair, and the placeholder of its own
    const masked = await lossOf([
      [1, 2, 2],
      [3, 4, 2],
    ])
    const cosine = (vectors: Tensor, a: number, b: number, size: number): number => {
      const [x, y] = [a, b].map((row) => Array.from(vectors.data.slice(row * width, row * width + size))) as [number[], number[]]
      return x.reduce((sum, v, i) => sum + v * (y[i] ?? 0), 0) / (Math.hypot(...x) * Math.hypot(...y))
    }
    const vectors = normal([200, width])(SEED)[0]
    const against = (first: number, own: number, others: readonly number[], size: number): number =>
      Math.log([own, ...others].reduce((sum, text) => sum + Math.exp(20 * cosine(vectors, first, text, size)), 0)) -
      20 * cosine(vectors, first, own, size)
    const expected = [width, ...sizes].map((size) => (against(1, 2, [4], size) + against(3, 4, [2, 2, 2], size)) / 2)
    assertClose(masked, [expected.reduce((a, b) => a + b, 0)], { relative: 1e-9, absolute: 1e-9, name: 'loss' })
  })
})
