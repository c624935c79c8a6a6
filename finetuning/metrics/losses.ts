/** Losses of an evaluation (smaller is better): cross-entropy of logits, mean squared error and mean absolute error. */
import { mean } from 'simple-statistics'
import { assertSameLength } from './assertSameLength.js'

type Numbers = ReadonlyArray<number>

/** The mean of −log softmax(logits)[label]. logits: [examples][classes] */
export const crossEntropy = (logits: ReadonlyArray<Numbers>, labels: Numbers): number =>
  mean(
    logits.map((row, i) => {
      const largest = row.reduce((most, x) => Math.max(most, x), -Infinity)
      return largest - (row[labels[i] ?? -1] ?? NaN) + Math.log(row.reduce((sum, x) => sum + Math.exp(x - largest), 0))
    }),
  )

export const mse = (predictions: Numbers, labels: Numbers): number => {
  assertSameLength('mse', predictions, labels)
  return mean(predictions.map((prediction, i) => (prediction - (labels[i] ?? NaN)) ** 2))
}

export const mae = (predictions: Numbers, labels: Numbers): number => {
  assertSameLength('mae', predictions, labels)
  return mean(predictions.map((prediction, i) => Math.abs(prediction - (labels[i] ?? NaN))))
}
