/** What a SaLoRA run carries from phase to phase, and what becomes of its numbers where the gate window begins and ends. */
import { z } from 'zod'
import type { ParameterEntry, ParameterLayout } from '../../parameters/layout.js'
import type { Vector } from '../../parameters/vectors.js'
import { flatten, tensorOf } from '../../parameters/vectors.js'
import { matricesSchema, type AdaptedMatrix } from '../lowRank.js'
import type { LayoutContext } from '../method.js'
import type { Vectors } from '../../parameters/vectors.js'
import { numberBackend } from './numericBackend.js'
import type { HardConcrete } from './hardConcrete.js'
import { densityOn, gateCosts } from './lagrangian.js'
import { permutation } from '../../parameters/random.js'
import type { GateAfter, RetentionRule } from './retention.js'
import { retain, retainAll } from './retention.js'

const count = z.int().min(0)

/** before: plain LoRA · gated: gates are sampled, T_start ≤ t < T_end · after: the retained triplets, plain LoRA again */
export const saloraPhase = z.strictObject({
  stage: z.enum(['before', 'gated', 'after']),
  matrices: matricesSchema,
  /** steps done when gates were first sampled, and C(Θ) then */
  opened: z.strictObject({ step: count, density: z.number() }).nullable(),
  /** what T_end left, and the steps done then */
  retained: z
    .strictObject({
      step: count,
      /** null where gates were never sampled */
      expectedDensity: z.number().nullable(),
      retainedDensity: z.number(),
      ranks: z.record(z.string(), count),
      lambda: z.number().nullable(),
    })
    .nullable(),
  /** by matrix, constant gates of the triplets that stayed, where they are kept; null where they are 1 */
  gates: z.array(z.array(z.number())).nullable(),
  /** by matrix, ‖Bⱼ‖² as T_end left them; null before */
  squaredNorms: z.array(z.array(z.number())).nullable(),
})

export type SaloraPhase = z.infer<typeof saloraPhase>

const countGates = (matrices: ReadonlyArray<AdaptedMatrix>): number => matrices.reduce((sum, { r }) => sum + r, 0)

export const gateCount = ({ matrices }: Pick<SaloraPhase, 'matrices'>): number => countGates(matrices)

/** C(Θ) of these numbers. */
const densityOf = (settings: HardConcrete, matrices: ReadonlyArray<AdaptedMatrix>, logTheta: ArrayLike<number>): number =>
  densityOn(numberBackend)(settings, gateCosts(matrices))(Array.from(logTheta))[0] ?? NaN

type Moved = { readonly phase: SaloraPhase; readonly vectors: Vectors }

/** T_start: log θ and λ join, at 0, with moments of 0. */
export const openGates = (
  phase: SaloraPhase,
  settings: HardConcrete,
  step: number,
  { vectors, layoutOf, dtype }: LayoutContext<SaloraPhase>,
): Moved => {
  const start = new Float64Array(gateCount(phase))
  const opened: SaloraPhase = { ...phase, stage: 'gated', opened: { step, density: densityOf(settings, phase.matrices, start) } }
  const [from, to] = [layoutOf(phase), layoutOf(opened)]
  const known = new Set(from.entries.map(({ name }) => name))
  return {
    phase: opened,
    vectors: mapVectors(vectors, (vector) =>
      flatten(to, ({ name }) => (known.has(name) ? tensorOf(from, vector, name) : undefined), dtype),
    ),
  }
}

export type RetentionSettings = HardConcrete & {
  readonly density: number
  readonly retain: RetentionRule
  readonly gateAfter: GateAfter
  readonly seed: number
}

/**
 * T_end: the retained triplets become plain low-rank adapters; the others are gone. Where ĝ goes into B's column the gradient of the new
 * column is the old one's over the gate that it came through, whose size in the window was √E[g²]: B's moments are divided by it and by
 * its square, or Adam's first steps would be as much too long.
 */
export const closeGates = (
  phase: SaloraPhase,
  settings: RetentionSettings,
  step: number,
  { vectors, layoutOf, dtype }: LayoutContext<SaloraPhase>,
): Moved => {
  const from = layoutOf(phase)
  const { matrices } = phase
  const sampled = phase.stage === 'gated'
  const logTheta = sampled ? tensorOf(from, vectors.parameters, 'logTheta') : new Float64Array(gateCount(phase))
  const triplets = {
    logTheta,
    magnitudes: matrices.flatMap((matrix) => magnitudesOf(from, vectors.parameters, matrix)),
    permutation: permutation(settings.seed, 'retention', step, gateCount(phase)),
  }
  const { kept, gates, sizes, retainedDensity } = retain(settings, matrices, triplets, settings.density, settings.retain)
  const stays = <T>(byMatrix: ReadonlyArray<ReadonlyArray<T>>): T[][] => byMatrix.filter((own) => own.length > 0).map((own) => [...own])
  const fold = settings.gateAfter === 'soft'
  const factor =
    (vector: 'parameters' | 'firstMoment' | 'secondMoment') =>
    (i: number, at: number): number => {
      if (!fold) return 1
      const size = sizes[i]?.[at] ?? NaN
      return { parameters: gates[i]?.[at] ?? NaN, firstMoment: 1 / size, secondMoment: 1 / size ** 2 }[vector]
    }
  const closed: SaloraPhase = {
    ...phase,
    stage: 'after',
    matrices: matrices.flatMap((matrix, i) => ((kept[i]?.length ?? 0) === 0 ? [] : [{ ...matrix, r: kept[i]?.length ?? 0 }])),
    retained: {
      step,
      expectedDensity: sampled ? densityOf(settings, matrices, logTheta) : null,
      retainedDensity,
      ranks: Object.fromEntries(matrices.map(({ name }, i) => [name, kept[i]?.length ?? 0])),
      lambda: sampled ? (tensorOf(from, vectors.parameters, 'lambda')[0] ?? 0) : null,
    },
    gates: settings.gateAfter === 'kept' ? stays(gates) : null,
  }
  const to = layoutOf(closed)
  const moved = (vector: Vector, name: 'parameters' | 'firstMoment' | 'secondMoment'): Vector =>
    flatten(to, keptPart(from, vector, matrices, kept, factor(name)), dtype)
  const parameters = moved(vectors.parameters, 'parameters')
  const next = {
    parameters,
    firstMoment: moved(vectors.firstMoment, 'firstMoment'),
    secondMoment: moved(vectors.secondMoment, 'secondMoment'),
    memory: {},
  }
  return { phase: { ...closed, squaredNorms: closed.matrices.map((matrix) => squaredNormsB(to, parameters, matrix)) }, vectors: next }
}

