/** All precisions, one line each. What a precision does with the weights and products of a model belongs here; operators belong in graph/. */
import { int4 } from './int4/int4.js'
import { int8 } from './int8/int8.js'
import { mixed } from './mixed.js'
import type { Precision } from './precision.js'
import type { FloatType } from '../graph/expression.js'

/** Plain floating point: everything in float32, or in float64, which separates wrong mathematics from rounding. */
const plain = (dtype: FloatType, summary: string): Precision => ({
  name: dtype,
  summary,
  dtype,
  weightBytes: ({ frozen }) => [...frozen.values()].reduce((sum, { length }) => sum + length, 0), // the files are mapped as they are
  // biome-ignore lint/correctness/useYield: it reports no progress
  open: async function* (base) {
    const { frozenWeights, weightSource } = await import('../checkpoints/frozenWeights.js')
    return { tensor: frozenWeights(base, dtype), weights: weightSource(base) }
  },
  placeholders: async (base) => (await import('../checkpoints/frozenWeights.js')).frozenWeights(base, dtype),
  wrap: (host) => host,
})

export const float32 = plain('float32', 'every tensor in float32')
const float64 = plain('float64', 'every tensor in float64, for numerical checks')

export const precisions: readonly Precision[] = [float32, float64, int8, int4, mixed]
