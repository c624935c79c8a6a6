/**
 * One training step as one graph: objective, gradients, clipping, the optimizer. Inputs are the state's blocks, the batch, the noise and the
 * step's scalars; outputs are the next state and what is reported. A step is a pure function of its feeds.
 */
import type { Expression, FloatType } from '../graph/expression.js'
import { gradient } from '../graph/gradient.js'
import { add, div, input, minimum, mul, reduceSum, sqrt, square } from '../graph/operators.js'
import type { Moments } from './adamw.js'
import { update } from './optimizer.js'
import { blockInput, blockOutput, joinBlock, splitBlock, type Block, type ParameterLayout } from '../parameters/layout.js'
import type { OptimizerExtension } from '../parameters/optimizerExtension.js'

/** What is minimized, given the trained tensors by name. */
export type Loss = (parameters: ReadonlyMap<string, Expression>) => {
  /** scalar, the L of Algorithm 1 */
  readonly loss: Expression
  /** outputs of the step beside the state */
  readonly report: Readonly<Record<string, Expression>>
}

export type StepSettings = {
  /** largest norm of W's gradient, or null for no clipping */
  readonly clip: number | null
  readonly memory: OptimizerExtension | null
}

/**
 * whole: gradients of this batch, then the update · add: gradients of this part of a batch, added to the sum so far ·
 * finish: the last part of a batch, then the update
 */
export type Accumulation = 'whole' | 'add' | 'finish'

/**
 * One iteration of Algorithm 1, or of any other method: gradients of L, then the simultaneous updates of all groups (W, Θ and λ of SaLoRA).
 * Its outputs: the blocks of the next state (or of the gradient's sum), loss, gradientNorm and the report.
 */
export const trainingStep = (
  layout: ParameterLayout,
  objective: Loss,
  { clip, memory }: StepSettings,
  accumulation: Accumulation = 'whole',
  dtype: FloatType = 'float32',
): Readonly<Record<string, Expression>> => {
  const blockOf = (vector: string, block: Block): Expression => input(blockInput(vector, block), [block.size], dtype)
  const tensors = new Map(layout.blocks.flatMap((block) => splitBlock(block, blockOf('parameters', block))))
  const { loss, report } = objective(tensors)

  const targets = layout.entries.map(({ name }) => lookUp(tensors, name))
  const byName = new Map(gradient(loss, targets).map((g, i) => [layout.entries[i]?.name ?? '', g]))
  const gradients = layout.blocks.map((block) => {
    const fresh = joinBlock(block, (name) => lookUp(byName, name))
    return accumulation === 'whole' ? fresh : add(fresh, blockOf('gradientSum', block))
  })
  const outputs = (vector: string, of: (i: number) => Expression) =>
    Object.fromEntries(layout.blocks.map((block, i) => [blockOutput(vector, block), of(i)]))
  if (accumulation === 'add') return { ...report, loss, ...outputs('gradientSum', (i) => gradients[i] as Expression) }

  const { factor, norm } = clipping(
    clip,
    gradients.filter((_, i) => layout.blocks[i]?.group.isWeight === true),
  )
  const stepped = layout.blocks.map((block, i) => {
    const [given, moments] = [gradients[i] as Expression, { first: blockOf('firstMoment', block), second: blockOf('secondMoment', block) }]
    const used = block.group.isWeight && factor !== null ? mul(given, factor) : given
    const own = Object.fromEntries((memory?.names ?? []).map((name) => [name, blockOf(name, block)]))
    return { block, gradient: used, memory: own, ...update(block.group, blockOf('parameters', block), used, moments, dtype) }
  })
  const settled = memory === null ? stepped : memory.afterUpdate(stepped, dtype)
  const next = (i: number): (typeof settled)[number] => settled[i] as (typeof settled)[number]
  const momentsOf = (i: number): Moments => (stepped[i] as (typeof stepped)[number]).moments
  return {
    ...report,
    loss,
    gradientNorm: norm,
    ...outputs('parameters', (i) => next(i).parameters),
    ...outputs('firstMoment', (i) => momentsOf(i).first),
    ...outputs('secondMoment', (i) => momentsOf(i).second),
    ...Object.assign({}, ...(memory?.names ?? []).map((name) => outputs(name, (i) => next(i).memory[name] as Expression))),
  }
}

const lookUp = (tensors: ReadonlyMap<string, Expression>, name: string): Expression => {
  const tensor = tensors.get(name)
  if (tensor === undefined)
    throw new Error(`trainingStep: expected ${name} among the trained tensors, got ${[...tensors.keys()].join(', ')}`)
  return tensor
}

/** ‖ḡ‖₂ over W, and min(1, clip / (‖ḡ‖ + 1e-6)) as PyTorch's clip_grad_norm_. */
const clipping = (
  clip: number | null,
  weights: ReadonlyArray<Expression>,
): { readonly norm: Expression; readonly factor: Expression | null } => {
  const norm = sqrt(weights.map((g) => reduceSum(square(g))).reduce((a, b) => add(a, b)))
  return { norm, factor: clip === null ? null : minimum(div(clip, add(norm, 1e-6)), 1) }
}
