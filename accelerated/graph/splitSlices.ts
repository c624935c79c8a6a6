/** Slices that together are a whole axis become parts of one Split: a node with many results takes less time to plan than many nodes. */
import { topologicalOrder, type Expression } from './expression.js'
import { split } from './operators.js'

/** Fewer slices are left alone: a value may be large, and a Split holds all parts of it at once. */
const manyParts = 8

type Sliced = { readonly x: Expression; readonly axis: number; readonly slices: readonly Expression[] }

export const splitSlices = (outputs: Readonly<Record<string, Expression>>): Readonly<Record<string, Expression>> => {
  const order = topologicalOrder(Object.values(outputs))
  const replaced = new Map<Expression, Expression>()
  const resolved = (node: Expression): Expression => replaced.get(node) ?? node
  const groups = wholeAxes(order)
  for (const node of order) {
    const group = groups.get(node)
    if (group !== undefined && !replaced.has(node)) {
      const sizes = group.slices.map(({ shape }) => Number(shape[group.axis]))
      split(resolved(group.x), sizes, group.axis).forEach((part, i) => replaced.set(group.slices[i] ?? node, part))
    } else if (group === undefined) {
      const inputs = node.inputs.map(resolved)
      replaced.set(node, inputs.every((input, i) => input === node.inputs[i]) ? node : { ...node, inputs })
    }
  }
  return Object.fromEntries(Object.entries(outputs).map(([name, node]) => [name, resolved(node)]))
}

/** By slice, the many slices of one value that follow one another from the start of an axis to its end. */
const wholeAxes = (order: readonly Expression[]): ReadonlyMap<Expression, Sliced> => {
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