/** Σ of squares of each of B's columns. → [r] */
const squaredNormsB = (layout: ParameterLayout, vector: Vector, { name, r }: AdaptedMatrix): number[] => {
  const norms = new Array<number>(r).fill(0)
  tensorOf(layout, vector, `${name}.B`).forEach((x, i) => {
    norms[i % r] = (norms[i % r] ?? 0) + x * x
  })
  return norms
}

/** ‖Bⱼ‖ ‖Aⱼ‖ of each triplet. → [r] */
const magnitudesOf = (layout: ParameterLayout, vector: Vector, matrix: AdaptedMatrix): ReadonlyArray<number> => {
  const A = tensorOf(layout, vector, `${matrix.name}.A`)
  return squaredNormsB(layout, vector, matrix).map((squared, j) => {
    const row = Array.from(A.subarray(j * matrix.k, (j + 1) * matrix.k))
    return Math.sqrt(squared * row.reduce((sum, x) => sum + x * x, 0))
  })
}

/** Every column of B times a factor: by matrix and column. */
const scaleColumns = (
  phase: SaloraPhase,
  parameters: Vector,
  factorOf: (matrix: number, column: number) => number,
  { layoutOf, dtype }: Omit<LayoutContext<SaloraPhase>, 'vectors'>,
): Vector => {
  const layout = layoutOf(phase)
  const all = phase.matrices.map(({ r }) => Array.from({ length: r }, (_, j) => j))
  return flatten(layout, keptPart(layout, parameters, phase.matrices, all, factorOf), dtype)
}

/** The function without noise and without gates, as plain low-rank adapters at α / r: what gate there is, drawn, kept or early, goes into B's columns. */
export const withoutNoise = (
  phase: SaloraPhase,
  settings: HardConcrete,
  earlyGate: number,
  parameters: Vector,
  state: Omit<LayoutContext<SaloraPhase>, 'vectors'>,
): { readonly phase: SaloraPhase; readonly parameters: Vector } => {
  const open: SaloraPhase = { ...phase, stage: 'after', gates: null }
  if (phase.stage === 'before') {
    return { phase: open, parameters: earlyGate === 1 ? parameters : scaleColumns(open, parameters, () => earlyGate, state) }
  }
  if (phase.stage === 'after') {
    const { gates } = phase
    return { phase: open, parameters: gates === null ? parameters : scaleColumns(open, parameters, (i, j) => gates[i]?.[j] ?? NaN, state) }
  }
  const from = state.layoutOf(phase)
  const { kept, gates } = retainAll(settings, phase.matrices, tensorOf(from, parameters, 'logTheta'))
  const part = keptPart(from, parameters, phase.matrices, kept, (i, j) => gates[i]?.[j] ?? NaN)
  return { phase: open, parameters: flatten(state.layoutOf(open), part, state.dtype) }
}

const mapVectors = (vectors: Vectors, move: (vector: Vector) => Vector): Vectors => ({
  parameters: move(vectors.parameters),
  firstMoment: move(vectors.firstMoment),
  secondMoment: move(vectors.secondMoment),
  memory: {},
})

/** Kept rows of A and kept columns of B, these times their factors; everything else as it is. */
const keptPart =
  (
    from: ParameterLayout,
    vector: Vector,
    matrices: ReadonlyArray<AdaptedMatrix>,
    kept: ReadonlyArray<ReadonlyArray<number>>,
    factorOf: (matrix: number, column: number) => number,
  ) =>
  ({ name, size }: ParameterEntry): ArrayLike<number> => {
    const old = tensorOf(from, vector, name)
    const i = matrices.findIndex((matrix) => name === `${matrix.name}.A` || name === `${matrix.name}.B`)
    const matrix = matrices[i]
    if (matrix === undefined) return old
    const [own, part] = [kept[i] ?? [], new Float64Array(size)]
    own.forEach((j, to) => {
      if (name.endsWith('.A')) part.set(old.subarray(j * matrix.k, (j + 1) * matrix.k), to * matrix.k)
      else for (let row = 0; row < matrix.d; row++) part[row * own.length + to] = (old[row * matrix.r + j] ?? NaN) * factorOf(i, to)
    })
    return part
  }
