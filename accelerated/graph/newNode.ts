/** How operators make a node of an expression, and refuse operands that do not fit. */
import type { Attributes, DType, Expression, Op, Shape } from './expression.js'

export const node = (op: Op, inputs: readonly Expression[], shape: Shape, dtype: DType, attributes: Attributes = {}): Expression => ({
  op,
  inputs,
  attributes,
  shape,
  dtype,
})

/** @throws Error for a mistake of the programmer */
export const fail = (op: string, expected: string, got: string): never => {
  throw new Error(`${op}: expected ${expected}, got ${got}`)
}

/** What writing one expression as ONNX nodes starts from: the expression, the names of its inputs, and the name that its value gets. */
export type PendingNode = {
  readonly node: Expression
  /** names of its inputs */
  readonly x: readonly string[]
  /** the name for its value, unless that has one already */
  readonly result: string
  /** whether an OutputOf reads it */
  readonly manyOutputs: boolean
}
