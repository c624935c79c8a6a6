/** SaLoRA: low-rank adapters whose triplets carry gates; the task's loss, equation (9)'s orthogonality and equation (12)'s constraint. */
import { add, concat, constant, input, mul, reduceSum, slice } from '../../graph/operators.js'
import type { TensorSource } from '../../models/host.js'
import { SettingsError } from '../../errors/settingsError.js'
import { adamOf, weightGroupsOf } from '../../settings/commonSettings.js'
import type { OptimizerGroup } from '../../parameters/optimizerGroup.js'
import type { Trainable } from '../../parameters/layout.js'
import { uniforms } from '../../parameters/random.js'
import { zeroInitial } from '../../parameters/initialization.js'
import { adaptedMatrices, factorCount, factorTensors, lowRankWrap, matrixOfWeight, mergeProduct, type LowRankFactors } from '../lowRank.js'
import type { TrainingProgress, Controls, Method, Penalty } from '../method.js'
import { numberBackend } from './numericBackend.js'
import { enoughSteps, gateAdam, gateControl } from './gateControl.js'
import { deterministicGateOn, probabilityNonZeroOn, sampleGate } from './hardConcrete.js'
import { density, densityPenalty, gateCosts } from './lagrangian.js'
import { validatePhase } from './validatePhase.js'
import { orthogonality } from './orthogonality.js'
import { smallestBudget } from './retention.js'
import { closeGates, gateCount, openGates, saloraPhase, withoutNoise, type SaloraPhase } from './phase.js'
import { saloraSettings, type SaloraSettings } from './settings.js'
import { gateSchedule } from './gateSchedule.js'

