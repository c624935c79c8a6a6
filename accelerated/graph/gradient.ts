/**
 * Reverse-mode differentiation: gradients of a scalar expression as expressions. The walk visits only nodes that depend on a target, so frozen weights
 * and detached values cost nothing. It adds contributions, and it alone undoes broadcasting. Checkpointed parts are walked in copies.
 */
import type { DetachedOp, DifferentiableOp, Expression, Op, Shape } from './expression.js'
import { sameShape, showShape, topologicalOrder } from './expression.js'
import { add, reduceSum, reshape, scalar } from './operators.js'
import { sumOfPadded } from './padding.js'
import { type CheckpointOperands, checkpointPlanner } from './gradientCheckpointing.js'
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
    const { copyOf, copies } = plan([y, x], [yBar, ...ofParameters.values()])
    ofParameters.clear()
    for (const { original, copy } of copies) if (relevant.has(original)) relevant.add(copy)
    gradients.set(copyOf(y), yBar)
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
      const sum = earlier === undefined ? xBar : (sumOfPadded(earlier, xBar) ?? add(earlier, xBar))
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
