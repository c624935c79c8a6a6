/** How a state's vectors move from phase to phase: gates join at T_start, pruned triplets leave at T_end, and inference folds gates into B. */
import type { ParameterEntry, ParameterLayout } from '../../parameters/layout.js'
import { permutation } from '../../parameters/random.js'
import { flatten, mapVectors, viewTensor, type Vector, type Vectors } from '../../parameters/vectors.js'
import type { AdaptedMatrix } from '../lowRank.js'
import type { LayoutContext } from '../method.js'
import type { ControlRule } from './gateControl.js'
import { type HardConcrete, numberBackend } from './hardConcrete.js'
import { densityOn, gateCosts } from './lagrangian.js'
import { gateCount, type SaloraPhase } from './phase.js'
import { retain, retainAll, type GateAfter, type Retention, type RetentionRule } from './retention.js'

type Context = LayoutContext<SaloraPhase>
type Moved = { readonly phase: SaloraPhase; readonly vectors: Vectors }

/** T_start: log θ and λ join at 0, or a constant λ at its value, with moments of 0. */
export const openGates = (
  phase: SaloraPhase,
  settings: HardConcrete & { readonly control: ControlRule },
  step: number,
  { vectors, buildLayout, dtype }: Context,
): Moved => {
  const logTheta = new Float64Array(gateCount(phase))
  const opened: SaloraPhase = { ...phase, stage: 'gated', opened: { step, density: computeDensity(settings, phase.matrices, logTheta) } }
  const [from, to] = [buildLayout(phase), buildLayout(opened)]
  const names = new Set(from.entries.map(({ name }) => name))
  const move = (vector: Vector, joining: Readonly<Record<string, readonly number[]>> = {}): Vector =>
    flatten(to, ({ name }) => (names.has(name) ? viewTensor(from, vector, name) : joining[name]), dtype)
  const constants = typeof settings.control === 'number' ? { lambda: [settings.control] } : {}
  const moved = mapVectors(vectors, (vector) => move(vector))
  return { phase: opened, vectors: { ...moved, parameters: move(vectors.parameters, constants) } }
}

type RetentionSettings = HardConcrete & {
  readonly density: number
  readonly retain: RetentionRule
  readonly gateAfter: GateAfter
  readonly seed: number
}

/** T_end: the retained triplets become plain low-rank adapters, the others are dropped. */
export const closeGates = (
  phase: SaloraPhase,
  settings: RetentionSettings,
  step: number,
  { vectors, buildLayout, dtype }: Context,
): Moved => {
  const from = buildLayout(phase)
  const retention = selectRetained(phase, settings, step, from, vectors.parameters)
  const closed = closedPhase(phase, settings, step, retention, from, vectors.parameters)
  const to = buildLayout(closed)
  const move = (vector: Vector, toFactor: ColumnFactor): Vector =>
    flatten(to, selectTriplets(from, vector, phase.matrices, retention.kept, toFactor), dtype)
  const factors = columnFactors(retention, settings.gateAfter)
  const parameters = move(vectors.parameters, factors.parameters)
  return {
    phase: { ...closed, squaredNorms: closed.matrices.map((matrix) => squaredNormsB(to, parameters, matrix)) },
    vectors: {
      parameters,
      firstMoment: move(vectors.firstMoment, factors.firstMoment),
      secondMoment: move(vectors.secondMoment, factors.secondMoment),
      memory: {},
    },
  }
}

/** The triplets that the rule retains. Where gates were never sampled, all log θ are 0. */
const selectRetained = (
  phase: SaloraPhase,
  settings: RetentionSettings,
  step: number,
  layout: ParameterLayout,
  parameters: Vector,
): Retention => {
  const triplets = {
    logTheta: phase.stage === 'gated' ? viewTensor(layout, parameters, 'logTheta') : new Float64Array(gateCount(phase)),
    magnitudes: phase.matrices.flatMap((matrix) => computeMagnitudes(layout, parameters, matrix)),
    permutation: permutation(settings.seed, 'retention', step, gateCount(phase)),
  }
  return retain(settings, phase.matrices, triplets, settings.density, settings.retain)
}

/** The phase after T_end, but for the norms of B's columns. */
const closedPhase = (
  phase: SaloraPhase,
  settings: RetentionSettings,
  step: number,
  { kept, gates, retainedDensity }: Retention,
  layout: ParameterLayout,
  parameters: Vector,
): SaloraPhase => {
  const { matrices } = phase
  const ranks = kept.map(({ length }) => length)
  const sampled = phase.stage === 'gated'
  return {
    ...phase,
    stage: 'after',
    matrices: matrices.map((matrix, i) => ({ ...matrix, r: ranks[i] ?? 0 })).filter(({ r }) => r > 0),
    retained: {
      step,
      expectedDensity: sampled ? computeDensity(settings, matrices, viewTensor(layout, parameters, 'logTheta')) : null,
      retainedDensity,
      ranks: Object.fromEntries(matrices.map(({ name }, i) => [name, ranks[i] ?? 0])),
      lambda: sampled ? (viewTensor(layout, parameters, 'lambda')[0] ?? 0) : null,
    },
    gates: settings.gateAfter === 'kept' ? gates.filter(({ length }) => length > 0).map((ofMatrix) => [...ofMatrix]) : null,
  }
}

