/** The graph of inference: parameters and a batch in, the objective's outputs out, without dropout and gate noise. */
import type { Expression, FloatType } from '../graph/expression.js'
import { input } from '../graph/operators.js'
import { batchInputs } from '../models/batchInputs.js'
import { blockInput, splitBlock, type ParameterLayout } from '../parameters/layout.js'
import { layoutOf, type Assembly } from './assembly.js'
import { adaptedHost, forwardsOf } from './hosts.js'

/** @param phase one without noise: see `inference` of a method's phases @param trained the trained tensors (default: inputs) */
export const inferenceGraph = (
  assembly: Assembly,
  phase: unknown,
  trained?: ReadonlyMap<string, Expression>,
): Readonly<Record<string, Expression>> => {
  const { dtype } = assembly.precision
  const host = adaptedHost(assembly, phase, trained ?? parameterInputs(layoutOf(assembly, phase), dtype))
  // Attention with dropout, which here drops nothing, would not be block by block.
  const plain = assembly.inBlocks === true ? { ...assembly, model: assembly.model.withDropout(0) } : assembly
  return assembly.objective.outputs(forwardsOf(plain, host), batchInputs(dtype, assembly.inBlocks))
}

/** The trained tensors by name, as parts of the blocks that are inputs of the graph. */
export const parameterInputs = ({ blocks }: ParameterLayout, dtype: FloatType): ReadonlyMap<string, Expression> =>
  new Map(blocks.flatMap((block) => splitBlock(block, input(blockInput('parameters', block), [block.size], dtype))))
