/** The trained tensors of a head, from the model's checkpoint where it has them. */
import type { TensorShape } from '../models/architecture.js'
import { modelInitial } from '../parameters/initialization.js'
import type { Trainable } from '../parameters/layout.js'
import type { WeightGroups } from '../parameters/optimizerGroup.js'

/** Matrices decay, vectors do not. */
export const headTensors = (
  head: { readonly tensors: ReadonlyMap<string, TensorShape> },
  { decayed, undecayed }: WeightGroups,
): ReadonlyArray<Trainable> =>
  [...head.tensors].map(([name, shape]) => ({ name, shape, group: shape.length > 1 ? decayed : undecayed, initial: modelInitial }))
