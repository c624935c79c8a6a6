/** The graph of inference: parameters and a batch in, the objective's outputs out, without dropout and gate noise. */
import type { Outputs, Expression, FloatType } from '../graph/expression.js'
import { input, constant } from '../graph/operators.js'
import { batchInputs } from '../models/batchInputs.js'
import { blockInput, splitBlock, type ParameterLayout } from '../parameters/layout.js'
import { buildLayout, type Assembly } from './assembly.js'
import { adaptedHost, buildForwards } from './hosts.js'
import type { Engine } from '../engines/engine.js'
import type { Feeds } from '../engines/feeds.js'
import type { Vector } from '../parameters/vectors.js'
import { blockFeeds } from './stateBuffers.js'

/** 32 MB in float32: adapters are smaller, and full fine-tuning is larger. */
const mostConstants = 2 ** 23

export type FixedParameters = {
  readonly tensors: ReadonlyMap<string, Expression>
  /** of each run */
  readonly feeds: Feeds
}

export const fixedParameters = (
  layout: ParameterLayout,
  parameters: Vector,
  dtype: FloatType,
  { sharesSessions = false }: Pick<Engine, 'sharesSessions'>,
): FixedParameters => {
  if (sharesSessions || layout.size > mostConstants)
    return { tensors: parameterInputs(layout, dtype), feeds: blockFeeds(layout, 'parameters', parameters, dtype) }
  const tensors = layout.entries.map(({ name, shape, offset, size }) => {
    const numbers = parameters.subarray(offset, offset + size)
    return [name, constant(numbers, shape, dtype)] as const
  })
  return { tensors: new Map(tensors), feeds: {} }
}

/** @param phase one without noise: see `inference` of a method's phases @param trained the trained tensors (default: inputs) */
export const inferenceGraph = (assembly: Assembly, phase: unknown, trained?: ReadonlyMap<string, Expression>): Outputs => {
  const { dtype } = assembly.precision
  const host = adaptedHost(assembly, phase, trained ?? parameterInputs(buildLayout(assembly, phase), dtype))
  // Attention with dropout, which here drops nothing, would not be block by block.
  const plain = assembly.inBlocks === true ? { ...assembly, model: assembly.model.withDropout(0) } : assembly
  return assembly.objective.outputs(buildForwards(plain, host), batchInputs(dtype, assembly.inBlocks))
}

/** The trained tensors by name, as parts of the blocks that are inputs of the graph. */
export const parameterInputs = ({ blocks }: ParameterLayout, dtype: FloatType): ReadonlyMap<string, Expression> =>
  new Map(blocks.flatMap((block) => splitBlock(block, input(blockInput('parameters', block), [block.size], dtype))))
