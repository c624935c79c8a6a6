/**
 * The trained numbers of a session whose numbers never change: constants of its graph. The runtime then cuts, transposes and joins them once, when it
 * opens the session, and not in every run. Where sessions are shared, or where there are too many numbers for a graph's bytes, each run feeds them.
 */
import type { Expression, FloatType } from '../graph/expression.js'
import { constant } from '../graph/operators.js'
import type { Engine } from '../engines/engine.js'
import type { Feeds } from '../engines/feeds.js'
import type { ParameterLayout } from '../parameters/layout.js'
import type { Vector } from '../parameters/vectors.js'
import { parameterInputs } from './inferenceGraph.js'
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