export const salora: Method<SaloraSettings, SaloraPhase> = {
  name: 'salora',
  summary: 'structure-aware low-rank adaptation: finds the rank of each matrix within an exact budget',
  settings: saloraSettings,
  phase: saloraPhase,
  // The paper to the letter: eq. (12)'s sum, Algorithm 1's plain steps, section 3.5's ĝ > 0 whose triplets stay as they are.
  presets: { paper: { orthogonality: 'sum', control: 'paper', retain: 'paper', gateAfter: 'binary' } },

  check: ({ gateStart, gateEnd, ...settings }, steps) => {
    if (gateStart >= gateEnd) throw new SettingsError('gateStart', 'a fraction below gateEnd', String(gateStart))
    if (steps === null) return
    const { start, end } = gateSchedule({ gateStart, gateEnd, ...settings }, steps)
    if (end > start) return
    const expected = `at least one of ${steps} steps between gateStart ${gateStart} and gateEnd`
    throw new SettingsError('gateEnd', expected, `${gateEnd}, which leaves none`)
  },

  start: (outline, settings) => {
    const matrices = [...adaptedMatrices(outline, settings)]
    checkBudget(settings, matrices)
    return { stage: 'before', matrices, opened: null, retained: null, gates: null, squaredNorms: null }
  },

  tensors: (phase, settings) => [
    ...factorTensors(phase.matrices, settings.initLoraWeights, weightGroupsOf(settings).decayed),
    ...(phase.stage === 'gated' ? controlTensors(phase, settings) : []),
  ],

  wrap: (phase, settings, parameter) => lowRankWrap(factorsOf(phase, settings, parameter), settings.loraDropout),

  penalty: (phase, settings, parameter) => {
    const regularizer = regularizerOf(phase, settings, parameter)
    if (phase.stage !== 'gated') return regularizer
    const logTheta = parameter('logTheta')
    const c = density(settings, gateCosts(phase.matrices))(logTheta)
    const constraint = densityPenalty(parameter('lambda'), c, input('targetDensity', [], logTheta.dtype))
    return {
      value: regularizer === null ? constraint : add(regularizer.value, constraint),
      report: { ...regularizer?.report, density: c },
    }
  },

  controls: (phase, settings, clock) => (phase.stage === 'gated' ? controlsOf(phase, settings, clock) : {}),

  advance: (phase, settings, { step, steps }, state) => {
    const { start, end } = gateSchedule(settings, steps)
    if (phase.stage === 'before' && samples(settings) && step >= start && step < end)
      return { ...openGates(phase, settings, step, state), event: { name: 'gated', line: 'gates are sampled from here on', facts: {} } }
    if (phase.stage === 'after' || step < end) return null
    const closed = closeGates(phase, settings, step, state)
    return { ...closed, event: closed.phase.retained === null ? null : told(closed.phase.retained) }
  },

  deterministic: (phase, settings, parameters, state) => withoutNoise(phase, settings, earlyGate(settings), parameters, state),

  eligible: ({ stage }) => stage === 'after',

  unfinished: ({ opened, retained }, settings, { steps }) => {
    const { start, end } = gateSchedule(settings, steps)
    if ((opened?.step === start || !samples(settings)) && retained?.step === end) return null
    const found = opened === null ? 'none' : `those from step ${opened.step}`
    return `expected sampled gates in steps ${start} to ${end - 1} and retention after them, got ${found} and ${retained === null ? 'none' : `retention at ${retained.step}`}: nothing was pruned by them`
  },

  validatePhase,

  format: 'peftLora', // what is handed over is a low-rank adapter like any other

  merge: ({ matrices }, { loraAlpha, rank }, name, tensor, trained) => {
    const matrix = matrixOfWeight(matrices, name)
    if (matrix === undefined) return null
    return mergeProduct(tensor(), trained(`${matrix.name}.A`), trained(`${matrix.name}.B`), matrix, loraAlpha / rank)
  },

  columns: [
    { name: 'density', label: 'density', digits: 3 },
    { name: 'lambda', label: 'λ', digits: 4 },
  ],

  measures: ({ stage, matrices }, report, parameter) => {
    const norms = report('orthogonality')
    const apart =
      norms === undefined ? null : { A: Array.from(norms).slice(0, matrices.length), B: Array.from(norms).slice(matrices.length) }
    const [ofA, ofB] = [sumOf(apart?.A), sumOf(apart?.B)]
    return {
      columns: {
        orthogonality: ofA === null || ofB === null ? null : ofA + ofB,
        orthogonalityA: ofA,
        orthogonalityB: ofB,
        density: report('density')?.[0] ?? null,
        lambda: stage === 'gated' ? (parameter('lambda')[0] ?? null) : null,
      },
      byMatrix:
        apart === null
          ? {}
          : { orthogonality: Object.fromEntries(matrices.map(({ name }, i) => [name, (apart.A[i] ?? NaN) + (apart.B[i] ?? NaN)])) },
    }
  },

  expectedRanks: ({ stage, matrices }, settings, parameter) => {
    if (stage !== 'gated') return null
    const open = probabilityNonZeroOn(numberBackend)(settings)(Array.from(parameter('logTheta')))
    let first = 0
    return Object.fromEntries(
      matrices.map(({ name, r }) => {
        first += r
        return [name, open.slice(first - r, first).reduce((sum, probability) => sum + probability, 0)]
      }),
    )
  },

  stage: ({ stage }) => ({ before: 'training', gated: 'gated', after: 'retained' })[stage],

  announce: ({ stage }, settings, { steps }) => {
    if (stage === 'after') return null
    const { start, end } = gateSchedule(settings, steps)
    if (!samples(settings)) return `the largest triplets are retained after step ${end}`
    return `gates are sampled in steps ${start + 1} to ${end}`
  },

  warnings: (settings, { steps }) => {
    const { start, end } = gateSchedule(settings, steps)
    if (end - start >= enoughSteps || !samples(settings) || settings.control !== 'ramp') return []
    return [
      `gates are sampled in ${end - start} ${end - start === 1 ? 'step' : 'steps'} only: below ${enoughSteps} neither the density asked for nor the ranks that are found mean much`,
    ]
  },

  counts: (phase, settings) => ({ adapter: factorCount(phase.matrices), ...(samples(settings) ? { gates: gateCount(phase) } : {}) }),

  result: ({ matrices, retained }, settings) => ({
    targetDensity: settings.density,
    expectedDensity: retained?.expectedDensity ?? null,
    retainedDensity: retained?.retainedDensity ?? null,
    retainedParameters: factorCount(matrices),
    lambda: retained?.lambda ?? null,
    ranks: retained?.ranks ?? Object.fromEntries(matrices.map(({ name, r }) => [name, r])),
  }),
}

/** The rule `paper` may keep nothing, whatever b; the others buy within b. @throws SettingsError where that buys no triplet */
const checkBudget = ({ retain, density: budget }: SaloraSettings, matrices: SaloraPhase['matrices']): void => {
  const least = smallestBudget(matrices)
  if (retain === 'paper' || budget * (1 + 1e-12) >= least) return
  const unit = 10 ** (Math.floor(Math.log10(least)) - 2) // told with three digits, rounded up
  const told = Number((Math.ceil((least / unit) * (1 - 1e-12)) * unit).toPrecision(3))
  throw new SettingsError('density', `at least ${told}, which leaves one triplet of the ${gateCount({ matrices })}`, String(budget))
}

/** Whether gates are sampled at all: `magnitude` chooses among the triplets of plain LoRA. */
const samples = ({ retain }: Pick<SaloraSettings, 'retain'>): boolean => retain !== 'magnitude'

const sumOf = (numbers: ReadonlyArray<number> | undefined): number | null => numbers?.reduce((a, b) => a + b, 0) ?? null

