/**
 * int8 for generation: each matrix, the head over the vocabulary included, in blocks of 32 values with a scale each. A step of generation multiplies
 * single rows, so its time is that of reading the weights once. The layout of training multiplies many rows, and needs the transpose too.
 */
import { blockSize } from '../../graph/operators.js'
import type { Precision } from '../precision.js'

export const int8Blocks: Precision = {
  name: 'int8',
  summary: 'frozen matrices in blocks of eight bits, the rest in float32',
  dtype: 'float32',
  runsOn: ({ quantizedMatMul }) => quantizedMatMul === true,
  weightBytes: ({ model, frozen }) => {
    const words = model.causalHead?.().words
    const matrices = new Set([...model.spec.matrices.map(({ name }) => `${name}.weight`), words])
    return [...frozen].reduce((sum, [name, { shape }]) => {
      const numbers = shape.reduce((a, b) => a * b, 1)
      return sum + numbers * (matrices.has(name) ? 1 + 4 / blockSize : 4)
    }, 0)
  },
  open: async function* (base, cache) {
    const [{ openQuantized }, { blockLayout }] = [await import('./quantizedWeights.js'), await import('./blockLayout.js')]
    return yield* openQuantized(base, blockLayout(base), cache)
  },
  placeholders: async (base) => {
    const [{ quantizedPlaceholders }, { blockLayout }] = [await import('./quantizedWeights.js'), await import('./blockLayout.js')]
    return quantizedPlaceholders(base, blockLayout(base))
  },
  wrap: (host) => host, // lowering multiplies in blocks
}
