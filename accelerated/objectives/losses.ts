/** Losses of a batch, by example or summed. The caller's weight turns a sum into a mean. */
import type { Expression } from '../graph/expression.js'
import { product } from '../graph/dimension.js'
import { cast, concat, constant, equal, logSoftmax, matMul, mul, neg, reduceSum, reshape, square, sub } from '../graph/operators.js'

/** log softmax(logits) at the labels, 0 elsewhere. → [rows, classes] */
const atLabels = (logits: Expression, labels: Expression): Expression => {
  const [rows = 1, classes = 1] = logits.shape
  const each = constant(
    Array.from({ length: classes as number }, (_, i) => i),
    [1, classes as number],
    labels.dtype,
  )
  const oneHot = cast(equal(reshape(labels, [rows, 1]), each), logits.dtype)
  return mul(logSoftmax(logits), oneHot)
}

/** −log softmax(logits)[label] of each row. logits: [rows, classes], labels: int32 [rows] → [rows] */
export const crossEntropies = (logits: Expression, labels: Expression): Expression => neg(reduceSum(atLabels(logits, labels), [-1]))

/** −Σ log softmax(logits)[label]. logits: [rows, classes], labels: int32 [rows] → scalar */
export const crossEntropySum = (logits: Expression, labels: Expression): Expression => neg(reduceSum(atLabels(logits, labels)))

/** −T² Σ p log softmax(logits / T). logits, p: [rows, classes], T: a temperature → scalar */
export const softCrossEntropySum = (logits: Expression, p: Expression, temperature: number): Expression => {
  const softened = temperature === 1 ? logits : mul(logits, 1 / temperature)
  return mul(reduceSum(mul(logSoftmax(softened), p)), -(temperature ** 2))
}

/** −Σ log σ(logit) for labels of 1, −Σ log(1 − σ(logit)) for labels of 0: cross-entropies of the pairs (0, logit). logits, labels: [rows, classes], int32 → scalar */
export const binaryCrossEntropySum = (logits: Expression, labels: Expression): Expression => {
  const column = reshape(logits, [product(logits.shape), 1])
  return crossEntropySum(concat([mul(column, 0), column], 1), labels)
}

/** Σ over all pairs of rows of (cosine − s)², where s is 1 for rows of one class, and else 0. rows: of length 1, [batch, width]; labels: int32 [batch] → scalar */
export const contrastSum = (rows: Expression, labels: Expression): Expression => {
  const [batch = 1] = labels.shape
  const isSame = cast(equal(reshape(labels, [batch, 1]), reshape(labels, [1, batch])), rows.dtype)
  return reduceSum(square(sub(matMul(rows, rows, { transposeB: true }), isSame)))
}

/** Σ (output − label)². outputs: [batch, 1], labels: [batch] → scalar */
export const squaredErrorSum = (outputs: Expression, labels: Expression): Expression =>
  reduceSum(square(sub(reshape(outputs, labels.shape), labels)))
