/** Lowering: operators that a provider lacks for a dtype, written with operators it has. */
import type { Expression } from './expression.js'
import { topologicalOrder } from './expression.js'
import { add, clip, div, exp, mul, neg, reduceMean, sqrt, square, sub } from './operators.js'

/**
 * The same expressions with what ONNX Runtime's CPU provider lacks in float64 written out: `Erf`, and the second and third output of
 * LayerNormalization (which it gives in float32, whatever the input).
 */
export const lower = (outputs: Readonly<Record<string, Expression>>): Readonly<Record<string, Expression>> => {
  const lowered = new Map<Expression, Expression>()
  for (const node of topologicalOrder(Object.values(outputs))) {
    const inputs = node.inputs.map((x) => lowered.get(x) ?? x)
    const same = inputs.every((x, i) => x === node.inputs[i]) ? node : { ...node, inputs }
    lowered.set(node, node.dtype === 'float64' ? lowerFloat64(same) : same)
  }
  return Object.fromEntries(Object.entries(outputs).map(([name, node]) => [name, lowered.get(node) ?? node]))
}

const lowerFloat64 = (node: Expression): Expression => {
  const [x] = node.inputs
  if (x === undefined) return node
  if (node.op === 'Erf') return erfSeries(x)
  const [normalised] = x.inputs
  if (node.op !== 'OutputOf' || x.op !== 'LayerNormalization' || normalised === undefined) return node
  const mean = reduceMean(normalised, [-1], true)
  return node.attributes.output === 1 ? mean : div(1, sqrt(add(reduceMean(square(sub(normalised, mean)), [-1], true), x.attributes.epsilon ?? 0)))
}

/**
 * erf x = 2/√π · x · e^(−x²) · Σₙ (2x²)ⁿ / (2n + 1)!!, all terms positive, so nothing cancels; by Horner's rule.
 * Beyond |x| = 6 erf is ±1 to the last bit; there 2x² = 72, and term 160 is below 1e-20 of the sum.
 */
const erfSeries = (x: Expression): Expression => {
  const bounded = clip(x, -6, 6)
  const twice = mul(square(bounded), 2)
  const terms = Array.from({ length: 160 }, (_, i) => 160 - i)
  const one = add(mul(twice, 0), 1)
  const sum = terms.reduce((inner, n) => add(mul(mul(twice, 1 / (2 * n + 1)), inner), 1), one)
  return mul(mul(mul(bounded, exp(neg(square(bounded)))), sum), 2 / Math.sqrt(Math.PI))
}
