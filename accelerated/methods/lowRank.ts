/** Low-rank adapters: which matrices carry one, their tensors, and the update as an expression: equation (5). */
import { z } from 'zod'
import type { Expression } from '../graph/expression.js'
import { add, matMul, mul } from '../graph/operators.js'
import type { Matrix, ModelSpec } from '../models/architecture.js'
import type { Wrap } from '../models/host.js'
import { SettingsError } from '../errors/settingsError.js'
import type { OptimizerGroup } from '../parameters/optimizerGroup.js'
import type { Trainable } from '../parameters/layout.js'
import { factorA, factorB, type AdapterInitialization } from '../parameters/initialization.js'

/** One adapted matrix and the rank of its adapter. A matrix of rank 0 is not listed. */
export type AdaptedMatrix = Matrix & { readonly r: number }

/** Adapted matrices in a phase, as checkpoints hold them. */
export const matricesSchema = z
  .array(z.strictObject({ name: z.string().max(500), d: z.int().min(1), k: z.int().min(1), r: z.int().min(1) }))
  .max(100_000)

/** A [r, k], B [d, r], and, while gates are sampled, g [r]; scale = α / r. */
export type LowRankFactors = { readonly A: Expression; readonly B: Expression; readonly g: Expression | null; readonly scale: number }

/** Eq. (5): h = Wx + scale · B (g ⊙ Ax). wx: [tokens, d], x: [tokens, k] → [tokens, d]. The gates go into B's columns, d · r products instead of tokens · r. */
export const addLowRank = (wx: Expression, x: Expression, { A, B, g, scale }: LowRankFactors): Expression =>
  add(wx, matMul(matMul(x, A, { transposeB: true }), g === null ? B : mul(B, g), { transposeB: true, alpha: scale }))

/** Every linear map that has factors gets their update, whose input passes a dropout of its own: query, key and value drop different parts of one x. */
export const lowRankWrap =
  (factors: ReadonlyMap<string, LowRankFactors>, dropout: number): Wrap =>
  (host) => ({
    ...host,
    linear: (name, x) => {
      const own = factors.get(name)
      return own === undefined ? host.linear(name, x) : addLowRank(host.linear(name, x), host.dropout(`${name}.lora`, x, dropout), own)
    },
  })

/** A random and B = 0, so that the adapted model starts as the base model. */
export const factorTensors = (
  matrices: ReadonlyArray<AdaptedMatrix>,
  initialization: AdapterInitialization,
  group: OptimizerGroup,
): ReadonlyArray<Trainable> =>
  matrices.flatMap(
    ({ name, d, k, r }): ReadonlyArray<Trainable> => [
      { name: `${name}.A`, shape: [r, k], group, initial: factorA(initialization) },
      { name: `${name}.B`, shape: [d, r], group, initial: factorB },
    ],
  )

/** Σ rᵢ (dᵢ + kᵢ) */
export const factorCount = (matrices: ReadonlyArray<AdaptedMatrix>): number => matrices.reduce((sum, { d, k, r }) => sum + r * (d + k), 0)

const isTarget = (name: string, target: string): boolean => name === target || name.endsWith(`.${target}`)

/** PEFT's word for every linear map but the output's. BERT's pooler is none of ours: it is trained whole, with the head. */
export const allLinear = 'all-linear'

/** The matrices whose path ends in one of `targets` (whole names, such as `query` or `output.dense`); all of them for null. @throws SettingsError */
export const targetedMatrices = ({ matrices }: ModelSpec, targets: ReadonlyArray<string> | null): ReadonlyArray<Matrix> => {
  if (targets === null || targets.join() === allLinear) return matrices
  const unknown = targets.find((target) => !matrices.some(({ name }) => isTarget(name, target)))
  if (unknown !== undefined) {
    const kinds = [...new Set(matrices.map(({ name }) => name.replace(/^.*\.\d+\./, '')))]
    throw new SettingsError('targetModules', `${allLinear}, or endings of ${kinds.join(', ')}`, JSON.stringify(unknown))
  }
  return matrices.filter(({ name }) => targets.some((target) => isTarget(name, target)))
}

/** The matrices to adapt and their ranks at the start. @throws SettingsError for a name that no matrix has, and for a rank that no product of a matrix's size has */
export const adaptedMatrices = (
  outline: ModelSpec,
  {
    targetModules,
    rank,
    rankPattern = null,
    rankSetting = 'rank',
  }: {
    readonly targetModules: ReadonlyArray<string> | null
    readonly rank: number
    readonly rankPattern?: Readonly<Record<string, number>> | null
    /** the name of the setting that `rank` is */
    readonly rankSetting?: string
  },
): ReadonlyArray<AdaptedMatrix> => {
  const targeted = targetedMatrices(outline, targetModules)
  const patterns = Object.entries(rankPattern ?? {})
  const unknown = patterns.find(([pattern]) => !targeted.some(({ name }) => isTarget(name, pattern)))
  if (unknown !== undefined) throw new SettingsError('rankPattern', 'names of adapted matrices', JSON.stringify(unknown[0]))
  const patternOf = (name: string): number | undefined => patterns.find(([pattern]) => isTarget(name, pattern))?.[1]
  const adapted = targeted.map((matrix) => ({ ...matrix, r: patternOf(matrix.name) ?? rank })).filter(({ r }) => r > 0)
  const tooHigh = adapted.find(({ d, k, r }) => r > Math.min(d, k))
  if (tooHigh !== undefined) {
    const { name, d, k, r } = tooHigh
    const setting = patternOf(name) === undefined ? rankSetting : 'rankPattern'
    throw new SettingsError(setting, `a rank of at most ${Math.min(d, k)}, the smaller side of ${name} [${d}, ${k}]`, String(r))
  }
  if (adapted.length === 0) throw new SettingsError('rankPattern', 'a rank above 0', 'none')
  return adapted
}

/** Equation (5)'s W + scale · B A, every sum in float64. W: [d, k] row-major, A: [r, k], B: [d, r] → [d, k] */
export const mergeProduct = (
  W: ArrayLike<number>,
  A: ArrayLike<number>,
  B: ArrayLike<number>,
  { d, k, r }: Pick<AdaptedMatrix, 'd' | 'k' | 'r'>,
  scale: number,
): Float64Array => {
  if (W.length !== d * k) throw new Error(`merge: expected W of ${d} × ${k}, got ${W.length} numbers`)
  const merged = new Float64Array(d * k)
  for (let row = 0; row < d; row++) {
    const of = merged.subarray(row * k, (row + 1) * k)
    for (let component = 0; component < r; component++) {
      const b = B[row * r + component] ?? 0
      for (let column = 0; column < k; column++) of[column] = (of[column] ?? 0) + b * (A[component * k + column] ?? 0)
    }
    for (let column = 0; column < k; column++) of[column] = (W[row * k + column] ?? 0) + scale * (of[column] ?? 0)
  }
  return merged
}

/** The adapted matrix whose weight a base tensor is. */
export const matrixOfWeight = (matrices: ReadonlyArray<AdaptedMatrix>, tensor: string): AdaptedMatrix | undefined =>
  matrices.find(({ name }) => `${name}.weight` === tensor)
