/** SaLoRA: low-rank adapters whose triplets carry gates; the task's loss, equation (9)'s orthogonality and equation (12)'s constraint. */
import { SettingsError } from '../../errors/expectedErrors.js'
import { option, words } from '../../errors/words.js'
import { findMatrix, mergeProduct, factorCount } from '../lowRank.js'
import type { Method, MethodReporting } from '../method.js'
import { gateSchedule, stepsForWindow, adamSteps, enoughSteps } from './gateControl.js'
import { type SaloraPhase, gateCount } from './phase.js'
import { saloraPhases, samplesGates } from './phases.js'
import { saloraSettings, type SaloraSettings } from './settings.js'
import { saloraTraining } from './training.js'
import { probabilityNonZeroOn, numberBackend } from './hardConcrete.js'

/** The report of a SaLoRA run: densities, λ, norms of equation (9), ranks, and warnings. */
const saloraReporting: MethodReporting<SaloraSettings, SaloraPhase> = {
  columns: [{ name: 'density', label: 'density', digits: 3 }], // λ and the whole loss say little to people: they are in metrics.jsonl
  measures: ({ stage, matrices }, report, parameter) => {
    const norms = report('orthogonality')
    const normsOfA = norms === undefined ? null : Array.from(norms).slice(0, matrices.length)
    const normsOfB = norms === undefined ? null : Array.from(norms).slice(matrices.length)
    const [ofA, ofB] = [sumOrNull(normsOfA), sumOrNull(normsOfB)]
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
    if (!samplesGates(settings)) return []
    if (settings.control === 'adam') return adamWarnings(settings, gated)
    if (gated >= enoughSteps || settings.control !== 'ramp') return []
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

/** A constant rate covers a distance in its own time, whatever the length of the window. */
const adamWarnings = (settings: SaloraSettings, gated: number): readonly string[] => {
  const [initialDensity = NaN] = probabilityNonZeroOn(numberBackend)(settings)([0])
  const { fewest, usual } = adamSteps({ ...settings, initialDensity, targetDensity: settings.density })
  if (gated >= usual) return []
  return [
    `gates are sampled in only ${gated} ${gated === 1 ? 'step' : 'steps'}: at a constant rate of ${settings.controlLearningRate}, the density needs at least ${fewest} to come from ${initialDensity.toFixed(3)} to ${settings.density}, and about ${usual} against a task's gradient, as in the paper. A run of ${stepsForWindow(settings, usual)} steps is long enough; with control 'ramp', one of ${stepsForWindow(settings, enoughSteps)} is`,
  ]
}

const sumOrNull = (numbers: readonly number[] | null): number | null => numbers?.reduce((a, b) => a + b, 0) ?? null

export const salora: Method<SaloraSettings, SaloraPhase> = {
  name: 'salora',
  summary: 'structure-aware low-rank adaptation: finds the rank of each matrix within an exact budget',
  settings: saloraSettings,
  // The paper: appendix B's window, equation (12)'s sum, §4.1's constant rate and optimizer, and section 3.5's ĝ > 0, whose triplets stay as they are.
  presets: {
    paper: {
      head: 'transformers',
      gateStart: 0.2,
      gateEnd: 0.5,
      orthogonality: 'sum',
      control: 'adam',
      retain: 'paper',
      gateAfter: 'binary',
    },
  },
  check: ({ gateStart, gateEnd, maxSteps }, steps) => {
    if (gateStart >= gateEnd) throw new SettingsError('gateStart', words`a fraction below ${option('gateEnd')}`, String(gateStart))
    if (steps === null) return
    const { start, end } = gateSchedule({ gateStart, gateEnd }, steps)
    if (end > start) return
    const window = `between ${gateStart} and ${gateEnd} of the run`
    throw new SettingsError(
      maxSteps === null ? 'epochs' : 'maxSteps',
      `more steps, so that salora can sample gates in one of them (${window}; ${stepsForWindow({ gateStart, gateEnd }, 1)} are enough)`,
      `${steps} ${steps === 1 ? 'step' : 'steps'}`,
    )
  },
  train: saloraTraining,
  phases: saloraPhases,
  reporting: saloraReporting,
  export: {
    format: 'peftLora', // the result is a low-rank adapter like any other
    merge: ({ matrices }, { loraAlpha, rank }, name, tensor, trained) => {
      const matrix = findMatrix(matrices, name)
      if (matrix === undefined) return null
      return mergeProduct(tensor(), trained(`${matrix.name}.A`), trained(`${matrix.name}.B`), matrix, loraAlpha / rank)
    },
  },
}
