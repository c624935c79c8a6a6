/** AdaLoRA (Zhang et al., 2023), as PEFT has it: h = W x + b + α / (r + 1e-5) · B (E ⊙ A x). Unimportant E become 0 until a budget is met. */
import { buildWeightGroups } from '../../settings/commonSettings.js'
import {
  input,
  mul,
  reduceMean,
  reshape,
  clip,
  concat,
  constant,
  matMul,
  reduceSum,
  sqrt,
  square,
  sub,
  add,
  cast,
  less,
  maximum,
  neg,
} from '../../graph/operators.js'
import { type Trainable, splitBlock, type OptimizerExtension, type UpdatedBlock } from '../../parameters/layout.js'
import { viewTensor } from '../../parameters/vectors.js'
import { normalInitial, zeroInitial } from '../../parameters/initialization.js'
import type { OptimizerGroup } from '../../parameters/optimizerGroup.js'
import type { TensorSource } from '../../models/host.js'
import { adaptedMatrices, lowRankWrap, findMatrix, mergeProduct, type AdaptedMatrix, type LowRankFactors } from '../lowRank.js'
import type { LayoutContext, Method, TrainingProgress, Transition } from '../method.js'
import {
  adaloraPhase,
  validatePhase,
  listRanks,
  countTriplets,
  type AdaloraPhase,
  planAllocation,
  checkSchedule,
  planSchedule,
} from './phase.js'
import { adaloraSettings, type AdaloraSettings } from './settings.js'
import type { Expression, FloatType } from '../../graph/expression.js'

export const adalora: Method<AdaloraSettings, AdaloraPhase> = {
  name: 'adalora',
  summary: 'low-rank adapters whose least important triplets are pruned to an average rank (AdaLoRA)',
  settings: adaloraSettings,
  check: checkSchedule,
  train: {
    tensors: ({ matrices }, settings) =>
      remaining(matrices).flatMap((matrix) => tripletTensors(matrix, buildWeightGroups(settings).decayed)),
    wrap: ({ matrices }, settings, parameter) =>
      lowRankWrap(
        new Map(remaining(matrices).map((matrix) => [matrix.name, readFactors(matrix, settings, parameter)])),
        settings.loraDropout,
      ),
    penalty: ({ matrices, fixed }, { orthRegWeight }, parameter) => {
      const distances = distancesFromOrthonormal(matrices, parameter)
      return {
        value: mul(reduceMean(distances), orthRegWeight),
        report: {
          orthogonality: reduceMean(distances, [1]), // [matrices]
          ...(fixed === null ? { budget: input('budget', [], distances.dtype) } : {}),
        },
      }
    },
    optimizerExtension: ({ matrices, fixed }) => (fixed === null ? allocating(matrices) : holding(fixed.kept)),
    controls: ({ matrices, fixed }, settings, { step, steps }) => {
      if (fixed !== null) return {}
      const { budget, cut, learns } = planAllocation(settings, planSchedule(settings, steps), matrices.length, step)
      const [importanceBeta1, importanceBeta2] = learns ? [settings.importanceBeta1, settings.importanceBeta2] : [1, 1]
      return { budget, cut, importanceBeta1, importanceBeta2 }
    },
  },
  phases: {
    schema: adaloraPhase,
    start: (spec, settings) => ({
      matrices: [...adaptedMatrices(spec, { ...settings, rank: settings.initR, rankSetting: 'initR' })],
      steps: null,
      fixed: null,
    }),
    advance: (phase, settings, { step, steps }, context) => {
      if (phase.fixed === null && step > planSchedule(settings, steps).last) return fixRanks(phase, { step, steps }, context)
      return phase.steps === null ? { phase: { ...phase, steps }, vectors: context.vectors, event: null } : null
    },
    isEligible: ({ fixed }) => fixed !== null,
    unfinished: ({ fixed }, settings, { steps }) => {
      const { last } = planSchedule(settings, steps)
      if (fixed?.step === last + 1) return null
      return `expected ranks fixed after step ${last + 1}, got ${fixed === null ? 'none' : `those of step ${fixed.step}`}`
    },
    validate: validatePhase,
  },
  reporting: {
    columns: [{ name: 'budget', label: 'triplets', digits: 0 }],
    measures: ({ matrices, fixed }, report) => {
      const distances = report('orthogonality')
      const byMatrix = matrices.map(({ name }, i) => [name, distances?.[i] ?? NaN] as const)
      return {
        columns: {
          orthogonality: byMatrix.reduce((sum, [, distance]) => sum + distance, 0) / matrices.length,
          budget: report('budget')?.[0] ?? (fixed === null ? null : countTriplets({ matrices, fixed })),
        },
        byMatrix: { orthogonality: Object.fromEntries(byMatrix) },
      }
    },
    stage: ({ fixed }) => (fixed === null ? 'training' : 'fixed'),
    announce: ({ fixed }, settings, { steps }) => {
      if (fixed !== null) return null
      const { warmup, last } = planSchedule(settings, steps)
      return `triplets are pruned in steps ${warmup + 2} to ${last + 1}, from rank ${settings.initR} to ${settings.targetR} on average`
    },
    parameterCounts: ({ matrices }) => ({ adapter: matrices.reduce((sum, { d, k, r }) => sum + r * (d + k + 1), 0) }),
    result: (phase, { targetR }) => {
      const ranks = listRanks(phase)
      return {
        budget: targetR * phase.matrices.length,
        ranksFixedAt: phase.fixed?.step ?? null,
        retainedParameters: phase.matrices.reduce((sum, { name, d, k }) => sum + (ranks[name] ?? 0) * (d + k + 1), 0),
        ranks,
      }
    },
  },
  export: {
    format: 'peftAdalora',
    merge: ({ matrices }, settings, name, tensor, trained) => {
      const matrix = findMatrix(remaining(matrices), name)
      if (matrix === undefined) return null
      const [A, B, E] = [trained(`${matrix.name}.A`), trained(`${matrix.name}.B`), trained(`${matrix.name}.E`)]
      return mergeProduct(tensor(), A, scaledColumns(B, E), matrix, adaloraScale(settings))
    },
  },
}

