/** Rankings are scored as sentence-transformers' InformationRetrievalEvaluator and scikit-learn's ndcg_score do, and its losses are ours. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { gradient } from '../../accelerated/graph/gradient.js'
import { input } from '../../accelerated/graph/operators.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { batchInputs } from '../../accelerated/models/batchInputs.js'
import { packBatch } from '../../accelerated/models/packing.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import { inBatches } from '../../accelerated/training/batchOrder.js'
import { normalizedGain, rankGrades, reciprocalRank } from '../../finetuning/metrics/ranking.js'
import { scorePairs, type Pair } from '../../finetuning/tasks/embeddings/metrics.js'
import { sentenceEmbedding, type EmbeddingLoss, type PairExample } from '../../finetuning/tasks/embeddings/objective.js'
import { listNet, rankedExample } from '../../finetuning/tasks/reranking/objective.js'
import type { PairTexts } from '../../finetuning/tasks/embeddings/objective.js'
import { assertClose } from '../support/assertClose.js'
import { lossOfParts } from '../support/lossOfParts.js'
import { evaluate, float64, resultOf } from '../support/runGraph.js'
import { fixtures } from './golden.js'

type Scores = { readonly mrr: number; readonly ndcg: number }
type Golden = {
  readonly pairs: readonly (PairTexts & Scores & { readonly vectors: readonly Pair[]; readonly recall: number })[]
  readonly losses: readonly {
    readonly name: EmbeddingLoss
    readonly sizes: readonly number[]
    readonly vectors: readonly number[]
    readonly scores: readonly number[]
    readonly loss: number
    readonly gradient: readonly number[]
  }[]
  readonly cached: readonly (Golden['losses'][number] & { readonly miniBatch: number })[]
  readonly lists: readonly {
    readonly grades: readonly (readonly number[])[]
    readonly scores: readonly number[]
    readonly loss: number
    readonly gradient: readonly number[]
  }[]
  readonly graded: readonly (Scores & { readonly grades: readonly number[]; readonly scores: readonly number[] })[]
}
const golden = JSON.parse(readFileSync(join(fixtures, 'ranking.json'), 'utf8')) as Golden

it.each(golden.pairs)(
  'pairs of shared texts have MRR $mrr, nDCG $ndcg and recall $recall among ten',
  ({ vectors, first, second, ...scores }) => {
    const { mrr, ndcg, recall } = scorePairs(vectors, { first, second })
    expect(mrr).toBeCloseTo(scores.mrr, 6)
    expect(ndcg).toBeCloseTo(scores.ndcg, 6)
    expect(recall).toBeCloseTo(scores.recall, 6)
  },
)

it.each(golden.graded)('texts of the grades $grades have nDCG $ndcg and MRR $mrr', ({ grades, scores, mrr, ndcg }) => {
  const ranked = rankGrades(scores, grades)
  expect(normalizedGain(ranked)).toBeCloseTo(ndcg, 9)
  expect(reciprocalRank(ranked)).toBeCloseTo(mrr, 12)
})

/** The loss of texts of one token each, whose hidden states are `rows`, and its gradient. */
const lossOf = async <E extends TrainingExample>(objective: Objective<E, unknown>, examples: readonly E[], rows: readonly number[]) => {
  const { texts, feeds, weight } = objective.prepare(examples, { seed: 0, step: 0 })
  const width = rows.length / texts.length
  const states = input('hidden', ['tokens', width], 'float64')
  const forward = () => ({ hidden: states, host: undefined as never, dtype: 'float64' as const })
  const value = objective.loss({ forward, baseForward: forward }, batchInputs('float64'))
  const [slope] = gradient(value, [states])
  const packed = packBatch(texts, 0, 'float64')
  const results = await evaluate(
    { value, slope: slope! },
    { ...feeds(packed, weight, 'float64'), hidden: float64(rows, [texts.length, width]) },
  )
  return { loss: resultOf(results, 'value'), gradient: resultOf(results, 'slope') }
}

it.each(golden.losses)(
  "the loss $name of sizes $sizes and its gradient are sentence-transformers'",
  async ({ name, sizes, ...expected }) => {
    const texts = name === 'triplets' ? 3 : 2
    const examples = expected.scores.map((score, row) => ({
      inputIds: Array.from({ length: texts }, (_, i) => texts * row + i),
      ends: Array.from({ length: texts }, (_, i) => i + 1),
      ...{ score, row },
    }))
    const objective = sentenceEmbedding({ spec: { hiddenSize: 6 } } as Model, name, sizes)
    const ours = await lossOf(objective, examples, expected.vectors)
    const relative = name === 'similarity' ? 1e-6 : 1e-9 // CosineSimilarityLoss takes scores in float32
    assertClose(ours.loss, [expected.loss], { relative, name: 'loss' })
    assertClose(ours.gradient, expected.gradient, { relative, absolute: 1e-9, name: 'gradient' })
  },
)

it.each(golden.cached)("the loss $name over parts of $miniBatch pairs is sentence-transformers' cached one", async (expected) => {
  const { name, miniBatch, sizes } = expected
  const texts = name === 'triplets' ? 3 : 2
  const examples = expected.scores.map((score, row): PairExample => {
    const ends = Array.from({ length: texts }, (_, i) => i + 1)
    return { inputIds: ends.map((end) => texts * row + end), ends, score, row }
  })
  const objective = sentenceEmbedding({ spec: { hiddenSize: 6 } } as Model, name, sizes)
  const parts = inBatches(examples, miniBatch)
  const ours = await lossOfParts(objective, parts, { data: expected.vectors, shape: [NaN, 6] })
  assertClose([ours.loss], [expected.loss], { relative: 1e-9, name: 'loss' })
  assertClose(ours.gradient, expected.gradient, { relative: 1e-9, absolute: 1e-9, name: 'gradient' })
})

it.each(golden.lists)(
  "ListNet's loss of the grades $grades and its gradient are sentence-transformers'",
  async ({ grades, scores, loss, gradient: slope }) => {
    let token = 0
    const examples = grades.map((ofQuery, row) =>
      rankedExample(
        row,
        ofQuery.map(() => ({ inputIds: [token++] })),
        ofQuery,
      ),
    )
    // the score of a text is its one hidden state
    const model = { pooling: 'mean', sequenceHead: () => ({ tensors: new Map(), outputs: (rows: unknown) => rows }) } as unknown as Model
    const ours = await lossOf(listNet(model, { head: 'sequence', labels: 1, problemType: 'regression' }), examples, scores)
    assertClose(ours.loss, [loss], { relative: 1e-6, name: 'loss' }) // ListNetLoss computes in float32
    assertClose(ours.gradient, slope, { relative: 1e-5, absolute: 1e-6, name: 'gradient' })
  },
)
