/** Losses of a batch: a classifier's or a language model's mean cross-entropy of softmax, a regression's mean squared error, and that of several labels each on its own. */
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
  scatterRows,
  selectRows,
} from '../tensor/tensor.js'
import { softmax } from './softmax.js'
import { mismatch } from '../tensor/shape.js'

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

/**
 * T² times the mean over the batch of −Σ p log softmax(x / T): soft targets p at a temperature T (Hinton et al., 2015, section 2).
 * logits, p: [batch, classes]
 */
export const softCrossEntropy = (logits: Tensor, p: Tensor, T: number): number => {
  const [batch, classes] = matrixShape('softCrossEntropy', checkShape('softCrossEntropy', logits, p.shape))
  const x = scaleBy(1 / T)(logits)
  const shifted = subtractColumn(x, rowMaxima(x))
  const logTotals = rowSums(map(Math.exp)(shifted))
  const losses = generate(x.shape, (i) => p.data[i]! * (Math.log(logTotals.data[Math.floor(i / classes)]!) - shifted.data[i]!))
  return (T ** 2 * losses.data.reduce((total, loss) => total + loss, 0)) / batch
}

/** x̄ = T (Σ p · softmax(x / T) − p) / batch · l̄. → [batch, classes] */
export const softCrossEntropyVjp = (logits: Tensor, p: Tensor, T: number, lossBar: number): Tensor => {
  const [batch, classes] = matrixShape('softCrossEntropyVjp', logits)
  const [q, masses] = [softmax(scaleBy(1 / T)(logits)), rowSums(p)]
  return generate(logits.shape, (i) => ((T * (masses.data[Math.floor(i / classes)]! * q.data[i]! - p.data[i]!)) / batch) * lossBar)
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

/** The label of a token after which nothing is to be learned: a prompt's, say, and the last of each text. */
export const unlabeled = -100

/** Rows that have a label, and their labels. */
const labeled = (
  logits: Tensor,
  labels: readonly number[],
): { readonly rows: readonly number[]; readonly labelsOfRows: readonly number[] } => {
  if (labels.length !== logits.shape[0]) mismatch('causalLoss', `a label for each of ${logits.shape[0]} tokens`, String(labels.length))
  const rows = labels.flatMap((label, row) => (label === unlabeled ? [] : [row]))
  if (rows.length === 0) mismatch('causalLoss', 'at least one token with a label', 'none')
  return { rows, labelsOfRows: rows.map((row) => labels[row]!) }
}

/** Of a language model: mean cross-entropy over the tokens with a label, the next token. logits: [tokens, vocabulary], labels: one a token */
export const causalLoss = (logits: Tensor, labels: readonly number[]): number => {
  const { rows, labelsOfRows } = labeled(logits, labels)
  return crossEntropy(selectRows(logits, rows), labelsOfRows)
}

/** 0 in rows without a label. → [tokens, vocabulary] */
export const causalLossVjp = (logits: Tensor, labels: readonly number[], lossBar: number): Tensor => {
  const { rows, labelsOfRows } = labeled(logits, labels)
  return scatterRows(crossEntropyVjp(selectRows(logits, rows), labelsOfRows, lossBar), rows, logits.shape[0]!)
}