/** The matrices that have a triplet: in an adapter from a folder, some may have none. */
const remaining = (matrices: AdaloraPhase['matrices']): AdaloraPhase['matrices'] => matrices.filter(({ r }) => r > 0)

const tripletTensors = ({ name, d, k, r }: AdaptedMatrix, group: OptimizerGroup): readonly Trainable[] => [
  { name: `${name}.A`, shape: [r, k], group, initial: normalInitial(0.02) },
  { name: `${name}.B`, shape: [d, r], group, initial: normalInitial(0.02) },
  { name: `${name}.E`, shape: [r, 1], group: { ...group, name: strengths }, initial: zeroInitial },
]

const readFactors = ({ name, r }: AdaptedMatrix, settings: AdaloraSettings, parameter: TensorSource): LowRankFactors => ({
  A: parameter(`${name}.A`),
  B: parameter(`${name}.B`),
  g: reshape(parameter(`${name}.E`), [r]),
  scale: adaloraScale(settings),
})

/** After the last cut: triplets whose E is 0 stay pruned. */
const fixRanks = (
  phase: AdaloraPhase,
  { step, steps }: TrainingProgress,
  { vectors, buildLayout }: LayoutContext<AdaloraPhase>,
): Transition<AdaloraPhase> => {
  const layout = buildLayout(phase)
  const kept = phase.matrices.map(({ name }) => Array.from(viewTensor(layout, vectors.parameters, `${name}.E`), (e) => e !== 0))
  const next: AdaloraPhase = { ...phase, steps, fixed: { step, kept } }
  const [triplets, all] = [countTriplets(next), countTriplets({ ...next, fixed: null })]
  return {
    phase: next,
    vectors: { ...vectors, memory: {} },
    event: {
      name: 'fixed',
      line: `${triplets} of ${all} triplets remain for the rest of the run`,
      facts: { triplets, ranks: listRanks(next) },
    },
  }
}

/** PEFT's scale: alpha is divided by the initial rank, not by the remaining one. */
export const adaloraScale = ({ loraAlpha, initR }: Pick<AdaloraSettings, 'loraAlpha' | 'initR'>): number => loraAlpha / (initR + 1e-5)

/** B diag(E). B: [d, r], E: [r] → [d, r] */
export const scaledColumns = (B: ArrayLike<number>, E: ArrayLike<number>): Float64Array =>
  Float64Array.from(B, (b, i) => b * (E[i % E.length] ?? NaN))

// AdaLoRA's regularizer in a graph: ‖AAᵀ − I‖ and ‖BᵀB − I‖ (Zhang et al., 2023, section 3.1), not squared, as in PEFT.
/** A squared norm below it counts as 0. The norm has no derivative there; as in PyTorch it is 0 instead of 0/0. */
const smallest = 1e-30

