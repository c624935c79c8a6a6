/** The outer update of a run whose replicas train apart between rounds: DiLoCo (Douillard et al., 2023), with PyTorch's form of Nesterov's momentum. */
import { zeros, type Vector } from '../parameters/vectors.js'
import type { CommonSettings } from '../settings/commonSettings.js'

/** The numbers that all replicas begin a round with, and the outer momentum. Both have the layout's size. */
export type OuterState = { readonly parameters: Vector; readonly momentum: Vector }

/**
 * b ← μb + Δ, θ ← θ − η(Δ + μb), where Δ is the mean of the replicas' differences θ − θₖ, added in their order. Sums are in float64.
 * @returns new vectors
 */
export const outerUpdate = (
  { parameters, momentum }: OuterState,
  differences: ReadonlyArray<Vector>,
  { outerLr, outerMomentum }: Pick<CommonSettings, 'outerLr' | 'outerMomentum'>,
): OuterState => {
  const dtype = parameters instanceof Float64Array ? 'float64' : 'float32'
  const next = { parameters: zeros(parameters.length, dtype), momentum: zeros(parameters.length, dtype) }
  for (let i = 0; i < parameters.length; i++) {
    let sum = 0
    for (const difference of differences) sum += difference[i] as number
    const mean = sum / differences.length
    const velocity = outerMomentum * (momentum[i] as number) + mean
    next.momentum[i] = velocity
    next.parameters[i] = (parameters[i] as number) - outerLr * (mean + outerMomentum * velocity)
  }
  return next
}

/** θ − θₖ, what travels of a replica's parameters. */
export const differenceOf = (before: Vector, after: Vector): Vector => before.map((x, i) => x - (after[i] as number))
