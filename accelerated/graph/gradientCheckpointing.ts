/**
 * Gradient checkpointing (Chen et al., 2016): what lies between a value and what it is made of, once more. The copies begin with values that
 * are not read before the gradient has come there, so that the runtime neither makes them early nor takes them for the originals.
 */
import type { Expression } from './expression.js'
import { controlDependency } from './operators.js'

/** `copyOf` gives itself for what is no part of it; `copies` in topological order, those of the values that they begin with first. */
export type CheckpointPlan = {
  readonly copyOf: (node: Expression) => Expression
  readonly copies: ReadonlyArray<{ readonly original: Expression; readonly copy: Expression }>
}

/**
 * The nodes from x to y, and what is made for them alone and has the size of a batch (masks).
 * @param order topological, of all that there is
 * @param signals what must be there before
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

/** Those that y needs and that need x, without x. */
const nodesBetween = (order: ReadonlyArray<Expression>, x: Expression, y: Expression): ReadonlySet<Expression> => {
  const above = new Set([x])
  for (const node of order) if (node.inputs.some((operand) => above.has(operand))) above.add(node)
  const found = new Set<Expression>(above.has(y) && y !== x ? [y] : [])
  for (const node of found) for (const operand of node.inputs) if (operand !== x && above.has(operand)) found.add(operand)
  return found
}

/** Inner nodes whose size a batch decides and that nodes of `between`, or others such, read, and nobody else. */
const madeForAlone = (order: ReadonlyArray<Expression>, between: ReadonlySet<Expression>): ReadonlySet<Expression> => {
  const [found, readHere, readElsewhere] = [new Set<Expression>(), new Set<Expression>(), new Set<Expression>()]
  for (const node of [...order].reverse()) {
    const varies = node.inputs.length > 0 && node.shape.some((d) => typeof d === 'string')
    if (varies && !between.has(node) && readHere.has(node) && !readElsewhere.has(node)) found.add(node)
    const readers = between.has(node) || found.has(node) ? readHere : readElsewhere
    for (const operand of node.inputs) readers.add(operand)
  }
  return found
}
