/**
 * The graph of one training step: objective, gradients, clipping, optimizer. Inputs are the state's blocks, the batch, the noise and the step's
 * scalars. Outputs are the next state's blocks and the report. A step is a pure function of its feeds.
 */
import type { Outputs, Expression, FloatType } from '../graph/expression.js'
import { gradient } from '../graph/gradient.js'
import { add, div, input, minimum, mul, reduceSum, sqrt, square, checkpoint } from '../graph/operators.js'
import { batchInputs } from '../models/batchInputs.js'
import type { TensorSource, Wrap } from '../models/host.js'
import { accumulates } from '../settings/commonSettings.js'
import { pooledDropout, type DropoutSite } from '../models/layers/dropout.js'
import { blockInput, blockOutput, joinBlock, type Block, type ParameterLayout, type OptimizerExtension } from '../parameters/layout.js'
import { buildLayout, type Assembly } from './assembly.js'
import { adaptedHost, buildForwards, trainedTensor } from './hosts.js'
import { parameterInputs } from './inferenceGraph.js'
import { update } from './optimizer.js'

/**
 * Gradient accumulation.
 *  - whole: gradients of this batch, then the update
 *  - add: gradients of this part of a batch, added to the sum so far
 *  - finish: the last part of a batch, then the update
 *  - apply: the update from the sum of all parts, which other machines may have computed
 */
export type Accumulation = 'whole' | 'add' | 'finish' | 'apply'

export type StepGraph = {
  readonly layout: ParameterLayout
  readonly outputs: Outputs
  readonly sites: readonly DropoutSite[]
}

/** NEFTune (Jain et al., 2023): noise that the step feeds is added to the word embeddings, in training alone. */
const noisyEmbeddings =
  ({ settings, precision }: Assembly): Wrap =>
  (host) =>
    settings.neftuneAlpha === null
      ? host
      : { ...host, embedded: (x, batch) => host.embedded(add(x, input('embeddingNoise', x.shape, precision.dtype)), batch) }

/** The graph of a step in this phase. @param more further outputs to report */
export const stepGraph = (
  assembly: Assembly,
  phase: unknown,
  accumulation: Accumulation,
  more: (parameter: TensorSource) => Outputs = () => ({}),
): StepGraph => {
  const { method, settings, objective, precision } = assembly
  const { dtype } = precision
  const layout = buildLayout(assembly, phase)
  const dropout = pooledDropout(dtype)
  const loss: Loss = (parameters) => {
    const parameter = trainedTensor(parameters)
    const host = adaptedHost(assembly, phase, parameters, (model) =>
      noisyEmbeddings(assembly)(settings.gradientCheckpointing ? checkpointedLayers(dropout.wrap(model)) : dropout.wrap(model)),
    )
    const taskLoss = (stepLoss(assembly) ?? objective).loss(buildForwards(assembly, host), batchInputs(dtype, assembly.inBlocks))
    const penalty = method.train.penalty?.(phase, settings, parameter) ?? null
    // Each part of an accumulated batch carries its share of the penalty, so that the parts add up to one step.
    const share = (x: Expression): Expression => (accumulation === 'whole' ? x : mul(x, input('batchShare', [], dtype)))
    return {
      loss: penalty === null ? taskLoss : add(taskLoss, share(penalty.value)),
      report: { taskLoss, ...penalty?.report, ...more(parameter) },
    }
  }
  const extension = method.train.optimizerExtension?.(phase, settings) ?? null
  const outputs = trainingStep(layout, loss, { maxGradNorm: settings.maxGradNorm, extension }, accumulation, dtype)
  return { layout, outputs, sites: dropout.sites() }
}

/** The loss that compares the parts of a step; undefined: there is one part, or each has a loss of its own. */
export const stepLoss = ({ settings, objective }: Pick<Assembly, 'settings' | 'objective'>) =>
  accumulates(settings) ? objective.stepLoss : undefined

/** What a part gives to the loss of its step, with the same noise; null: nothing. */
export const rowsGraph = (assembly: Assembly, phase: unknown): Outputs | null => {
  const { dtype } = assembly.precision
  const compared = stepLoss(assembly)
  if (compared === undefined) return null
  const host = adaptedHost(assembly, phase, parameterInputs(buildLayout(assembly, phase), dtype), (model) =>
    noisyEmbeddings(assembly)(pooledDropout(dtype).wrap(model)),
  )
  return { rows: compared.rows(buildForwards(assembly, host), batchInputs(dtype, assembly.inBlocks)) }
}

/** The function to minimize, of the trained tensors by name. */
type Loss = (parameters: ReadonlyMap<string, Expression>) => {
  /** scalar, the L of Algorithm 1 */
  readonly loss: Expression
  /** outputs of the step beside the state */
  readonly report: Outputs
}

type StepSettings = {
  /** largest norm of W's gradient; null: no clipping */
  readonly maxGradNorm: number | null
  readonly extension: OptimizerExtension | null
}

