/** Slices that together are a whole axis become parts of one Split: a node with many results takes less time to plan than many nodes. */
import { rewrite, topologicalOrder, type Expression, type Outputs } from './expression.js'
import { split } from './operators.js'

/** Fewer slices are left alone: a value may be large, and a Split holds all parts of it at once. */
const manyParts = 8

type Sliced = { readonly x: Expression; readonly axis: number; readonly slices: readonly Expression[] }

export const splitSlices = (outputs: Outputs): Outputs => {
  const groups = findFullSplits(topologicalOrder(Object.values(outputs)))
  const parts = new Map<Expression, Expression>()
  return rewrite(outputs, (node, same, renewed) => {
    const group = groups.get(node)
    if (group !== undefined && !parts.has(node)) {
      const sizes = group.slices.map(({ shape }) => Number(shape[group.axis]))
      split(renewed(group.x), sizes, group.axis).forEach((part, i) => parts.set(group.slices[i] ?? node, part))
    }
    return parts.get(node) ?? same
  })
}

/** By slice, the many slices of one value that follow one another from the start of an axis to its end. */
const findFullSplits = (order: readonly Expression[]): ReadonlyMap<Expression, Sliced> => {
  const byValue = new Map<Expression, Map<number, Expression[]>>()
  for (const node of order) {
    const [x] = node.inputs
    const { axis = 0, before, after } = node.attributes
    if (node.op !== 'Slice' || x === undefined || typeof before !== 'number' || typeof after !== 'number') continue
    const byAxis = byValue.get(x) ?? new Map<number, Expression[]>()
    byValue.set(x, byAxis.set(axis, [...(byAxis.get(axis) ?? []), node]))
  }
  const groups = new Map<Expression, Sliced>()
  for (const [x, byAxis] of byValue)
    for (const [axis, found] of byAxis) {
      const slices = found.toSorted((a, b) => Number(a.attributes.before) - Number(b.attributes.before))
      if (slices.length >= manyParts && follow(slices, axis, x.shape[axis]))
        for (const slice of slices) groups.set(slice, { x, axis, slices })
    }
  return groups
}

const follow = (slices: readonly Expression[], axis: number, size: unknown): boolean => {
  const end = slices.reduce((at, { shape, attributes }) => (attributes.before === at ? at + Number(shape[axis]) : NaN), 0)
  return end === size
}