/** β times equation (9)'s norms: their mean over all matrices that have an adapter now, or their sum. Reports each norm. */
const regularizerOf = (
  { matrices, squaredNorms }: SaloraPhase,
  { beta, orthogonality: average, orthogonalityAfter }: SaloraSettings,
  parameter: TensorSource,
): Penalty | null => {
  if (beta === 0 || matrices.length === 0 || (squaredNorms !== null && orthogonalityAfter === 'off')) return null
  const factors = (of: 'A' | 'B') => matrices.map(({ name }) => parameter(`${name}.${of}`))
  const ofA = orthogonality(factors('A'), { columns: false })
  const ofB = orthogonality(factors('B'), { columns: true, squaredNorms: orthogonalityAfter === 'folded' ? squaredNorms : null })
  const sum = add(reduceSum(ofA.norms), reduceSum(ofB.norms))
  return {
    value: mul(sum, average === 'mean' ? beta / (2 * matrices.length) : beta),
    report: { orthogonality: concat([ofA.inOrder, ofB.inOrder], 0) }, // [2K], apart as Figure 6 draws them
  }
}

/** λ is in the vector as a scalar; Θ of all matrices as one vector, in their order. */
const controlTensors = (phase: SaloraPhase, settings: SaloraSettings): ReadonlyArray<Trainable> => [
  { name: 'logTheta', shape: [gateCount(phase)], group: gates(settings), initial: zeroInitial },
  { name: 'lambda', shape: [], group: multiplier(settings), initial: zeroInitial },
]

/** Θ descends by Adam at η_c, without decay; or as Algorithm 1 writes it. */
const gates = ({ control }: SaloraSettings): OptimizerGroup => ({
  name: 'gates',
  adam: control === 'paper' ? null : gateAdam,
  weightDecay: 0,
  direction: 'descent',
  learningRateFeed: 'controlLearningRate',
  correctionPrefix: 'gate',
  isWeight: false,
  nonNegative: false,
})

/** λ ascends, by Adam or by its plain gradient, and is projected onto λ ≥ 0. */
const multiplier = (settings: SaloraSettings): OptimizerGroup => ({
  name: 'multiplier',
  adam: settings.control === 'paper' ? null : adamOf(settings),
  weightDecay: 0,
  direction: 'ascent',
  learningRateFeed: 'multiplierLearningRate',
  correctionPrefix: 'multiplier',
  isWeight: false,
  nonNegative: true,
})

/** ĝ(0), by which plain LoRA counts before T_start where `warmupGate` is expected. */
const earlyGate = (settings: SaloraSettings): number =>
  settings.warmupGate === 'expected' ? (deterministicGateOn(numberBackend)(settings)([0])[0] ?? NaN) : 1

/** Each matrix gets its stretch of the gates. */
const factorsOf = (phase: SaloraPhase, settings: SaloraSettings, parameter: TensorSource): ReadonlyMap<string, LowRankFactors> => {
  const g =
    phase.stage === 'gated'
      ? sampleGate(settings)(parameter('logTheta'), input('u', [gateCount(phase)], parameter('logTheta').dtype))
      : null
  const scale = (settings.loraAlpha / settings.rank) * (phase.stage === 'before' ? earlyGate(settings) : 1)
  let first = 0
  return new Map(
    phase.matrices.map(({ name, r }, i) => {
      const kept = phase.gates?.[i]
      first += r
      const own = g !== null ? slice(g, 0, first - r, r) : kept === undefined ? null : constant(kept, [r], parameter(`${name}.A`).dtype)
      return [name, { A: parameter(`${name}.A`), B: parameter(`${name}.B`), g: own, scale }]
    }),
  )
}

/** Noise of this step, the target's density and the rates, with the bias corrections of Θ and λ, whose steps are the gated ones. */
const controlsOf = (phase: SaloraPhase, settings: SaloraSettings, { step, steps }: TrainingProgress): Controls => {
  const { start, end } = gateSchedule(settings, steps)
  const [count, t] = [gateCount(phase), step - (phase.opened?.step ?? start) + 1]
  const control = gateControl({
    control: settings.control,
    steps: end - start,
    gates: count,
    initialDensity: phase.opened?.density ?? NaN,
    targetDensity: settings.density,
    controlLearningRate: settings.controlLearningRate,
  })(t)
  const adam = adamOf(settings)
  return {
    u: uniforms(settings.seed, 'gates', step, count),
    targetDensity: control.targetDensity,
    controlLearningRate: control.controlLearningRate,
    multiplierLearningRate: control.multiplierLearningRate,
    gateCorrection1: 1 - gateAdam.beta1 ** t,
    gateCorrection2: 1 - gateAdam.beta2 ** t,
    multiplierCorrection1: 1 - adam.beta1 ** t,
    multiplierCorrection2: 1 - adam.beta2 ** t,
  }
}

const told = ({ step: _, ...facts }: NonNullable<SaloraPhase['retained']>) => ({
  name: 'retained',
  line: `${(100 * facts.retainedDensity).toFixed(1)} % of the adapter's parameters retained${facts.expectedDensity === null ? '' : ` (expected density ${facts.expectedDensity.toFixed(3)}, λ ${facts.lambda?.toPrecision(4)})`}`,
  facts,
})
