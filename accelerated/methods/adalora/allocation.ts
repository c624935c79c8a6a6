/** AdaLoRA's allocation in a graph: averages of importance, a score for each triplet, pruning of the lowest. Zhang et al. (2023), section 3.2. */
import type { Expression, FloatType } from '../../graph/expression.js'
import { add, cast, concat, constant, input, less, maximum, mul, neg, reduceMean, reduceSum, reshape, sub } from '../../graph/operators.js'
import { splitBlock } from '../../parameters/layout.js'
import type { OptimizerExtension, UpdatedBlock } from '../../parameters/optimizerExtension.js'
import type { AdaptedMatrix } from '../lowRank.js'

/** The optimizer group of all E, in one block: a number for each triplet, in the order of the matrices. */
export const strengths = 'strengths'

/**
 * While ranks are allocated. Feeds: `importanceBeta1` and `importanceBeta2`, both 1 to keep the averages unchanged, and `cut`, the number of
 * triplets to prune. Their E become 0. Unless it is the last cut, the optimizer may move them away from 0 again.
 */
export const allocating = (matrices: ReadonlyArray<AdaptedMatrix>): OptimizerExtension => ({
  names: ['importance', 'uncertainty'],
  afterUpdate: (blocks, dtype) => {
    const names = new Set(matrices.flatMap(({ name }) => [`${name}.A`, `${name}.B`, `${name}.E`]))
    const averaged = blocks.map((updated) =>
      updated.block.entries.some(({ name }) => names.has(name)) ? averages(updated, dtype) : updated,
    )
    const kept = aboveLowest(tripletScores(matrices, averaged), input('cut', [], dtype))
    return averaged.map((updated) => masked(updated, kept))
  },
})

/** Once ranks are fixed: pruned triplets stay 0. */
export const holding = (kept: ReadonlyArray<ReadonlyArray<boolean>>): OptimizerExtension => ({
  names: [],
  afterUpdate: (blocks, dtype) => {
    const numbers = kept.flat().map(Number)
    return blocks.map((updated) => masked(updated, constant(numbers, [numbers.length], dtype)))
  },
})

/** kept: 1 or 0 for each triplet, [triplets] */
const masked = (updated: UpdatedBlock, kept: Expression): UpdatedBlock =>
  updated.block.group.name === strengths ? { ...updated, parameters: mul(updated.parameters, kept) } : updated

/** I = |p ∂L/∂p| of the updated p; Ī ← β₁Ī + (1 − β₁)I and Ū ← β₂Ū + (1 − β₂)|I − Ī| with the new Ī. All vectors: [block.size] */
const averages = (updated: UpdatedBlock, dtype: FloatType): UpdatedBlock => {
  const average = (before: Expression | undefined, now: Expression, beta: Expression): Expression =>
    add(mul(before as Expression, beta), mul(now, sub(1, beta)))
  const { importance: oldI, uncertainty: oldU } = updated.memory
  const now = absolute(mul(updated.parameters, updated.gradient))
  const importance = average(oldI, now, input('importanceBeta1', [], dtype))
  const uncertainty = average(oldU, absolute(sub(now, importance)), input('importanceBeta2', [], dtype))
  return { ...updated, memory: { importance, uncertainty } }
}

const absolute = (x: Expression): Expression => maximum(x, neg(x))

/** S_j = s(E_j) + mean over k of s(A_jk) + mean over i of s(B_ij) with s = Ī Ū: by matrix, [r] each */
const tripletScores = (matrices: ReadonlyArray<AdaptedMatrix>, blocks: ReadonlyArray<UpdatedBlock>): ReadonlyArray<Expression> => {
  const scores = new Map(
    blocks.flatMap(({ block, memory: { importance, uncertainty } }) =>
      splitBlock(block, mul(importance as Expression, uncertainty as Expression)),
    ),
  )
  const of = (name: string): Expression => scores.get(name) as Expression
  return matrices.map(({ name, r }) =>
    add(reshape(of(`${name}.E`), [r]), add(reduceMean(of(`${name}.A`), [1]), reduceMean(of(`${name}.B`), [0]))),
  )
}

/**
 * 1 for a triplet if at least `cut` triplets have a lower score, else 0. This is PEFT's "above the cut-th lowest": of equal scores at the
 * threshold, it prunes all. Scores are compared matrix by matrix: comparing all pairs at once takes the square of all triplets. → [triplets]
 */
const aboveLowest = (scores: ReadonlyArray<Expression>, cut: Expression): Expression => {
  const all = concat(scores, 0)
  const lower = scores.map((ofMatrix) => reduceSum(cast(less(all, reshape(ofMatrix, [...ofMatrix.shape, 1])), all.dtype), [1]))
  return sub(1, cast(less(concat(lower, 0), cut), all.dtype))
}
