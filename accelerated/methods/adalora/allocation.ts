/** AdaLoRA's allocation as expressions: averages of importance, a score for each triplet, the cut of the lowest. Zhang et al. (2023), section 3.2. */
import type { Expression, FloatType } from '../../graph/expression.js'
import { add, cast, concat, constant, input, less, maximum, mul, neg, reduceMean, reduceSum, reshape, sub } from '../../graph/operators.js'
import { splitBlock } from '../../parameters/layout.js'
import type { OptimizerExtension, UpdatedBlock } from '../../parameters/optimizerExtension.js'
import type { AdaptedMatrix } from '../lowRank.js'

/** The optimizer group of all E. They are its one block: a number a triplet, in the order of the matrices. */
export const strengths = 'strengths'

/**
 * While ranks are allocated. Feeds: `importanceBeta1` and `importanceBeta2`, both 1 where the averages stay as they are, and `cut`, how many
 * triplets go now. Their E are 0 then; unless it was the last cut, the optimizer may move them off 0 again.
 */
export const allocating = (matrices: ReadonlyArray<AdaptedMatrix>): OptimizerExtension => ({
  names: ['importance', 'uncertainty'],
  afterUpdate: (blocks, dtype) => {
    const own = new Set(matrices.flatMap(({ name }) => [`${name}.A`, `${name}.B`, `${name}.E`]))
    const averaged = blocks.map((stepped) => (stepped.block.entries.some(({ name }) => own.has(name)) ? averages(stepped, dtype) : stepped))
    const kept = aboveLowest(tripletScores(matrices, averaged), input('cut', [], dtype))
    return averaged.map((stepped) => masked(stepped, kept))
  },
})

/** Once ranks are fixed: what was cut stays 0. */
export const holding = (kept: ReadonlyArray<ReadonlyArray<boolean>>): OptimizerExtension => ({
  names: [],
  afterUpdate: (blocks, dtype) => {
    const numbers = kept.flat().map(Number)
    return blocks.map((stepped) => masked(stepped, constant(numbers, [numbers.length], dtype)))
  },
})

/** kept: 1 or 0 a triplet, [triplets] */
const masked = (stepped: UpdatedBlock, kept: Expression): UpdatedBlock =>
  stepped.block.group.name === strengths ? { ...stepped, parameters: mul(stepped.parameters, kept) } : stepped

/** I = |p ∂L/∂p| of the updated p; Ī ← β₁Ī + (1 − β₁)I and Ū ← β₂Ū + (1 − β₂)|I − Ī| with the new Ī. All vectors: [block.size] */
const averages = (stepped: UpdatedBlock, dtype: FloatType): UpdatedBlock => {
  const average = (old: Expression | undefined, fresh: Expression, beta: Expression): Expression =>
    add(mul(old as Expression, beta), mul(fresh, sub(1, beta)))
  const { importance: oldI, uncertainty: oldU } = stepped.memory
  const now = absolute(mul(stepped.parameters, stepped.gradient))
  const importance = average(oldI, now, input('importanceBeta1', [], dtype))
  const uncertainty = average(oldU, absolute(sub(now, importance)), input('importanceBeta2', [], dtype))
  return { ...stepped, memory: { importance, uncertainty } }
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
 * 1 for a triplet that at least `cut` have a lower score than, else 0: PEFT's "above the cut-th lowest", so that of equal scores at the edge
 * all go. Counted matrix by matrix: all pairs at once would be a square of all triplets. → [triplets]
 */
const aboveLowest = (scores: ReadonlyArray<Expression>, cut: Expression): Expression => {
  const all = concat(scores, 0)
  const lower = scores.map((own) => reduceSum(cast(less(all, reshape(own, [...own.shape, 1])), all.dtype), [1]))
  return sub(1, cast(less(concat(lower, 0), cut), all.dtype))
}
