/**
 * Gradient checkpointing (Chen et al., 2016): copies of the nodes between a checkpoint's input and its output. The copies wait until the gradient
 * arrives, so that the runtime neither computes them early nor merges them with the originals.
 */
import type { Expression } from './expression.js'
import { controlDependency } from './operators.js'

/** `copyOf` returns a node without a copy itself. `copies` are in topological order, those of the first values before all others. */
export type CheckpointPlan = {
  readonly copyOf: (node: Expression) => Expression
  readonly copies: ReadonlyArray<{ readonly original: Expression; readonly copy: Expression }>
}

/**
 * Copies the nodes from x to y, and batch-sized values that only they read (masks).
 * @param order all nodes in topological order
 * @param signals the values that the copies wait for
 */
export const planCheckpoints = (
  { inputs: [y, x] }: Expression,
  order: ReadonlyArray<Expression>,
  signals: ReadonlyArray<Expression>,
): CheckpointPlan => {
  const copied = new Map<Expression, Expression>()
  if (y === undefined || x === undefined) return { copyOf: (node) => node, copies: [] }
  const between = nodesBetween(order, x, y)
  const own = madeForAlone(order, between)
  const late = (node: Expression): Expression => copied.get(node) ?? remember(node, controlDependency(node, signals))
  const remember = (node: Expression, copy: Expression): Expression => {
    copied.set(node, copy)
    return copy
  }
  late(x)
  for (const node of order) {
    if (own.has(node)) {
      const begins = !node.inputs.some((operand) => own.has(operand))
      remember(node, {
        ...node,
        inputs: node.inputs.map((operand, i) => (begins && i === 0 ? late(operand) : (copied.get(operand) ?? operand))),
      })
    } else if (between.has(node)) remember(node, { ...node, inputs: node.inputs.map((operand) => copied.get(operand) ?? operand) })
  }
  return { copyOf: (node) => copied.get(node) ?? node, copies: [...copied].map(([original, copy]) => ({ original, copy })) }
}

/** Nodes that y needs and that need x, without x. */
const nodesBetween = (order: ReadonlyArray<Expression>, x: Expression, y: Expression): ReadonlySet<Expression> => {
  const above = new Set([x])
  for (const node of order) if (node.inputs.some((operand) => above.has(operand))) above.add(node)
  const between = new Set<Expression>(above.has(y) && y !== x ? [y] : [])
  for (const node of between) for (const operand of node.inputs) if (operand !== x && above.has(operand)) between.add(operand)
  return between
}

/** Batch-sized inner nodes outside `between` whose only readers are nodes of `between`, or other nodes of this set. */
const madeForAlone = (order: ReadonlyArray<Expression>, between: ReadonlySet<Expression>): ReadonlySet<Expression> => {
  const [exclusive, readHere, readElsewhere] = [new Set<Expression>(), new Set<Expression>(), new Set<Expression>()]
  for (const node of [...order].reverse()) {
    const varies = node.inputs.length > 0 && node.shape.some((d) => typeof d === 'string')
    if (varies && !between.has(node) && readHere.has(node) && !readElsewhere.has(node)) exclusive.add(node)
    const readers = between.has(node) || exclusive.has(node) ? readHere : readElsewhere
    for (const operand of node.inputs) readers.add(operand)
  }
  return exclusive
}
