/** Rankings are scored as sentence-transformers' InformationRetrievalEvaluator and scikit-learn's ndcg_score do. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { normalizedGain, rankGrades, reciprocalRank } from '../../finetuning/metrics/ranking.js'
import { scorePairs, type Pair, type PairTexts } from '../../finetuning/tasks/embeddings/metrics.js'
import { fixtures } from './golden.js'

type Scores = { readonly mrr: number; readonly ndcg: number }
type Golden = {
  readonly pairs: readonly (PairTexts & Scores & { readonly vectors: readonly Pair[]; readonly recall: number })[]
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
