/** Where training starts: A random and B = 0, so that the adapted model is the base model; the head from the checkpoint, or new. */
import type { ParameterEntry } from '../training/parameterVector.js'
import { normals, uniforms } from '../training/random.js'

/** kaiming: U(−1/√k, 1/√k), as PEFT · gaussian: N(0, 1/r²), as PEFT's `gaussian` */
export type AdapterInitialisation = 'kaiming' | 'gaussian'

/** A tensor's draw is keyed by its place in the parameter vector, so no two tensors share numbers. */
export const initialAdapterTensor = (
  seed: number,
  kind: AdapterInitialisation,
  { name, shape, size, offset }: ParameterEntry,
): Float64Array => {
  if (name.endsWith('.B')) return new Float64Array(size)
  const [r = 1, k = 1] = shape
  return kind === 'kaiming'
    ? uniforms(seed, 'initialisation', offset, size).map((u) => (2 * u - 1) / Math.sqrt(k))
    : normals(seed, 'initialisation', offset, size).map((x) => x / r)
}

/** Matrices N(0, 0.02²), biases 0, as transformers initialises a new head. */
export const initialHeadTensor = (seed: number, { shape, size, offset }: ParameterEntry): Float64Array =>
  shape.length > 1 ? normals(seed, 'initialisation', offset, size).map((x) => 0.02 * x) : new Float64Array(size)
