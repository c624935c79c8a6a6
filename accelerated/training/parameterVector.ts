/**
 * All trainable numbers of a run in one flat vector: inside the graph it is split into tensors, and AdamW is a handful of nodes on long
 * vectors instead of thousands on short ones. Tensors that share a learning rate and a decay lie together, as a group.
 */
import type { Expression } from '../graph/expression.js'
import { reshape, split } from '../graph/operators.js'

/** decayed: matrices of W · undecayed: biases and norms of W · gates: log θ · multiplier: λ */
export type ParameterGroup = 'decayed' | 'undecayed' | 'gates' | 'multiplier'
const groupOrder: ReadonlyArray<ParameterGroup> = ['decayed', 'undecayed', 'gates', 'multiplier']

export type Trainable = { readonly name: string; readonly shape: ReadonlyArray<number>; readonly group: ParameterGroup }
export type ParameterEntry = Trainable & { readonly offset: number; readonly size: number }
export type ParameterLayout = {
  readonly entries: ReadonlyArray<ParameterEntry>
  readonly groups: ReadonlyArray<{ readonly group: ParameterGroup; readonly offset: number; readonly size: number }>
  readonly size: number
}

const elements = (shape: ReadonlyArray<number>): number => shape.reduce((a, b) => a * b, 1)

/** Where each tensor lies: by group, and inside a group in the order given. */
export const parameterLayout = (trainables: ReadonlyArray<Trainable>): ParameterLayout => {
  const ordered = groupOrder.flatMap((group) => trainables.filter((t) => t.group === group))
  let offset = 0
  const entries = ordered.map((t): ParameterEntry => {
    const entry = { ...t, offset, size: elements(t.shape) }
    offset += entry.size
    return entry
  })
  const groups = groupOrder.flatMap((group) => {
    const members = entries.filter((entry) => entry.group === group)
    return members.length === 0
      ? []
      : [{ group, offset: members[0]?.offset ?? 0, size: members.reduce((size, { size: s }) => size + s, 0) }]
  })
  return { entries, groups, size: offset }
}

/** The tensors of a flat vector of this layout, by name. vector: [layout.size] */
export const splitParameters = (layout: ParameterLayout, vector: Expression): ReadonlyMap<string, Expression> => {
  const parts = split(
    vector,
    layout.entries.map(({ size }) => size),
  )
  return new Map(layout.entries.map(({ name, shape }, i) => [name, reshape(parts[i] as Expression, shape)]))
}

export type Vector = Float32Array | Float64Array

export const zeros = (size: number, dtype: 'float32' | 'float64'): Vector =>
  dtype === 'float64' ? new Float64Array(size) : new Float32Array(size)

/** A flat vector with `values` at their places and 0 elsewhere. */
export const flatten = (
  layout: ParameterLayout,
  values: (entry: ParameterEntry) => ArrayLike<number> | undefined,
  dtype: 'float32' | 'float64',
): Vector => {
  const vector = zeros(layout.size, dtype)
  for (const entry of layout.entries) {
    const value = values(entry)
    if (value === undefined) continue
    if (value.length !== entry.size) throw new Error(`flatten: expected ${entry.size} numbers of ${entry.name}, found ${value.length}`)
    vector.set(value, entry.offset)
  }
  return vector
}

/** The part of a flat vector that holds one tensor: a view, not a copy. */
export const tensorOf = (layout: ParameterLayout, vector: Vector, name: string): Vector => {
  const entry = layout.entries.find((e) => e.name === name)
  if (entry === undefined) throw new Error(`tensorOf: expected one of the trained tensors, found ${name}`)
  return vector.subarray(entry.offset, entry.offset + entry.size)
}
