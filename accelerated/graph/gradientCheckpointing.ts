/**
 * Gradient checkpointing (Chen et al., 2016): copies of the nodes between a checkpoint's input and its output. The copies wait until the gradient
 * arrives, so that the runtime neither computes them early nor merges them with the originals.
 */
import type { Expression } from './expression.js'
import { controlDependency } from './operators.js'

export type CheckpointOperands = readonly [y: Expression, x: Expression]

/** `copyOf` returns a node without a copy itself. `copies` are in topological order, those of the first values before all others. */
export type CheckpointPlan = {
  readonly copyOf: (node: Expression) => Expression
  readonly copies: readonly { readonly original: Expression; readonly copy: Expression }[]
}

/**
 * Returns a function that copies the nodes from x to y of a checkpoint, and batch-sized values that only they read (masks). It visits these nodes
 * alone, so that all checkpoints of a graph take time in proportion to its nodes.
 * @param order all nodes in topological order
 */
export const checkpointPlanner = (order: readonly Expression[]) => {
  const places = new Map(order.map((node, place) => [node, place]))
  const placeOf = (node: Expression): number => places.get(node) ?? Infinity
  const readers = new Map<Expression, number>()
  for (const node of order) for (const operand of new Set(node.inputs)) readers.set(operand, (readers.get(operand) ?? 0) + 1)

  /**
   * @param operands the output and the input of a checkpoint
   * @param signals the values that the copies wait for
   */
  return ([y, x]: CheckpointOperands, signals: readonly Expression[]): CheckpointPlan => {
    const copied = new Map<Expression, Expression>()
    const between = nodesBetween(order.slice(placeOf(x) + 1, placeOf(y) + 1), x, y)
    const own = madeForAlone(readers, between)
    const late = (node: Expression): Expression => copied.get(node) ?? remember(node, controlDependency(node, signals))
    const remember = (node: Expression, copy: Expression): Expression => {
      copied.set(node, copy)
      return copy
    }
    late(x)
    for (const node of [...between, ...own].sort((a, b) => placeOf(a) - placeOf(b))) {
      const begins = own.has(node) && !node.inputs.some((operand) => own.has(operand))
      remember(node, {
        ...node,
        inputs: node.inputs.map((operand, i) => (begins && i === 0 ? late(operand) : (copied.get(operand) ?? operand))),
      })
    }
    return { copyOf: (node) => copied.get(node) ?? node, copies: [...copied].map(([original, copy]) => ({ original, copy })) }
  }
}

/** Nodes that y needs and that need x, without x. @param order from x to y */
const nodesBetween = (order: readonly Expression[], x: Expression, y: Expression): ReadonlySet<Expression> => {
  const above = new Set([x])
  for (const node of order) if (node.inputs.some((operand) => above.has(operand))) above.add(node)
  const between = new Set<Expression>(above.has(y) && y !== x ? [y] : [])
  for (const node of between) for (const operand of node.inputs) if (operand !== x && above.has(operand)) between.add(operand)
  return between
}

/** Batch-sized inner nodes outside `between` whose only readers are nodes of `between`, or other nodes of this set. */
const madeForAlone = (readers: ReadonlyMap<Expression, number>, between: ReadonlySet<Expression>): ReadonlySet<Expression> => {
  const exclusive = new Set<Expression>()
  const readHere = new Map<Expression, number>()
  const visit = (node: Expression): void => {
    for (const operand of new Set(node.inputs)) {
      const varies = operand.inputs.length > 0 && operand.shape.some((d) => typeof d === 'string')
      if (!varies || between.has(operand)) continue
      const count = (readHere.get(operand) ?? 0) + 1
      readHere.set(operand, count)
      if (count === readers.get(operand)) exclusive.add(operand)
    }
  }
  for (const node of between) visit(node)
  for (const node of exclusive) visit(node)
  return exclusive
}
