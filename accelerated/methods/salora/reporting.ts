/** The report of a SaLoRA run: densities, λ, norms of equation (9), ranks, and warnings. */
import { factorCount } from '../lowRank.js'
import type { MethodReporting } from '../method.js'
import { enoughSteps } from './gateControl.js'
import { gateSchedule, stepsForWindow } from './gateSchedule.js'
import { probabilityNonZeroOn } from './hardConcrete.js'
import { numberBackend } from './numericBackend.js'
import { gateCount, type SaloraPhase } from './phase.js'
import { samplesGates } from './phases.js'
import type { SaloraSettings } from './settings.js'

export const saloraReporting: MethodReporting<SaloraSettings, SaloraPhase> = {
  columns: [{ name: 'density', label: 'density', digits: 3 }], // λ and the whole loss say little to people: they are in metrics.jsonl
  measures: ({ stage, matrices }, report, parameter) => {
    const norms = report('orthogonality')
    const normsOfA = norms === undefined ? null : Array.from(norms).slice(0, matrices.length)
    const normsOfB = norms === undefined ? null : Array.from(norms).slice(matrices.length)
    const [ofA, ofB] = [sumOf(normsOfA), sumOf(normsOfB)]
    return {
      columns: {
        orthogonality: ofA === null || ofB === null ? null : ofA + ofB,
        orthogonalityA: ofA,
        orthogonalityB: ofB,
        density: report('density')?.[0] ?? null,
        lambda: stage === 'gated' ? (parameter('lambda')[0] ?? null) : null,
      },
      byMatrix:
        norms === undefined
          ? {}
          : { orthogonality: Object.fromEntries(matrices.map(({ name }, i) => [name, (normsOfA?.[i] ?? NaN) + (normsOfB?.[i] ?? NaN)])) },
    }
  },
  expectedRanks: ({ stage, matrices }, settings, parameter) => {
    if (stage !== 'gated') return null
    const probabilities = probabilityNonZeroOn(numberBackend)(settings)(Array.from(parameter('logTheta')))
    let first = 0
    return Object.fromEntries(
      matrices.map(({ name, r }) => {
        first += r
        return [name, probabilities.slice(first - r, first).reduce((sum, probability) => sum + probability, 0)]
      }),
    )
  },
  stage: ({ stage }) => ({ before: 'training', gated: 'gated', after: 'retained' })[stage],
  announce: ({ stage }, settings, { steps }) => {
    if (stage === 'after') return null
    const { start, end } = gateSchedule(settings, steps)
    if (!samplesGates(settings)) return `the largest triplets are retained after step ${end}`
    return `gates are sampled in steps ${start + 1} to ${end}`
  },
  warnings: (settings, { steps }) => {
    const { start, end } = gateSchedule(settings, steps)
    const gated = end - start
    if (gated >= enoughSteps || !samplesGates(settings) || settings.control !== 'ramp') return []
    return [
      `gates are sampled in only ${gated} ${gated === 1 ? 'step' : 'steps'}: below ${enoughSteps} steps, the density may miss its target and the choice of ranks may be poor. A run of ${stepsForWindow(settings, enoughSteps)} steps is long enough`,
    ]
  },
  parameterCounts: (phase, settings) => ({
    adapter: factorCount(phase.matrices),
    ...(samplesGates(settings) ? { gates: gateCount(phase) } : {}),
  }),
  result: ({ matrices, retained }, settings) => ({
    targetDensity: settings.density,
    expectedDensity: retained?.expectedDensity ?? null,
    retainedDensity: retained?.retainedDensity ?? null,
    retainedParameters: factorCount(matrices),
    lambda: retained?.lambda ?? null,
    ranks: retained?.ranks ?? Object.fromEntries(matrices.map(({ name, r }) => [name, r])),
  }),
}

const sumOf = (numbers: ReadonlyArray<number> | null): number | null => numbers?.reduce((a, b) => a + b, 0) ?? null
