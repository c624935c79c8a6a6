/** Losses of a batch as sums of per-example losses; the caller's weight turns them into a mean. */
import type { Expression } from '../../graph/expression.js'
import { cast, constant, equal, logSoftmax, mul, neg, reduceSum, reshape, square, sub } from '../../graph/operators.js'

/** −Σ log softmax(logits)[label]. logits: [batch, classes], labels: int32 [batch] → scalar */
export const crossEntropySum = (logits: Expression, labels: Expression): Expression => {
  const [batch = 1, classes = 1] = logits.shape
  const each = constant(
    Array.from({ length: classes as number }, (_, i) => i),
    [1, classes as number],
    labels.dtype,
  )
  const oneHot = cast(equal(reshape(labels, [batch, 1]), each), logits.dtype)
  return neg(reduceSum(mul(logSoftmax(logits), oneHot)))
}

/** Σ (output − label)². outputs: [batch, 1], labels: [batch] → scalar */
export const squaredErrorSum = (outputs: Expression, labels: Expression): Expression =>
  reduceSum(square(sub(reshape(outputs, labels.shape), labels)))
