/** Flat vectors of trained numbers, and all vectors that one state of a run has. */
import type { FloatType } from '../graph/expression.js'
import type { ParameterEntry, ParameterLayout } from './layout.js'

export type Vector = Float32Array | Float64Array

/** The vectors of a state, all of the layout's size. `memory`: those of the method's OptimizerExtension. */
export type Vectors = {
  readonly parameters: Vector
  readonly firstMoment: Vector
  readonly secondMoment: Vector
  readonly memory: Readonly<Record<string, Vector>>
}

export const zeros = (size: number, dtype: FloatType): Vector => (dtype === 'float64' ? new Float64Array(size) : new Float32Array(size))

/** A flat vector with `values` at their offsets and 0 elsewhere. */
export const flatten = (
  layout: ParameterLayout,
  values: (entry: ParameterEntry) => ArrayLike<number> | undefined,
  dtype: FloatType,
): Vector => {
  const vector = zeros(layout.size, dtype)
  for (const entry of layout.entries) {
    const value = values(entry)
    if (value === undefined) continue
    if (value.length !== entry.size) throw new Error(`flatten: expected ${entry.size} numbers of ${entry.name}, got ${value.length}`)
    vector.set(value, entry.offset)
  }
  return vector
}

/** The part of a flat vector that holds one tensor: a view, not a copy. */
export const viewTensor = (layout: ParameterLayout, vector: Vector, name: string): Vector => {
  const entry = layout.entries.find((e) => e.name === name)
  if (entry === undefined) throw new Error(`viewTensor: expected one of the trained tensors, got ${name}`)
  return vector.subarray(entry.offset, entry.offset + entry.size)
}

/** The same vectors, each changed by `move`. */
export const mapVectors = (
  { parameters, firstMoment, secondMoment, memory }: Vectors,
  move: (vector: Vector, name: string) => Vector,
): Vectors => ({
  parameters: move(parameters, 'parameters'),
  firstMoment: move(firstMoment, 'firstMoment'),
  secondMoment: move(secondMoment, 'secondMoment'),
  memory: Object.fromEntries(Object.entries(memory).map(([name, vector]) => [name, move(vector, name)])),
})

/** Every vector of a state by name. */
export const namedVectors = ({ parameters, firstMoment, secondMoment, memory }: Vectors): Readonly<Record<string, Vector>> => ({
  parameters,
  firstMoment,
  secondMoment,
  ...memory,
})
