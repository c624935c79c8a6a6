/** The phases of a SaLoRA run: plain LoRA until T_start, sampled gates until T_end, then the retained triplets only. */
import { SettingsError } from '../../errors/expectedErrors.js'
import { adaptedMatrices } from '../lowRank.js'
import type { MethodPhases, Transition, TrainingProgress } from '../method.js'
import { gateSchedule } from './gateControl.js'
import { deterministicGateOn, numberBackend } from './hardConcrete.js'
import { gateCount, saloraPhase, type SaloraPhase } from './phase.js'
import { smallestBudget } from './retention.js'
import type { SaloraSettings } from './settings.js'
import { closeGates, openGates, withoutNoise } from './transitions.js'

/** Validates the phase of a checkpoint against the start of its SaLoRA run. */
const validatePhase = (
  { stage, opened, retained, matrices, gates, squaredNorms }: SaloraPhase,
  start: SaloraPhase,
  { step }: TrainingProgress,
): { readonly expected: string; readonly got: string } | null => {
  const started = new Map(start.matrices.map((matrix) => [matrix.name, matrix]))
  const ranksByName = new Map(matrices.map(({ name, r }) => [name, r]))
  const stranger = matrices.find(({ name, d, k, r }) => {
    const initial = started.get(name)
    return initial === undefined || initial.d !== d || initial.k !== k || r > initial.r || (retained === null && r < initial.r)
  })
  const inOrder = start.matrices.filter(({ name }) => ranksByName.has(name)).map(({ name }) => name)
  const ranksFit =
    retained === null ||
    (Object.keys(retained.ranks).length === start.matrices.length &&
      start.matrices.every(({ name }) => retained.ranks[name] === (ranksByName.get(name) ?? 0)))
  const checks: readonly (readonly [expected: string, got: string, holds: boolean])[] = [
    [
      'the adapted matrices with the ranks of its start or, once pruned, fewer',
      stranger === undefined ? '' : `${stranger.name} ${stranger.d} × ${stranger.k} of rank ${stranger.r}`,
      stranger === undefined,
    ],
    [
      `${retained === null ? start.matrices.length : 'those'} matrices, each once and in their order`,
      String(matrices.length),
      matrices.every(({ name }, i) => name === inOrder[i]) && (retained !== null || matrices.length === start.matrices.length),
    ],
    ['retention after T_end, and nowhere else', stage, (stage === 'after') === (retained !== null)],
    [
      'gates from T_start on, with the density they began with',
      stage,
      stage === 'before' ? opened === null : stage === 'after' || opened !== null,
    ],
    [
      `gates opened and closed within ${step} steps`,
      `${opened?.step ?? 'none'} and ${retained?.step ?? 'none'}`,
      (opened?.step ?? 0) <= (retained?.step ?? step) && (retained?.step ?? 0) <= step,
    ],
    [
      'gates and norms of as many triplets as its matrices have',
      'others',
      [gates, squaredNorms].every(
        (byMatrix) =>
          byMatrix === null || (byMatrix.length === matrices.length && byMatrix.every((values, i) => values.length === matrices[i]?.r)),
      ),
    ],
    ['retained ranks that are those of its matrices', 'others', ranksFit],
  ]
  const failed = checks.find(([, , holds]) => !holds)
  return failed === undefined ? null : { expected: failed[0], got: failed[1] }
}

export const saloraPhases: MethodPhases<SaloraSettings, SaloraPhase> = {
  schema: saloraPhase,
  start: (spec, settings) => {
    const matrices = [...adaptedMatrices(spec, settings)]
    checkBudget(settings, matrices)
    return { stage: 'before', matrices, opened: null, retained: null, gates: null, squaredNorms: null }
  },
  advance: (phase, settings, { step, steps }, context) => {
    const { start, end } = gateSchedule(settings, steps)
    const isInWindow = step >= start && step < end
    if (phase.stage === 'before' && isInWindow && samplesGates(settings))
      return { ...openGates(phase, settings, step, context), event: gatedEvent }
    if (phase.stage !== 'after' && step >= end) {
      const closed = closeGates(phase, settings, step, context)
      return { ...closed, event: retainedEvent(closed.phase.retained) }
    }
    return null
  },
  inference: (phase, settings, parameters, context) => withoutNoise(phase, settings, earlyGate(settings), parameters, context),
  isEligible: ({ stage }) => stage === 'after',
  unfinished: ({ opened, retained }, settings, { steps }) => {
    const { start, end } = gateSchedule(settings, steps)
    if ((opened?.step === start || !samplesGates(settings)) && retained?.step === end) return null
    const gates = opened === null ? 'none' : `those from step ${opened.step}`
    const retention = retained === null ? 'none' : `retention at ${retained.step}`
    return `expected sampled gates in steps ${start} to ${end - 1} and retention after them, got ${gates} and ${retention}: nothing was pruned by them`
  },
  validate: validatePhase,
}

/** Whether gates are sampled at all: `magnitude` selects among the triplets of plain LoRA. */
export const samplesGates = ({ retain }: Pick<SaloraSettings, 'retain'>): boolean => retain !== 'magnitude'

/** ĝ(0) if `warmupGate` is `expected`, else 1: the gate of every triplet before T_start. */
export const earlyGate = (settings: SaloraSettings): number =>
  settings.warmupGate === 'expected' ? (deterministicGateOn(numberBackend)(settings)([0])[0] ?? NaN) : 1

/** The rule `paper` ignores b; the others keep what fits into b. @throws SettingsError if no triplet fits */
const checkBudget = ({ retain, density: budget }: SaloraSettings, matrices: SaloraPhase['matrices']): void => {
  const least = smallestBudget(matrices)
  if (retain === 'paper' || budget * (1 + 1e-12) >= least) return
  const unit = 10 ** (Math.floor(Math.log10(least)) - 2) // three digits, rounded up
  const printed = Number((Math.ceil((least / unit) * (1 - 1e-12)) * unit).toPrecision(3))
  throw new SettingsError('density', `at least ${printed}, which leaves one triplet of the ${gateCount({ matrices })}`, String(budget))
}

const gatedEvent: Transition<SaloraPhase>['event'] = { name: 'gated', line: 'gates are sampled from here on', facts: {} }

const retainedEvent = (retained: SaloraPhase['retained']): Transition<SaloraPhase>['event'] => {
  if (retained === null) return null
  const { step: _, ...facts } = retained
  const expected = facts.expectedDensity === null ? '' : ` (expected density ${facts.expectedDensity.toFixed(3)})`
  return { name: 'retained', line: `${(100 * facts.retainedDensity).toFixed(1)} % of the adapter's parameters retained${expected}`, facts }
}
