/** Low-rank adapters: the adapted matrices, their tensors, and the update as an expression, equation (5). */
import { z } from 'zod'
import { showShape, type Expression } from '../graph/expression.js'
import { add, gather, matMul, mul } from '../graph/operators.js'
import type { Matrix, ModelSpec } from '../models/architecture.js'
import { matrixOf } from '../models/wordTables.js'
import type { Wrap } from '../models/host.js'
import { SettingsError } from '../errors/expectedErrors.js'
import { buildWeightGroups, type CommonSettings } from '../settings/commonSettings.js'
import type { OptimizerGroup } from '../parameters/optimizerGroup.js'
import type { Trainable } from '../parameters/layout.js'
import { isTarget, targetedMatrices, type TargetSettings } from './targetedMatrices.js'
import { factorA, factorB, type AdapterInitialization } from '../parameters/initialization.js'

/** An adapted matrix and the rank of its adapter. Matrices of rank 0 are left out. */
export type AdaptedMatrix = Matrix & { readonly r: number }

/** Adapted matrices in a phase, as checkpoints hold them. */
export const matricesSchema = z
  .array(z.strictObject({ name: z.string().max(500), d: z.int().min(1), k: z.int().min(1), r: z.int().min(1) }))
  .max(100_000)

/** A [r, k], B [d, r], and, while gates are sampled, g [r]; scale = α / r. */
export type LowRankFactors = { readonly A: Expression; readonly B: Expression; readonly g: Expression | null; readonly scale: number }

/** h = Wx + scale · B (g ⊙ Ax), equation (5). wx: [tokens, d], x: [tokens, k] → [tokens, d]. Gates scale B's columns: d · r products instead of tokens · r. */
export const addLowRank = (wx: Expression, x: Expression, { A, B, g, scale }: LowRankFactors): Expression =>
  add(wx, matMul(matMul(x, A, { transposeB: true }), g === null ? B : mul(B, g), { transposeB: true, alpha: scale }))

/** Every linear map and table of words with factors gets their update. Each adapter has its own dropout: query, key and value drop different parts of one x. */
export const lowRankWrap =
  (factors: ReadonlyMap<string, LowRankFactors>, dropout: number): Wrap =>
  (host) => ({
    ...host,
    linear: (name, x) => {
      const wx = host.linear(name, x)
      const adapter = factors.get(name)
      return adapter === undefined ? wx : addLowRank(wx, host.dropout(`${name}.lora`, x, dropout), adapter)
    },
    wordRows: (table, ids) => {
      const rows = host.wordRows(table, ids)
      const adapter = factors.get(matrixOf(table))
      return adapter === undefined ? rows : add(rows, matMul(gather(adapter.B, ids), adapter.A, { alpha: adapter.scale }))
    },
    wordLogits: (table, x) => {
      const logits = host.wordLogits(table, x)
      const adapter = factors.get(matrixOf(table))
      return adapter === undefined ? logits : addLowRank(logits, host.dropout(`${matrixOf(table)}.lora`, x, dropout), adapter)
    },
  })

type FactorSettings = CommonSettings & {
  /** others are replaced by the method that has them */
  readonly initLoraWeights: AdapterInitialization | (string & {})
  readonly loraplusLrRatio: number
}

/** A random and B = 0, so that the adapted model starts as the base model. */
export const factorTensors = (matrices: readonly AdaptedMatrix[], settings: FactorSettings): readonly Trainable[] => {
  const ofA = buildWeightGroups(settings).decayed
  const ofB = scaleGroup(ofA, settings.loraplusLrRatio)
  return matrices.flatMap(({ name, d, k, r }): readonly Trainable[] => [
    { name: `${name}.A`, shape: [r, k], group: ofA, initial: factorA(settings.initLoraWeights === 'gaussian' ? 'gaussian' : 'kaiming') },
    { name: `${name}.B`, shape: [d, r], group: ofB, initial: factorB },
  ])
}

/** LoRA+ (Hayou et al., 2024): η_B = ratio · η_A. Decay is η · ω, so B's is larger too, as PyTorch has it. */
const scaleGroup = (ofA: OptimizerGroup, ratio: number): OptimizerGroup => (ratio === 1 ? ofA : { ...ofA, learningRateRatio: ratio })

/** Σ rᵢ (dᵢ + kᵢ) */
export const factorCount = (matrices: readonly AdaptedMatrix[]): number => matrices.reduce((sum, { d, k, r }) => sum + r * (d + k), 0)

/** The matrices to adapt with their initial ranks. @throws SettingsError for a name that no matrix has, or for a rank above a matrix's smaller side */
export const adaptedMatrices = (
  spec: ModelSpec,
  {
    rank,
    rankPattern = null,
    rankSetting = 'rank',
    ...targets
  }: TargetSettings & {
    readonly rank: number
    readonly rankPattern?: Readonly<Record<string, number>> | null
    /** the name of the setting that `rank` is */
    readonly rankSetting?: string
  },
): readonly AdaptedMatrix[] => {
  const targeted = targetedMatrices(spec, targets)
  const patterns = Object.entries(rankPattern ?? {})
  const unknown = patterns.find(([pattern]) => !targeted.some(({ name }) => isTarget(name, pattern)))
  if (unknown !== undefined) throw new SettingsError('rankPattern', 'names of adapted matrices', JSON.stringify(unknown[0]))
  const findPattern = (name: string): number | undefined => patterns.find(([pattern]) => isTarget(name, pattern))?.[1]
  const adapted = targeted.map((matrix) => ({ ...matrix, r: findPattern(matrix.name) ?? rank })).filter(({ r }) => r > 0)
  const tooHigh = adapted.find(({ d, k, r }) => r > Math.min(d, k))
  if (tooHigh !== undefined) {
    const { name, d, k, r } = tooHigh
    const setting = findPattern(name) === undefined ? rankSetting : 'rankPattern'
    throw new SettingsError(setting, `a rank of at most ${Math.min(d, k)}, the smaller side of ${name} ${showShape([d, k])}`, String(r))
  }
  if (adapted.length === 0) throw new SettingsError('rankPattern', 'a rank above 0', 'none')
  return adapted
}

/** W + scale · B A of equation (5), summed in float64. W: [d, k] row-major, A: [r, k], B: [d, r] → [d, k] */
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
    const sums = merged.subarray(row * k, (row + 1) * k)
    for (let component = 0; component < r; component++) {
      const b = B[row * r + component] ?? 0
      for (let column = 0; column < k; column++) sums[column] = (sums[column] ?? 0) + b * (A[component * k + column] ?? 0)
    }
    for (let column = 0; column < k; column++) sums[column] = (W[row * k + column] ?? 0) + scale * (sums[column] ?? 0)
  }
  return merged
}

/** The adapted matrix that has this weight. */
export const findMatrix = (matrices: readonly AdaptedMatrix[], tensor: string): AdaptedMatrix | undefined =>
  matrices.find(({ name }) => `${name}.weight` === tensor)
