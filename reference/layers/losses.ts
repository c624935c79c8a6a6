/** Losses of a batch: a classifier's mean cross-entropy of softmax, a regression's mean squared error, and that of several labels each on its own. */
import {
  checkShape,
  generate,
  map,
  matrixShape,
  rowMaxima,
  rowSums,
  subtractColumn,
  type Tensor,
  squaredNorm,
  subtract,
  scaleBy,
  tensor,
} from '../tensor/tensor.js'
import { softmax } from './softmax.js'

const checkLabels = (classes: number, labels: readonly number[]): void => {
  const bad = labels.find((label) => !(Number.isInteger(label) && label >= 0 && label < classes))
  if (bad !== undefined) throw new Error(`crossEntropy: expected labels from 0 to ${classes - 1}, got ${bad}`)
}

/** Mean over the batch of log Σⱼ exp(xⱼ) − x_label. logits: [batch, classes], labels: batch integers */
export const crossEntropy = (logits: Tensor, labels: readonly number[]): number => {
  const [, classes] = matrixShape('crossEntropy', checkShape('crossEntropy', logits, [labels.length, logits.shape[1]!]))
  checkLabels(classes, labels)
  const shifted = subtractColumn(logits, rowMaxima(logits))
  const logTotals = rowSums(map(Math.exp)(shifted))
  const losses = labels.map((label, row) => Math.log(logTotals.data[row]!) - shifted.data[row * classes + label]!)
  return losses.reduce((total, loss) => total + loss, 0) / labels.length
}

/** x̄ = (softmax(x) − onehot(label)) / batch · l̄. → [batch, classes] */
export const crossEntropyVjp = (logits: Tensor, labels: readonly number[], lossBar: number): Tensor => {
  const [batch, classes] = matrixShape('crossEntropyVjp', logits)
  const p = softmax(logits)
  const onehot = (i: number): number => (labels[Math.floor(i / classes)] === i % classes ? 1 : 0)
  return generate(logits.shape, (i) => ((p.data[i]! - onehot(i)) / batch) * lossBar)
}

const errors = (outputs: Tensor, labels: readonly number[]): Tensor =>
  subtract(checkShape('meanSquaredError', outputs, [labels.length, 1]), tensor([labels.length, 1], labels))

/** Mean over the batch of (x − label)². outputs: [batch, 1], labels: batch numbers */
export const meanSquaredError = (outputs: Tensor, labels: readonly number[]): number => squaredNorm(errors(outputs, labels)) / labels.length

/** x̄ = 2 (x − label) / batch · l̄. → [batch, 1] */
export const meanSquaredErrorVjp = (outputs: Tensor, labels: readonly number[], lossBar: number): Tensor =>
  scaleBy((2 * lossBar) / labels.length)(errors(outputs, labels))

/** Mean over examples and labels of −log σ(x) where a label is set, and of −log(1 − σ(x)) where it is not. logits: [batch, labels], isSet: as its numbers */
export const binaryCrossEntropy = (logits: Tensor, isSet: readonly boolean[]): number =>
  isSet.reduce((total, set, i) => {
    const x = set ? -logits.data[i]! : logits.data[i]!
    return total + Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x))) // log(1 + eˣ)
  }, 0) / isSet.length

/** x̄ = (σ(x) − set) / (batch · labels) · l̄. → [batch, labels] */
export const binaryCrossEntropyVjp = (logits: Tensor, isSet: readonly boolean[], lossBar: number): Tensor =>
  generate(logits.shape, (i) => (((1 + Math.tanh(logits.data[i]! / 2)) / 2 - (isSet[i]! ? 1 : 0)) / isSet.length) * lossBar)