/**
 * One iteration of Algorithm 1, or of any other method: gradients of L, then the simultaneous updates of all groups. SaLoRA's are W, Θ and λ.
 * Outputs are the blocks of the next state (or of the gradient's sum), loss, gradientNorm and the report.
 */
export const trainingStep = (
  layout: ParameterLayout,
  objective: Loss,
  { maxGradNorm, extension }: StepSettings,
  accumulation: Accumulation = 'whole',
  dtype: FloatType = 'float32',
): Outputs => {
  const stepped = (sum: readonly Expression[]): Outputs => {
    const { gradients, norm } = clipped(layout, sum, maxGradNorm)
    return { gradientNorm: norm, ...nextState(layout, gradients, extension, dtype) }
  }
  const sumSoFar = (block: Block): Expression => vectorInput('gradientSum', block, dtype)
  if (accumulation === 'apply') return stepped(layout.blocks.map(sumSoFar))

  const tensors = parameterInputs(layout, dtype)
  const { loss, report } = objective(tensors)
  const sum = gradientBlocks(layout, tensors, loss).map((g, i) =>
    accumulation === 'whole' ? g : add(g, sumSoFar(layout.blocks[i] as Block)),
  )
  if (accumulation === 'add') return { ...report, loss, ...vectorOutputs(layout, 'gradientSum', sum) }
  return { ...report, loss, ...stepped(sum) }
}

const vectorInput = (vector: string, block: Block, dtype: FloatType): Expression => input(blockInput(vector, block), [block.size], dtype)

const vectorOutputs = ({ blocks }: ParameterLayout, vector: string, values: readonly Expression[]): Outputs =>
  Object.fromEntries(blocks.map((block, i) => [blockOutput(vector, block), values[i] as Expression]))

/** ∂loss/∂block, in the order of the blocks. → [block.size] each */
const gradientBlocks = (
  { blocks, entries }: ParameterLayout,
  tensors: ReadonlyMap<string, Expression>,
  loss: Expression,
): readonly Expression[] => {
  const gradients = gradient(
    loss,
    entries.map(({ name }) => trainedTensor(tensors)(name)),
  )
  const byName = new Map(entries.map(({ name }, i) => [name, gradients[i] as Expression]))
  return blocks.map((block) => joinBlock(block, trainedTensor(byName)))
}

/** The gradient's norm ‖ḡ‖₂ over W, and the gradients with W's times min(1, maxGradNorm / (‖ḡ‖ + 1e-6)), as in PyTorch's clip_grad_norm_. */
const clipped = (
  { blocks }: ParameterLayout,
  gradients: readonly Expression[],
  maxGradNorm: number | null,
): { readonly gradients: readonly Expression[]; readonly norm: Expression } => {
  const isWeight = (i: number): boolean => blocks[i]?.group.isWeight === true
  const squares = gradients.filter((_, i) => isWeight(i)).map((g) => reduceSum(square(g)))
  const norm = sqrt(squares.reduce((a, b) => add(a, b)))
  if (maxGradNorm === null) return { gradients, norm }
  const factor = minimum(div(maxGradNorm, add(norm, 1e-6)), 1)
  return { gradients: gradients.map((g, i) => (isWeight(i) ? mul(g, factor) : g)), norm }
}

/** The optimizer's update of every block, then the method's extension. */
const nextState = (
  layout: ParameterLayout,
  gradients: readonly Expression[],
  extension: OptimizerExtension | null,
  dtype: FloatType,
): Outputs => {
  const names = extension?.names ?? []
  const updated = layout.blocks.map((block, i) => {
    const makeInput = (vector: string): Expression => vectorInput(vector, block, dtype)
    const gradient = gradients[i] as Expression
    const moments = { first: makeInput('firstMoment'), second: makeInput('secondMoment') }
    const memory = Object.fromEntries(names.map((name) => [name, makeInput(name)]))
    return { block, gradient, memory, ...update(block.group, makeInput('parameters'), gradient, moments, dtype) }
  })
  const extended = extension === null ? updated : extension.afterUpdate(updated, dtype)
  const outputs = (vector: string, values: readonly Expression[]) => vectorOutputs(layout, vector, values)
  return {
    ...outputs(
      'parameters',
      extended.map(({ parameters }) => parameters),
    ),
    ...outputs(
      'firstMoment',
      updated.map(({ moments }) => moments.first),
    ),
    ...outputs(
      'secondMoment',
      updated.map(({ moments }) => moments.second),
    ),
    ...Object.assign(
      {},
      ...names.map((name) =>
        outputs(
          name,
          extended.map(({ memory }) => memory[name] as Expression),
        ),
      ),
    ),
  }
}

/** Gradient checkpointing: a step stores only layer inputs and recomputes the rest in the backward pass. */
const checkpointedLayers: Wrap = (host) => ({ ...host, layer: (name, body) => host.layer(name, (x) => checkpoint(body(x), x)) })
