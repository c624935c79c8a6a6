/**
 * Reverse-mode differentiation: gradients of a scalar expression as expressions. The walk visits only nodes that depend on a target, so frozen weights
 * and detached values cost nothing. It adds contributions, and it alone undoes broadcasting. Checkpointed parts are walked in copies.
 */
import {
  type DetachedOp,
  type DifferentiableOp,
  type Expression,
  type Op,
  type Shape,
  sameShape,
  showShape,
  topologicalOrder,
} from './expression.js'
import { add, reduceSum, reshape, scalar, controlDependency } from './operators.js'
import { addPadded } from './padding.js'
import { vjps } from './vjps.js'

/**
 * ∂y/∂target for each target, a leaf or an inner expression that is treated as one.
 * @throws Error if y is not a scalar, does not depend on a target, or depends on it through an operator without a gradient
 */
export const gradient = (y: Expression, targets: readonly Expression[]): readonly Expression[] => {
  if (y.shape.length !== 0) throw new Error(`gradient: expected a scalar, got ${showShape(y.shape)}`)
  const order = topologicalOrder([y])
  const goals = new Set(targets)
  const relevant = new Set<Expression>()
  for (const node of order) if (goals.has(node) || (!isDetached(node.op) && node.inputs.some((x) => relevant.has(x)))) relevant.add(node)

  const gradients = new Map<Expression, Expression>([[y, scalar(1, y.dtype)]])
  /** Of values whose size does not depend on the batch, since the last recomputation. The next one waits for them, so that it does not keep this one's values alive. */
  const ofParameters = new Map<Expression, Expression>()
  const plan = checkpointPlanner(order)
  const recompute = (node: Expression, yBar: Expression): void => {
    const [y, x] = node.inputs as CheckpointOperands
    const { findCopy, copies } = plan([y, x], [yBar, ...ofParameters.values()])
    ofParameters.clear()
    for (const { original, copy } of copies) if (relevant.has(original)) relevant.add(copy)
    gradients.set(findCopy(y), yBar)
    for (const { copy } of [...copies].reverse()) visit(copy)
  }
  const visit = (node: Expression): void => {
    const yBar = gradients.get(node)
    if (yBar === undefined || goals.has(node) || !node.inputs.some((x) => relevant.has(x))) return
    if (node.op === 'Checkpoint') {
      recompute(node, yBar)
      return
    }
    const rule = Object.hasOwn(vjps, node.op) ? vjps[node.op as DifferentiableOp] : undefined
    if (rule === undefined) throw new Error(`gradient: ${node.op} ${showShape(node.shape)} has no gradient, but a target is below it`)
    rule(yBar, node, ...node.inputs).forEach((contribution, i) => {
      const x = node.inputs[i]
      if (contribution === null || x === undefined || !relevant.has(x)) return
      const xBar = sumTo(contribution, x.shape, node.op)
      const earlier = gradients.get(x)
      const sum = earlier === undefined ? xBar : (addPadded(earlier, xBar) ?? add(earlier, xBar))
      gradients.set(x, sum)
      if (x.shape.every((d) => typeof d === 'number')) ofParameters.set(x, sum)
    })
  }
  for (const node of [...order].reverse()) visit(node)
  return targets.map((target, i) => {
    const targetBar = gradients.get(target)
    if (targetBar === undefined)
      throw new Error(
        `gradient: the expression does not depend on target ${i} (${target.attributes.name ?? target.op} ${showShape(target.shape)})`,
      )
    return targetBar
  })
}

const detached: Readonly<Record<DetachedOp, true>> = { StopGradient: true }
const isDetached = (op: Op): boolean => Object.hasOwn(detached, op)

/** Undoes broadcasting: sums over repeated dimensions. */
const sumTo = (contribution: Expression, shape: Shape, op: string): Expression => {
  if (sameShape(contribution.shape, shape)) return contribution
  const extra = contribution.shape.length - shape.length
  const repeated = contribution.shape.flatMap((d, i) => (i < extra || (shape[i - extra] === 1 && d !== 1) ? [i] : []))
  const summed = reshape(reduceSum(contribution, repeated, true), shape)
  if (!sameShape(summed.shape, shape))
    throw new Error(`gradient of ${op}: expected ${showShape(shape)}, got ${showShape(contribution.shape)}`)
  return summed
}

// Gradient checkpointing (Chen et al., 2016): copies of the nodes between a checkpoint's input and its output. The copies wait until the gradient
// arrives, so that the runtime neither computes them early nor merges them with the originals.
type CheckpointOperands = readonly [y: Expression, x: Expression]

/** `findCopy` returns a node without a copy itself. `copies` are in topological order, those of the first values before all others. */
type CheckpointPlan = {
  readonly findCopy: (node: Expression) => Expression
  readonly copies: readonly { readonly original: Expression; readonly copy: Expression }[]
}

/**
 * Returns a function that copies the nodes from x to y of a checkpoint, and batch-sized values that only they read (masks). It visits these nodes
 * alone, so that all checkpoints of a graph take time in proportion to its nodes.
 * @param order all nodes in topological order
 */
const checkpointPlanner = (order: readonly Expression[]) => {
  const places = new Map(order.map((node, place) => [node, place]))
  const findPlace = (node: Expression): number => places.get(node) ?? Infinity
  const readers = new Map<Expression, number>()
  for (const node of order) for (const operand of new Set(node.inputs)) readers.set(operand, (readers.get(operand) ?? 0) + 1)

  /**
   * @param operands the output and the input of a checkpoint
   * @param signals the values that the copies wait for
   */
  return ([y, x]: CheckpointOperands, signals: readonly Expression[]): CheckpointPlan => {
    const copied = new Map<Expression, Expression>()
    const between = nodesBetween(order.slice(findPlace(x) + 1, findPlace(y) + 1), x, y)
    const own = madeForAlone(readers, between)
    const late = (node: Expression): Expression => copied.get(node) ?? remember(node, controlDependency(node, signals))
    const remember = (node: Expression, copy: Expression): Expression => {
      copied.set(node, copy)
      return copy
    }
    late(x)
    for (const node of [...between, ...own].sort((a, b) => findPlace(a) - findPlace(b))) {
      const begins = own.has(node) && !node.inputs.some((operand) => own.has(operand))
      remember(node, {
        ...node,
        inputs: node.inputs.map((operand, i) => (begins && i === 0 ? late(operand) : (copied.get(operand) ?? operand))),
      })
    }
    return { findCopy: (node) => copied.get(node) ?? node, copies: [...copied].map(([original, copy]) => ({ original, copy })) }
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
