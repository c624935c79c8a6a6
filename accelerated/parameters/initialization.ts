/** Initial parameters: A random and B = 0, so that the adapted model is the base model; a head from the checkpoint, or a new one. */
import type { Initial, ParameterEntry } from './layout.js'
import { normals, uniforms } from './random.js'

/** kaiming: U(−1/√k, 1/√k), as PEFT · gaussian: N(0, 1/r²), as PEFT's `gaussian` */
export type AdapterInitialization = 'kaiming' | 'gaussian'

/** A [r, k] */
export const factorA = (kind: AdapterInitialization): Initial => ({
  fromCheckpoint: false,
  draw: (seed, { shape: [r = 1, k = 1], place, size }) =>
    kind === 'kaiming'
      ? uniforms(seed, 'initialization', place, size).map((u) => (2 * u - 1) / Math.sqrt(k))
      : normals(seed, 'initialization', place, size).map((x) => x / r),
})

const zero = (_: number, { size }: ParameterEntry): Float64Array => new Float64Array(size)

/** B [d, r] */
export const factorB: Initial = { fromCheckpoint: false, draw: zero }

export const zeroInitial: Initial = factorB

/** N(0, deviation²) */
export const normalInitial = (deviation: number): Initial => ({
  fromCheckpoint: false,
  draw: (seed, { size, place }) => normals(seed, 'initialization', place, size).map((x) => deviation * x),
})

export const constantInitial = (value: number): Initial => ({
  fromCheckpoint: false,
  draw: (_, { size }) => new Float64Array(size).fill(value),
})

/** The checkpoint's tensor; if it has none, as transformers initializes: matrices N(0, 0.02²), scales of norms 1, biases 0. */
export const modelInitial: Initial = {
  fromCheckpoint: ({ name, shape }, checkpoint) => checkpoint(name, shape),
  draw: (seed, entry) => {
    if (entry.shape.length > 1) return normalInitial(0.02).draw(seed, entry)
    return /norm\.weight$/i.test(entry.name) ? new Float64Array(entry.size).fill(1) : zero(seed, entry)
  },
}
