/** The loss of a regression: mean squared error between the one output and the label. */
import { checkShape, squaredNorm, subtract, scaleBy, tensor, type Tensor } from '../tensor/tensor.js'

const errors = (outputs: Tensor, labels: ReadonlyArray<number>): Tensor =>
  subtract(checkShape('meanSquaredError', outputs, [labels.length, 1]), tensor([labels.length, 1], labels))

/** Mean over the batch of (x − label)². outputs: [batch, 1], labels: batch numbers */
export const meanSquaredError = (outputs: Tensor, labels: ReadonlyArray<number>): number =>
  squaredNorm(errors(outputs, labels)) / labels.length

/** x̄ = 2 (x − label) / batch · l̄. → [batch, 1] */
export const meanSquaredErrorVjp = (outputs: Tensor, labels: ReadonlyArray<number>, lossBar: number): Tensor =>
  scaleBy((2 * lossBar) / labels.length)(errors(outputs, labels))
