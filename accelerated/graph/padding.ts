/** Zero padding: the gradient of a slice, and the sum of several of these gradients without adding zeros. */
import type { Dimension, Expression } from './expression.js'
import { concat, expand, scalar } from './operators.js'

const zeros = (like: Expression, axis: number, size: Dimension): readonly Expression[] =>
  size === 0 ? [] : [expand(scalar(0, like.dtype), like.shape.with(axis, size))]

/** x with `before` and `after` zeros around it along an axis. */
export const padded = (x: Expression, axis: number, before: Dimension, after: Dimension): Expression =>
  concat([...zeros(x, axis, before), x, ...zeros(x, axis, after)], axis)

const isZeros = ({ op, inputs: [x] }: Expression): boolean =>
  op === 'Expand' && x?.op === 'Constant' && x.attributes.data?.every((n) => n === 0) === true

type Part = { readonly start: number; readonly size: number; readonly x: Expression }

/** The parts of a concatenation with their positions; null if a size is a name, or for any other expression. */
const matchConcat = ({ op, inputs, attributes: { axis = 0 } }: Expression): readonly Part[] | null => {
  if (op !== 'Concat') return null
  const parts: Part[] = []
  let start = 0
  for (const x of inputs) {
    const size = x.shape[axis]
    if (typeof size !== 'number') return null
    parts.push({ start, size, x })
    start += size
  }
  return parts
}

/** a + b if b is a padded part that falls within zeros of a; null otherwise. */
export const addPadded = (a: Expression, b: Expression): Expression | null => {
  const [partsOfA, partsOfB, axis = 0] = [matchConcat(a), matchConcat(b), b.attributes.axis]
  if (partsOfA === null || partsOfB === null || a.attributes.axis !== axis) return null
  const [inner, another] = partsOfB.filter(({ x }) => !isZeros(x))
  if (inner === undefined || another !== undefined) return null
  const end = inner.start + inner.size
  const around = partsOfA.find(({ x, start, size }) => isZeros(x) && start <= inner.start && end <= start + size)
  if (around === undefined) return null
  const filled = [...zeros(inner.x, axis, inner.start - around.start), inner.x, ...zeros(inner.x, axis, around.start + around.size - end)]
  return concat(
    partsOfA.flatMap((part) => (part === around ? filled : [part.x])),
    axis,
  )
}
