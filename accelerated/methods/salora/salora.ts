/** SaLoRA: low-rank adapters whose triplets carry gates; the task's loss, equation (9)'s orthogonality and equation (12)'s constraint. */
import { SettingsError } from '../../errors/expectedErrors.js'
import { option, words } from '../../errors/words.js'
import { findMatrix, mergeProduct, factorCount, factorTensors, lowRankWrap, type LowRankFactors } from '../lowRank.js'
import type { Method, MethodReporting, Controls, MethodTraining, Penalty, TrainingProgress } from '../method.js'
import { gateSchedule, stepsForWindow, adamSteps, enoughSteps, gateAdam, gateControl } from './gateControl.js'
import { type SaloraPhase, gateCount } from './phase.js'
import { saloraPhases, samplesGates, earlyGate } from './phases.js'
import { saloraSettings, type SaloraSettings } from './settings.js'
import { probabilityNonZeroOn, numberBackend, sampleGate } from './hardConcrete.js'
import { add, concat, constant, input, mul, reduceSum } from '../../graph/operators.js'
import type { TensorSource } from '../../models/host.js'
import { zeroInitial } from '../../parameters/initialization.js'
import type { Trainable } from '../../parameters/layout.js'
import type { OptimizerGroup } from '../../parameters/optimizerGroup.js'
import { uniforms } from '../../parameters/random.js'
import { pickAdamSettings } from '../../settings/commonSettings.js'
import { density, densityPenalty, gateCosts, gatePenalty } from './lagrangian.js'
import { orthogonality, gatedRows } from './stackedFactors.js'

/** What SaLoRA trains: low-rank factors with sampled gates, the terms of equations (9) and (12) or (10), and the scalars of Algorithm 1's updates. */
const saloraTraining: MethodTraining<SaloraSettings, SaloraPhase> = {
  tensors: (phase, settings) => [
    ...factorTensors(phase.matrices, settings),
    ...(phase.stage === 'gated' ? controlTensors(phase, settings) : []),
  ],
  wrap: (phase, settings, parameter) => lowRankWrap(readFactors(phase, settings, parameter), settings.loraDropout),
  penalty: (phase, settings, parameter) => {
    const regularizer = buildRegularizer(phase, settings, parameter)
    if (phase.stage !== 'gated') return regularizer
    const logTheta = parameter('logTheta')
    const c = density(settings, gateCosts(phase.matrices))(logTheta)
    const lambda = parameter('lambda')
    const constraint =
      typeof settings.control === 'number'
        ? gatePenalty(settings)(lambda, logTheta)
        : densityPenalty(lambda, c, input('targetDensity', [], logTheta.dtype))
    return {
      value: regularizer === null ? constraint : add(regularizer.value, constraint),
      report: { ...regularizer?.report, density: c },
    }
  },
  controls: (phase, settings, progress) => (phase.stage === 'gated' ? computeControls(phase, settings, progress) : {}),
}

/** β times equation (9)'s norms: their mean over the adapted matrices, or their sum. Reports each norm. */
const buildRegularizer = (
  { matrices, squaredNorms }: SaloraPhase,
  { beta, orthogonality: reduction, orthogonalityAfter }: SaloraSettings,
  parameter: TensorSource,
): Penalty | null => {
  if (beta === 0 || matrices.length === 0 || (squaredNorms !== null && orthogonalityAfter === 'off')) return null
  const factors = (of: 'A' | 'B') => matrices.map(({ name }) => parameter(`${name}.${of}`))
  const normsOfA = orthogonality(factors('A'), { columns: false })
  const normsOfB = orthogonality(factors('B'), { columns: true, squaredNorms: orthogonalityAfter === 'folded' ? squaredNorms : null })
  const sum = add(reduceSum(normsOfA.norms), reduceSum(normsOfB.norms))
  return {
    value: mul(sum, reduction === 'mean' ? beta / (2 * matrices.length) : beta),
    report: { orthogonality: concat([normsOfA.inOrder, normsOfB.inOrder], 0) }, // [2K]: Figure 6 draws A and B separately
  }
}

/** λ is a scalar; Θ of all matrices is one vector, in their order. */
const controlTensors = (phase: SaloraPhase, settings: SaloraSettings): readonly Trainable[] => [
  { name: 'logTheta', shape: [gateCount(phase)], group: gateGroup(settings), initial: zeroInitial },
  { name: 'lambda', shape: [], group: multiplierGroup(settings), initial: zeroInitial },
]

/** Θ descends by Adam at η_c, without decay, or by Algorithm 1's plain steps. */
const gateGroup = ({ control }: SaloraSettings): OptimizerGroup => ({
  name: 'gates',
  adam: control === 'descent' ? null : gateAdam,
  weightDecay: 0,
  direction: 'descent',
  learningRateFeed: 'controlLearningRate',
  learningRateRatio: 1,
  correctionPrefix: 'gate',
  isWeight: false,
  nonNegative: false,
})

/** λ ascends, by Adam or by plain steps, and is projected to λ ≥ 0. The rate of a constant λ is 0. */
const multiplierGroup = (settings: SaloraSettings): OptimizerGroup => ({
  name: 'multiplier',
  adam: settings.control === 'descent' ? null : pickAdamSettings(settings),
  weightDecay: 0,
  direction: 'ascent',
  learningRateFeed: 'multiplierLearningRate',
  learningRateRatio: 1,
  correctionPrefix: 'multiplier',
  isWeight: false,
  nonNegative: true,
})

/** Factors by matrix. Sampled gates are in A already. */
const readFactors = (phase: SaloraPhase, settings: SaloraSettings, parameter: TensorSource): ReadonlyMap<string, LowRankFactors> => {
  const sampled =
    phase.stage === 'gated'
      ? sampleGate(settings)(parameter('logTheta'), input('u', [gateCount(phase)], parameter('logTheta').dtype))
      : null
  const scale = (settings.loraAlpha / settings.rank) * (phase.stage === 'before' ? earlyGate(settings) : 1)
  const plain = phase.matrices.map(({ name }) => parameter(`${name}.A`))
  const gated = sampled === null ? plain : gatedRows(plain, sampled)
  return new Map(
    phase.matrices.flatMap(({ name, r }, i) => {
      const [A, kept] = [gated[i], phase.gates?.[i]]
      if (A === undefined) return []
      return [[name, { A, B: parameter(`${name}.B`), g: kept === undefined ? null : constant(kept, [r], A.dtype), scale }]]
    }),
  )
}

/** The step's noise, target density and learning rates, and the bias corrections of Θ and λ, whose steps are the gated ones. */
const computeControls = (phase: SaloraPhase, settings: SaloraSettings, { step, steps }: TrainingProgress): Controls => {
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
  const adam = pickAdamSettings(settings)
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
