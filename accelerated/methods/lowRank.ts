/** The low-rank update as an expression: equation (5). */
import type { Expression } from '../graph/expression.js'
import { add, matMul, mul } from '../graph/operators.js'

/** A [r, k], B [d, r], and, while gates are sampled, g [r]; scale = α / r. */
export type Adapter = { readonly A: Expression; readonly B: Expression; readonly g: Expression | null; readonly scale: number }

/** Eq. (5): h = Wx + scale · B (g ⊙ Ax). wx: [tokens, d], x: [tokens, k] → [tokens, d]. The gates go into B's columns, d · r products instead of tokens · r. */
export const addLowRank = (wx: Expression, x: Expression, { A, B, g, scale }: Adapter): Expression =>
  add(wx, matMul(matMul(x, A, { transposeB: true }), g === null ? B : mul(B, g), { transposeB: true, alpha: scale }))
