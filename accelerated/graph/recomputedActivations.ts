/**
 * Activations that a step in int8 or int4 computes twice. A product in int8 takes the levels of an activation, so only an adapter's gradient needs its numbers
 * later. Keeping them for it would take a third of a step's memory. It computes them again from values that the backward pass needs anyway.
 */
import { type Expression, type Op, type Outputs, rewrite, topologicalOrder } from './expression.js'
import { controlDependency } from './operators.js'

/** Operators that cost little, and whose own gradients need their input. */
const cheap = new Set<Op>(['Gelu', 'LayerNormalization'])

export const recomputeActivations = (outputs: Outputs): Outputs => {
  const order = topologicalOrder(Object.values(outputs))
  const factors = order.flatMap(({ op, inputs: [x] }) =>
    (op === 'QuantizedMatMul' || op === 'FourBitMatMul') && x !== undefined && cheap.has(x.op) ? [x] : [],
  )
  const alreadyDone = order.some(({ op }) => op === 'ControlDependency') // by gradient checkpointing
  if (factors.length === 0 || alreadyDone) return outputs
  const activations = new Set(factors)
  const copies = new Map<Expression, Expression>()
  return rewrite(outputs, (node, same, renewed) => {
    const [signal, activation] = node.inputs
    if (signal === undefined || activation === undefined || !activations.has(activation) || !isRowGradient(node)) return same
    const copy = copies.get(activation) ?? later(renewed(activation), renewed(signal))
    copies.set(activation, copy)
    return { ...node, inputs: [renewed(signal), copy] }
  })
}

/** aᵀ x: only the gradient of a matrix sums over rows. */
const isRowGradient = ({ op, attributes }: Expression): boolean =>
  op === 'MatMul' && attributes.transposeA === true && attributes.transposeB !== true

/** The activation from the same operands, but not before `signal`. */
const later = (activation: Expression, signal: Expression): Expression => ({
  ...activation,
  inputs: activation.inputs.map((x, i) => (i === 0 ? controlDependency(x, [signal]) : x)),
})
