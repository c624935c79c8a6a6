/** What a run carries from step to step, and what becomes of it where the gate window begins and ends. */
import type { EncoderConfig } from '../models/encoderConfig.js'
import type { HardConcrete } from '../methods/salora/hardConcrete.js'
import type { ParameterEntry, ParameterLayout, Vector } from './parameterVector.js'
import { flatten, parameterLayout, tensorOf } from './parameterVector.js'
import type { GateAfter, Retention, RetentionRule } from '../methods/salora/retention.js'
import { densityOf, expectedGate, retain } from '../methods/salora/retention.js'
import type { AdaptedModule, Gating } from '../methods/salora/salora.js'
import { saloraTrainables } from '../methods/salora/salora.js'
import type { Settings } from '../settings.js'
import type { Scalar } from './trainingStep.js'

export type Vectors = { readonly parameters: Vector; readonly firstMoment: Vector; readonly secondMoment: Vector }

export type RunState = Vectors & {
  /** steps done */
  readonly step: number
  /** steps done with sampled gates */
  readonly gatedStep: number
  readonly gating: Gating
  /** matrices that still have an adapter, with its rank */
  readonly modules: ReadonlyArray<AdaptedModule>
  /** C(Θ) where the window began, for gateControl; null before */
  readonly initialDensity: number | null
  /** what T_end left; null before, and for a method without gates */
  readonly retained: {
    readonly expectedDensity: number
    readonly retainedDensity: number
    readonly ranks: Readonly<Record<string, number>>
    readonly lambda: number
  } | null
}

/** Factor of B A: α / r and, where warmupGate is 'expected', times ĝ(0) until gates are sampled. Pruning does not change it. */
export const scaleOf = (settings: Settings, { initialDensity }: Pick<RunState, 'initialDensity'>): number => {
  const { method, warmupGate, alpha, rank } = settings
  return (alpha / rank) * (method === 'salora' && warmupGate === 'expected' && initialDensity === null ? expectedGate(settings)(0) : 1)
}

export const layoutOf = (config: EncoderConfig, state: Pick<RunState, 'modules' | 'gating'>): ParameterLayout =>
  parameterLayout(saloraTrainables(config, state.modules, state.gating))

/** T_start: log θ and λ join, at `logTheta` and 0, with moments of 0. */
export const openGates = (config: EncoderConfig, state: RunState, settings: HardConcrete, logTheta: number, dtype: Scalar): RunState => {
  const [from, to] = [layoutOf(config, state), layoutOf(config, { ...state, gating: 'sampled' })]
  const gates = state.modules.reduce((sum, { r }) => sum + r, 0)
  const start = new Float64Array(gates).fill(logTheta)
  return {
    ...state,
    ...carry(state, (vector, isMoment) =>
      flatten(
        to,
        ({ name }) => (name === 'logTheta' ? (isMoment ? undefined : start) : name === 'lambda' ? undefined : tensorOf(from, vector, name)),
        dtype,
      ),
    ),
    gating: 'sampled',
    initialDensity: densityOf(settings, state.modules, start),
  }
}

export type RetentionSettings = HardConcrete & { readonly density: number; readonly retain: RetentionRule; readonly gateAfter: GateAfter }

/**
 * T_end: the retained triplets become plain low-rank adapters; the others are gone. Their moments stay as they are: a step of Adam does not
 * change when a column and its gradient's scale do, so ĝ in B's column needs no ĝ in its moments.
 */
export const closeGates = (config: EncoderConfig, state: RunState, settings: RetentionSettings, dtype: Scalar): RunState => {
  const from = layoutOf(config, state)
  const logTheta = tensorOf(from, state.parameters, 'logTheta')
  const retention = retain(settings, state.modules, logTheta, settings.density, settings.retain, settings.gateAfter)
  const modules = state.modules.flatMap((module, i) => {
    const r = retention.kept[i]?.length ?? 0
    return r === 0 ? [] : [{ ...module, r }]
  })
  const to = layoutOf(config, { modules, gating: 'open' })
  return {
    ...state,
    ...carry(state, (vector, isMoment) => flatten(to, keptPart(from, vector, state.modules, retention, !isMoment), dtype)),
    gating: 'open',
    modules,
    retained: {
      expectedDensity: densityOf(settings, state.modules, logTheta),
      retainedDensity: retention.retainedDensity,
      ranks: Object.fromEntries(state.modules.map(({ name }, i) => [name, retention.kept[i]?.length ?? 0])),
      lambda: tensorOf(from, state.parameters, 'lambda')[0] ?? 0,
    },
  }
}

/** The function as it is now without noise: parameters of the open layout, ĝ in B's columns while gates are sampled. Their scale is that of the phase. */
export const deterministicParameters = (config: EncoderConfig, state: RunState, settings: HardConcrete, dtype: Scalar): Vector => {
  if (state.gating === 'open') return state.parameters
  const from = layoutOf(config, state)
  const logTheta = tensorOf(from, state.parameters, 'logTheta')
  let first = 0
  const everything: Retention = {
    kept: state.modules.map(({ r }) => Array.from({ length: r }, (_, j) => j)),
    factors: state.modules.map(({ r }) => {
      first += r
      return Array.from({ length: r }, (_, j) => expectedGate(settings)(logTheta[first - r + j] ?? NaN))
    }),
    retainedDensity: 1,
  }
  return flatten(layoutOf(config, { ...state, gating: 'open' }), keptPart(from, state.parameters, state.modules, everything, true), dtype)
}

const carry = (state: RunState, move: (vector: Vector, isMoment: boolean) => Vector): Vectors => ({
  parameters: move(state.parameters, false),
  firstMoment: move(state.firstMoment, true),
  secondMoment: move(state.secondMoment, true),
})

/** Kept rows of A and kept columns of B, these times their factors where `fold`; everything else as it is. */
const keptPart =
  (from: ParameterLayout, vector: Vector, modules: ReadonlyArray<AdaptedModule>, { kept, factors }: Retention, fold: boolean) =>
  ({ name, size }: ParameterEntry): ArrayLike<number> => {
    const old = tensorOf(from, vector, name)
    const i = modules.findIndex((module) => name === `${module.name}.A` || name === `${module.name}.B`)
    const module = modules[i]
    if (module === undefined) return old
    const [own, part] = [kept[i] ?? [], new Float64Array(size)]
    own.forEach((j, to) => {
      if (name.endsWith('.A')) part.set(old.subarray(j * module.k, (j + 1) * module.k), to * module.k)
      else
        for (let row = 0; row < module.d; row++)
          part[row * own.length + to] = (old[row * module.r + j] ?? NaN) * (fold ? (factors[i]?.[to] ?? NaN) : 1)
    })
    return part
  }
