/** The loss of a language model: mean cross-entropy of each token's logits and the next token, over tokens with a label. */
import { mismatch } from '../tensor/shape.js'
import { scatterRows, selectRows, type Tensor } from '../tensor/tensor.js'
import { crossEntropy, crossEntropyVjp } from './losses.js'

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

/** logits: [tokens, vocabulary], labels: one a token */
export const causalLoss = (logits: Tensor, labels: readonly number[]): number => {
  const { rows, labelsOfRows } = labeled(logits, labels)
  return crossEntropy(selectRows(logits, rows), labelsOfRows)
}

/** 0 in rows without a label. → [tokens, vocabulary] */
export const causalLossVjp = (logits: Tensor, labels: readonly number[], lossBar: number): Tensor => {
  const { rows, labelsOfRows } = labeled(logits, labels)
  return scatterRows(crossEntropyVjp(selectRows(logits, rows), labelsOfRows, lossBar), rows, logits.shape[0]!)
}