/** What a kept column of B is multiplied by. @param column its number among the kept ones of its matrix */
type ColumnFactor = (matrix: number, column: number) => number

/**
 * Factors of B's columns at T_end. Where ĝ is folded into a column (soft), the gradient of the new column is that of the old one divided by its gate.
 * The gate's size in the window was √E[g²]. B's moments are divided by it and by its square; otherwise Adam's first steps would be too long by as much.
 */
const columnFactors = (
  { gates, sizes }: Retention,
  gateAfter: GateAfter,
): Readonly<Record<'parameters' | 'firstMoment' | 'secondMoment', ColumnFactor>> => {
  if (gateAfter !== 'soft') return { parameters: one, firstMoment: one, secondMoment: one }
  const getGateSize: ColumnFactor = (i, column) => sizes[i]?.[column] ?? NaN
  return {
    parameters: (i, column) => gates[i]?.[column] ?? NaN,
    firstMoment: (i, column) => 1 / getGateSize(i, column),
    secondMoment: (i, column) => 1 / getGateSize(i, column) ** 2,
  }
}

const one: ColumnFactor = () => 1

/** The model without noise and without gates, as plain low-rank adapters at α / r: B's columns take the gates in, sampled, kept or early. */
export const withoutNoise = (
  phase: SaloraPhase,
  settings: HardConcrete,
  earlyGate: number,
  parameters: Vector,
  { buildLayout, dtype }: Omit<Context, 'vectors'>,
): { readonly phase: SaloraPhase; readonly parameters: Vector } => {
  const plain: SaloraPhase = { ...phase, stage: 'after', gates: null }
  const [from, to] = [buildLayout(phase), buildLayout(plain)]
  const all = phase.matrices.map(({ r }) => Array.from({ length: r }, (_, j) => j))
  const fold = (toFactor: ColumnFactor): Vector => flatten(to, selectTriplets(from, parameters, phase.matrices, all, toFactor), dtype)
  const foldGates = (gates: readonly (readonly number[])[]): Vector => fold((i, j) => gates[i]?.[j] ?? NaN)
  switch (phase.stage) {
    case 'before':
      return { phase: plain, parameters: earlyGate === 1 ? parameters : fold(() => earlyGate) }
    case 'gated':
      return { phase: plain, parameters: foldGates(retainAll(settings, phase.matrices, viewTensor(from, parameters, 'logTheta')).gates) }
    case 'after':
      return { phase: plain, parameters: phase.gates === null ? parameters : foldGates(phase.gates) }
  }
}

/** C(Θ) of these numbers. */
const computeDensity = (settings: HardConcrete, matrices: readonly AdaptedMatrix[], logTheta: ArrayLike<number>): number =>
  densityOn(numberBackend)(settings, gateCosts(matrices))(Array.from(logTheta))[0] ?? NaN

/** ‖Bⱼ‖² of each column. → [r] */
const squaredNormsB = (layout: ParameterLayout, vector: Vector, { name, r }: AdaptedMatrix): number[] => {
  const norms = new Array<number>(r).fill(0)
  viewTensor(layout, vector, `${name}.B`).forEach((x, i) => {
    norms[i % r] = (norms[i % r] ?? 0) + x * x
  })
  return norms
}

/** ‖Bⱼ‖ ‖Aⱼ‖ of each triplet. → [r] */
const computeMagnitudes = (layout: ParameterLayout, vector: Vector, matrix: AdaptedMatrix): readonly number[] => {
  const A = viewTensor(layout, vector, `${matrix.name}.A`)
  return squaredNormsB(layout, vector, matrix).map((squared, j) => {
    const row = Array.from(A.subarray(j * matrix.k, (j + 1) * matrix.k))
    return Math.sqrt(squared * row.reduce((sum, x) => sum + x * x, 0))
  })
}

/** Kept rows of A, and kept columns of B times their factors. Other tensors stay as they are. */
const selectTriplets =
  (
    from: ParameterLayout,
    vector: Vector,
    matrices: readonly AdaptedMatrix[],
    kept: readonly (readonly number[])[],
    factorOf: ColumnFactor,
  ) =>
  ({ name, size }: ParameterEntry): ArrayLike<number> => {
    const values = viewTensor(from, vector, name)
    const i = matrices.findIndex((matrix) => name === `${matrix.name}.A` || name === `${matrix.name}.B`)
    const matrix = matrices[i]
    if (matrix === undefined) return values
    const [columns, part] = [kept[i] ?? [], new Float64Array(size)]
    columns.forEach((j, to) => {
      if (name.endsWith('.A')) part.set(values.subarray(j * matrix.k, (j + 1) * matrix.k), to * matrix.k)
      else for (let row = 0; row < matrix.d; row++) part[row * columns.length + to] = (values[row * matrix.r + j] ?? NaN) * factorOf(i, to)
    })
    return part
  }
