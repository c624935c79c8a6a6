/** Fixed allocations of a budget of ranks over a model's matrices, for the first question of smallBudgets.md. */
import type { Matrix } from '../../accelerated/models/architecture.js'
import { permutation } from '../../accelerated/parameters/random.js'

/** Whether an allocation uses a matrix of this kind in this layer. `layers`: of the model */
export type Uses = (kind: string, layer: number, layers: number) => boolean

/** Names of allocations, and the matrices that each uses. */
export const allocations: Readonly<Record<string, Uses>> = {
  uniform: () => true,
  attention: (kind) => !isFeedForward(kind),
  'feed-forward': (kind) => isFeedForward(kind),
  'value-output': (kind) => ['attention.self.value', 'attention.output.dense'].includes(kind),
  'first-layers': (_, layer, layers) => layer < layers / 2,
  'last-layers': (_, layer, layers) => layer >= layers / 2,
}

const isFeedForward = (kind: string): boolean => ['intermediate.dense', 'output.dense'].includes(kind)

/** The numbers of an adapter with this average rank on every matrix: a budget. */
export const budgetOf = (matrices: ReadonlyArray<Matrix>, averageRank: number): number =>
  Math.round(averageRank * matrices.reduce((sum, matrix) => sum + costOf(matrix), 0))

/** The numbers of A and B for each rank. */
export const costOf = ({ d, k }: Pick<Matrix, 'd' | 'k'>): number => d + k

/**
 * Ranks by matrix: as equal as whole numbers allow on the matrices that `uses` names, 0 on the others. The sum of their costs is at most `budget`.
 * Ranks that do not go round are spread over the depth of the model.
 */
export const allocation = (matrices: ReadonlyArray<Matrix>, uses: Uses, budget: number): Readonly<Record<string, number>> => {
  const placed = matrices.map((matrix) => ({ ...matrix, ...placeOf(matrix.name) }))
  const layers = 1 + Math.max(...placed.map(({ layer }) => layer))
  const used = placed.filter(({ kind, layer }) => uses(kind, layer, layers))
  if (used.length === 0)
    throw new Error(`allocation: expected matrices that it uses, got none of ${matrices.map(({ name }) => name).join(', ')}`)
  const perRank = used.reduce((sum, matrix) => sum + costOf(matrix), 0)
  const least = Math.floor(budget / perRank)
  const ranks: Record<string, number> = Object.fromEntries(matrices.map(({ name }) => [name, 0]))
  let left = budget - least * perRank
  for (const { name, ...matrix } of spreadOut(used)) {
    const extra = costOf(matrix) <= left ? 1 : 0
    left -= extra * costOf(matrix)
    ranks[name] = least + extra
  }
  return ranks
}

/** Ranks by matrix of a random choice: triplets of `rank` per matrix in a random order, each one that still fits into the budget. */
export const randomAllocation = (
  matrices: ReadonlyArray<Matrix>,
  budget: number,
  rank: number,
  seed: number,
): Readonly<Record<string, number>> => {
  const ranks = Object.fromEntries(matrices.map(({ name }) => [name, 0]))
  let left = budget
  for (const triplet of permutation(seed, 'retention', 0, matrices.length * rank)) {
    const matrix = matrices[Math.floor(triplet / rank)]
    if (matrix === undefined || costOf(matrix) > left) continue
    left -= costOf(matrix)
    ranks[matrix.name] = (ranks[matrix.name] ?? 0) + 1
  }
  return ranks
}

/** `encoder.layer.3.attention.self.query`: layer 3, `attention.self.query` */
const placeOf = (name: string): { readonly layer: number; readonly kind: string } => {
  const [, layer, kind] = /\.(\d+)\.(.+)$/.exec(name) ?? []
  if (layer === undefined || kind === undefined) throw new Error(`allocation: expected a matrix of a layer, got ${name}`)
  return { layer: Number(layer), kind }
}

/** All of a list, in steps of about its golden section: neighbors in the order are far apart in the list. */
const spreadOut = <T>(list: ReadonlyArray<T>): ReadonlyArray<T> => {
  const step = coprime(Math.round(0.618 * list.length), list.length)
  return list.map((_, i) => list[(i * step) % list.length] as T)
}

const coprime = (from: number, to: number): number => (divisor(from, to) === 1 ? from : coprime(from + 1, to))
const divisor = (a: number, b: number): number => (b === 0 ? a : divisor(b, a % b))
