/** AdaLoRA (Zhang et al., 2023), as PEFT has it: h = W x + b + α / (r + 1e-5) · B (E ⊙ A x), whose E of low importance are cut until a budget is met. */
import { weightGroupsOf } from '../../settings/commonSettings.js'
import { input, mul, reduceMean, reshape } from '../../graph/operators.js'
import type { Trainable } from '../../parameters/layout.js'
import { tensorOf } from '../../parameters/vectors.js'
import { normalInitial, zeroInitial } from '../../parameters/initialization.js'
import { adaptedMatrices, lowRankWrap, matrixOfWeight, mergeProduct } from '../lowRank.js'
import type { Method } from '../method.js'
import { allocating, holding, strengths } from './allocation.js'
import { distancesFromOrthonormal } from './orthogonality.js'
import { adaloraPhase, validatePhase, ranksOf, tripletsOf, type AdaloraPhase } from './phase.js'
import { allocationAt, checkSchedule, scheduleOf } from './schedule.js'
import { adaloraSettings, type AdaloraSettings } from './settings.js'

export const adalora: Method<AdaloraSettings, AdaloraPhase> = {
  name: 'adalora',
  summary: 'AdaLoRA: low-rank adapters whose least important triplets are cut until a mean rank is left',
  settings: adaloraSettings,
  phase: adaloraPhase,

  check: checkSchedule,

  start: (outline, { targetModules, initR }) => ({
    matrices: [...adaptedMatrices(outline, { targetModules, rank: initR, rankSetting: 'initR' })],
    steps: null,
    fixed: null,
  }),

  tensors: ({ matrices }, settings) => {
    const { decayed } = weightGroupsOf(settings)
    return present(matrices).flatMap(
      ({ name, d, k, r }): ReadonlyArray<Trainable> => [
        { name: `${name}.A`, shape: [r, k], group: decayed, initial: normalInitial(0.02) },
        { name: `${name}.B`, shape: [d, r], group: decayed, initial: normalInitial(0.02) },
        { name: `${name}.E`, shape: [r, 1], group: { ...decayed, name: strengths }, initial: zeroInitial },
      ],
    )
  },

  wrap: ({ matrices }, settings, parameter) =>
    lowRankWrap(
      new Map(
        present(matrices).map(({ name, r }) => {
          const [A, B, g] = [parameter(`${name}.A`), parameter(`${name}.B`), reshape(parameter(`${name}.E`), [r])]
          return [name, { A, B, g, scale: adaloraScale(settings) }]
        }),
      ),
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

  memory: ({ matrices, fixed }) => (fixed === null ? allocating(matrices) : holding(fixed.kept)),

  controls: ({ matrices, fixed }, settings, { step, steps }) => {
    if (fixed !== null) return {}
    const { budget, cut, learns } = allocationAt(settings, scheduleOf(settings, steps), matrices.length, step)
    const [importanceBeta1, importanceBeta2] = learns ? [settings.importanceBeta1, settings.importanceBeta2] : [1, 1]
    return { budget, cut, importanceBeta1, importanceBeta2 }
  },

  advance: (phase, settings, { step, steps }, { vectors, layoutOf }) => {
    if (phase.fixed !== null || step <= scheduleOf(settings, steps).last)
      return phase.steps === null ? { phase: { ...phase, steps }, vectors, event: null } : null
    const layout = layoutOf(phase)
    const kept = phase.matrices.map(({ name }) => Array.from(tensorOf(layout, vectors.parameters, `${name}.E`), (e) => e !== 0))
    const next: AdaloraPhase = { ...phase, steps, fixed: { step, kept } }
    return { phase: next, vectors: { ...vectors, memory: {} }, event: told(next) }
  },

  eligible: ({ fixed }) => fixed !== null,

  unfinished: ({ fixed }, settings, { steps }) => {
    const { last } = scheduleOf(settings, steps)
    if (fixed?.step === last + 1) return null
    return `expected ranks fixed after step ${last + 1}, got ${fixed === null ? 'none' : `those of step ${fixed.step}`}`
  },

  validatePhase,

  columns: [{ name: 'budget', label: 'triplets', digits: 0 }],

  measures: ({ matrices, fixed }, report) => {
    const distances = report('orthogonality')
    const each = matrices.map(({ name }, i) => [name, distances?.[i] ?? NaN] as const)
    return {
      columns: {
        orthogonality: each.reduce((sum, [, distance]) => sum + distance, 0) / matrices.length,
        budget: report('budget')?.[0] ?? (fixed === null ? null : tripletsOf({ matrices, fixed })),
      },
      byMatrix: { orthogonality: Object.fromEntries(each) },
    }
  },

  stage: ({ fixed }) => (fixed === null ? 'training' : 'fixed'),

  announce: ({ fixed }, settings, { steps }) => {
    if (fixed !== null) return null
    const { warmup, last } = scheduleOf(settings, steps)
    return `triplets are cut in steps ${warmup + 2} to ${last + 1}, from rank ${settings.initR} to ${settings.targetR} on average`
  },

  counts: ({ matrices }) => ({ adapter: matrices.reduce((sum, { d, k, r }) => sum + r * (d + k + 1), 0) }),

  result: (phase, { targetR }) => {
    const ranks = ranksOf(phase)
    return {
      budget: targetR * phase.matrices.length,
      ranksFixedAt: phase.fixed?.step ?? null,
      retainedParameters: phase.matrices.reduce((sum, { name, d, k }) => sum + (ranks[name] ?? 0) * (d + k + 1), 0),
      ranks,
    }
  },

  format: 'peftAdalora',

  merge: ({ matrices }, settings, name, tensor, trained) => {
    const matrix = matrixOfWeight(present(matrices), name)
    if (matrix === undefined) return null
    const [A, B, E] = [trained(`${matrix.name}.A`), trained(`${matrix.name}.B`), trained(`${matrix.name}.E`)]
    return mergeProduct(tensor(), A, scaledColumns(B, E), matrix, adaloraScale(settings))
  },
}

/** An adapter from a folder may have left nothing of a matrix. */
const present = (matrices: AdaloraPhase['matrices']): AdaloraPhase['matrices'] => matrices.filter(({ r }) => r > 0)

/** PEFT's, to the letter: of the rank at the start, whatever is left of it. */
export const adaloraScale = ({ loraAlpha, initR }: Pick<AdaloraSettings, 'loraAlpha' | 'initR'>): number => loraAlpha / (initR + 1e-5)

/** B diag(E). B: [d, r], E: [r] → [d, r] */
export const scaledColumns = (B: ArrayLike<number>, E: ArrayLike<number>): Float64Array =>
  Float64Array.from(B, (b, i) => b * (E[i % E.length] ?? NaN))

const told = (phase: AdaloraPhase) => {
  const [triplets, all] = [tripletsOf(phase), tripletsOf({ ...phase, fixed: null })]
  return { name: 'fixed', line: `${triplets} of ${all} triplets stay, for the rest of the run`, facts: { triplets, ranks: ranksOf(phase) } }
}
