/** What writing one expression as ONNX nodes starts from: the expression, the names of its inputs, and the name that its value gets. */
import type { Expression } from './expression.js'

export type PendingNode = {
  readonly node: Expression
  /** names of its inputs */
  readonly x: ReadonlyArray<string>
  /** the name for its value, unless that has one already */
  readonly result: string
  /** whether an OutputOf reads it */
  readonly manyOutputs: boolean
}