/** ‖A Aᵀ − I‖_F and ‖Bᵀ B − I‖_F of matrices of one rank → [matrices, 2] */
export const distancesFromOrthonormal = (matrices: readonly AdaptedMatrix[], parameter: TensorSource): Expression => {
  const grams = matrices.flatMap(({ name }) => [
    matMul(parameter(`${name}.A`), parameter(`${name}.A`), { transposeB: true }),
    matMul(parameter(`${name}.B`), parameter(`${name}.B`), { transposeA: true }),
  ])
  const r = matrices[0]?.r ?? 0
  const entries = r * r
  const identity = constant(
    Array.from({ length: entries }, (_, i) => Number(i % (r + 1) === 0)),
    [entries],
    (grams[0] as Expression).dtype,
  )
  const all = concat(
    grams.map((gram) => reshape(gram, [1, entries])),
    0,
  )
  return reshape(sqrt(clip(reduceSum(square(sub(all, identity)), [1]), smallest, Infinity)), [matrices.length, 2])
}

// AdaLoRA's allocation in a graph: averages of importance, a score for each triplet, pruning of the lowest. Zhang et al. (2023), section 3.2.
/** The optimizer group of all E, in one block: a number for each triplet, in the order of the matrices. */
const strengths = 'strengths'

/**
 * While ranks are allocated. Feeds: `importanceBeta1` and `importanceBeta2`, both 1 to keep the averages unchanged, and `cut`, the number of
 * triplets to prune. Their E become 0. Unless it is the last cut, the optimizer may move them away from 0 again.
 */
const allocating = (matrices: readonly AdaptedMatrix[]): OptimizerExtension => ({
  names: ['importance', 'uncertainty'],
  afterUpdate: (blocks, dtype) => {
    const names = new Set(matrices.flatMap(({ name }) => [`${name}.A`, `${name}.B`, `${name}.E`]))
    const averaged = blocks.map((updated) =>
      updated.block.entries.some(({ name }) => names.has(name)) ? averages(updated, dtype) : updated,
    )
    const kept = aboveLowest(tripletScores(matrices, averaged), input('cut', [], dtype))
    return averaged.map((updated) => masked(updated, kept))
  },
})

/** Once ranks are fixed: pruned triplets stay 0. */
const holding = (kept: readonly (readonly boolean[])[]): OptimizerExtension => ({
  names: [],
  afterUpdate: (blocks, dtype) => {
    const numbers = kept.flat().map(Number)
    return blocks.map((updated) => masked(updated, constant(numbers, [numbers.length], dtype)))
  },
})

/** kept: 1 or 0 for each triplet, [triplets] */
const masked = (updated: UpdatedBlock, kept: Expression): UpdatedBlock =>
  updated.block.group.name === strengths ? { ...updated, parameters: mul(updated.parameters, kept) } : updated

/** I = |p ∂L/∂p| of the updated p; Ī ← β₁Ī + (1 − β₁)I and Ū ← β₂Ū + (1 − β₂)|I − Ī| with the new Ī. All vectors: [block.size] */
const averages = (updated: UpdatedBlock, dtype: FloatType): UpdatedBlock => {
  const average = (before: Expression | undefined, now: Expression, beta: Expression): Expression =>
    add(mul(before as Expression, beta), mul(now, sub(1, beta)))
  const { importance: oldI, uncertainty: oldU } = updated.memory
  const now = absolute(mul(updated.parameters, updated.gradient))
  const importance = average(oldI, now, input('importanceBeta1', [], dtype))
  const uncertainty = average(oldU, absolute(sub(now, importance)), input('importanceBeta2', [], dtype))
  return { ...updated, memory: { importance, uncertainty } }
}

const absolute = (x: Expression): Expression => maximum(x, neg(x))

/** S_j = s(E_j) + mean over k of s(A_jk) + mean over i of s(B_ij) with s = Ī Ū: by matrix, [r] each */
const tripletScores = (matrices: readonly AdaptedMatrix[], blocks: readonly UpdatedBlock[]): readonly Expression[] => {
  const scores = new Map(
    blocks.flatMap(({ block, memory: { importance, uncertainty } }) =>
      splitBlock(block, mul(importance as Expression, uncertainty as Expression)),
    ),
  )
  const findScores = (name: string): Expression => scores.get(name) as Expression
  return matrices.map(({ name, r }) =>
    add(reshape(findScores(`${name}.E`), [r]), add(reduceMean(findScores(`${name}.A`), [1]), reduceMean(findScores(`${name}.B`), [0]))),
  )
}

/**
 * 1 for a triplet if at least `cut` triplets have a lower score, else 0. This is PEFT's "above the cut-th lowest": of equal scores at the
 * threshold, it prunes all. Scores are compared matrix by matrix: comparing all pairs at once takes the square of all triplets. → [triplets]
 */
const aboveLowest = (scores: readonly Expression[], cut: Expression): Expression => {
  const all = concat(scores, 0)
  const lower = scores.map((ofMatrix) => reduceSum(cast(less(all, reshape(ofMatrix, [...ofMatrix.shape, 1])), all.dtype), [1]))
  return sub(1, cast(less(concat(lower, 0), cut), all.dtype))
}
