/** Losses of an evaluation (smaller is better): cross-entropy of logits, mean squared error and mean absolute error. */
import { mean } from 'simple-statistics'

type Numbers = readonly number[]

/** The mean of −log softmax(logits)[label]. logits: [examples][classes] */
export const crossEntropy = (logits: readonly Numbers[], labels: Numbers): number =>
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

/**
 * The precondition of every metric: as many predictions as labels, at least one, all finite.
 * @param metric the caller's name. @throws Error if the precondition does not hold: NaN must not count as a wrong prediction
 */
export const assertSameLength = (metric: string, predictions: readonly number[], labels: readonly number[]): void => {
  if (predictions.length !== labels.length || labels.length === 0) {
    throw new Error(`${metric}: expected as many predictions as labels and at least one, got ${predictions.length} and ${labels.length}`)
  }
  assertFinite(metric, 'prediction', predictions)
  assertFinite(metric, 'label', labels)
}

const assertFinite = (metric: string, role: string, values: readonly number[]): void => {
  const index = values.findIndex((value) => !Number.isFinite(value))
  if (index >= 0) throw new Error(`${metric}: expected finite numbers, got ${role} ${index} = ${values[index]}`)
}
