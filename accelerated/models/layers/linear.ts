/** A linear layer, with a low-rank adapter where there is one. */
import type { Expression } from '../../graph/expression.js'
import { add, matMul } from '../../graph/operators.js'
import type { Adapter } from '../../methods/lowRank.js'
import { addLowRank } from '../../methods/lowRank.js'

/** W: [out, in] as Hugging Face stores it, bias: [out] */
export type LinearWeights = { readonly weight: Expression; readonly bias: Expression }

/** x Wᵀ + b, plus the adapter's update. x: [tokens, in] → [tokens, out] */
export const linear = (x: Expression, { weight, bias }: LinearWeights, adapter?: Adapter): Expression => {
  const wx = add(matMul(x, weight, { transposeB: true }), bias)
  return adapter === undefined ? wx : addLowRank(wx, x, adapter)
}
