/**
 * Training: Algorithm 1 as an asynchronous sequence of events. Each step runs one graph; T_start and T_end change graph and state; nothing
 * else happens here. The caller saves, shows and stops: this file has no disk, no terminal and no clock but the one for speed.
 */
import type { EncoderConfig } from '../encoderConfig.js'
import { longestInput } from '../encoderConfig.js'
import type { TensorSource } from '../encoder.js'
import { tensorOf } from '../parameterVector.js'
import type { Vector } from '../parameterVector.js'
import type { Predictor } from '../prediction.js'
import { openPredictor } from '../prediction.js'
import type { SessionSettings } from '../runtime/session.js'
import type { Settings } from '../settings.js'
import { SettingsError } from '../settings.js'
import { batchesOfEpoch, inBatches } from './batchOrder.js'
import type { Dimensions } from './dropoutFeeds.js'
import type { PhaseGraphs } from './phaseGraphs.js'
import { openPhase } from './phaseGraphs.js'
import type { RunState } from './runState.js'
import { closeGates, deterministicParameters, openGates, scaleOf } from './runState.js'
import type { GateSteps } from './schedule.js'
import { gateSteps, learningRateAt, phaseAt } from './schedule.js'
import { scalarOf, takeStep } from './takeStep.js'
import type { LabelledExample } from './trainFeeds.js'

export type TrainingTask = {
  readonly config: EncoderConfig
  readonly frozen: TensorSource
  readonly session: SessionSettings
  readonly settings: Settings
  readonly training: ReadonlyArray<LabelledExample>
  readonly evaluation: ReadonlyArray<LabelledExample>
  /** Scores of the evaluation's outputs ([labels] an example), and the one number by which checkpoints compare (greater is better). */
  readonly score: (outputs: ReadonlyArray<ReadonlyArray<number>>) => Scored
  /** also evaluate before the first step: what training starts from */
  readonly evaluateStart?: boolean
}

export type Scored = {
  readonly scores: Readonly<Record<string, number>>
  readonly selection: number
  /** the class that every example is predicted as, where that is so */
  readonly constant: string | null
}

export type StepReport = {
  readonly kind: 'step'
  readonly step: number
  readonly epoch: number
  readonly loss: number
  readonly taskLoss: number
  readonly orthogonality: number | null
  /** C(Θ) before the step; null where no gates are sampled */
  readonly density: number | null
  readonly lambda: number | null
  readonly learningRate: number
  readonly gradientNorm: number
  readonly tokens: number
  readonly tokensPerSecond: number
}

export type TrainingEvent =
  | { readonly kind: 'start'; readonly steps: number; readonly stepsPerEpoch: number; readonly gates: GateSteps; readonly resumedAt: number }
  | StepReport
  | ({ readonly kind: 'evaluation'; readonly step: number; readonly epoch: number; readonly eligible: boolean; readonly best: boolean } & Scored)
  | { readonly kind: 'retained'; readonly step: number; readonly retained: NonNullable<RunState['retained']> }
  /** the state after this step: save it to resume from it */
  | { readonly kind: 'checkpoint'; readonly state: RunState; readonly best: BestState | null }

/** The state whose evaluation was the best among those that satisfy the budget. */
export type BestState = { readonly state: RunState; readonly step: number; readonly selection: number; readonly scores: Readonly<Record<string, number>> }

export type TrainingResult = {
  readonly last: RunState
  /** the last evaluation: an interrupted run may have gone on after it */
  readonly lastEvaluation: { readonly step: number; readonly scores: Readonly<Record<string, number>> } | null
  readonly best: BestState | null
  readonly interrupted: boolean
  /** ‖BᵀB − I‖² + ‖AAᵀ − I‖² by matrix, in the last step; empty where the method has no such term */
  readonly orthogonality: Readonly<Record<string, number>>
}

export class TrainingError extends Error {}

export type Plan = { readonly steps: number; readonly stepsPerEpoch: number; readonly gates: GateSteps }

/** How long a run is and when its gates are sampled. @throws SettingsError where the settings leave no gated step, or no position for a token */
export const planOf = (settings: Settings, config: EncoderConfig, examples: number): Plan => {
  const { method, maxSteps, epochs, batchSize, accumulate, gateStart, gateEnd, maxLength } = settings
  const stepsPerEpoch = Math.ceil(examples / (batchSize * accumulate))
  const steps = maxSteps ?? Math.max(1, Math.round(epochs * stepsPerEpoch))
  const gates = method === 'salora' ? gateSteps(steps, gateStart, gateEnd) : null
  if (gates !== null && gates.end <= gates.start) throw new SettingsError('gateEnd', `expected at least one of ${steps} steps between gateStart ${gateStart} and gateEnd`, `${gateEnd}, which leaves none`)
  if (maxLength > longestInput(config)) throw new SettingsError('maxLength', `expected at most the encoder's ${longestInput(config)} positions`, String(maxLength))
  return { steps, stepsPerEpoch, gates }
}

/**
 * Runs from `start` (or the resumed state) to the end. An aborted signal ends it after the step at hand, with a checkpoint.
 * @throws TrainingError where a loss or a gradient is not finite, naming the step and the rows of its batch
 */
export async function* train(task: TrainingTask, start: RunState, resumedBest: BestState | null, signal: AbortSignal): AsyncGenerator<TrainingEvent, TrainingResult> {
  const { config, settings, training } = task
  const dtype = settings.precision
  const { steps, stepsPerEpoch, gates } = planOf(settings, config, training.length)
  const learningRate = learningRateAt({ peak: settings.learningRate, warmup: settings.warmup, steps })
  const lengths = training.map(({ inputIds }) => inputIds.length)
  const largest = largestBatch(lengths, settings.batchSize)

  let state = start
  let best = resumedBest
  let graphs: PhaseGraphs | null = null
  let orthogonality: Readonly<Record<string, number>> = {}
  let lastEvaluation: { readonly step: number; readonly scores: Readonly<Record<string, number>> } | null = null
  let predictor = null as (Predictor & { readonly modules: RunState['modules']; readonly scale: number }) | null
  let order = null as { readonly epoch: number; readonly batches: ReadonlyArray<ReadonlyArray<number>> } | null
  yield { kind: 'start', steps, stepsPerEpoch, gates, resumedAt: state.step }

  try {
    if (task.evaluateStart === true && state.step === 0 && !signal.aborted) {
      yield { kind: 'evaluation', step: 0, epoch: 0, ...await evaluate(task, state), eligible: false, best: false }
    }
    while (state.step < steps && !signal.aborted) {
      const phase = phaseAt(gates, state.step)
      if (phase === 'gated' && state.gating === 'open' && state.retained === null) {
        await graphs?.release()
        graphs = null
        state = openGates(config, state, settings, 0, dtype)
      }
      if (phase === 'after' && state.retained === null) {
        await graphs?.release()
        graphs = null
        state = closeGates(config, state, settings, dtype)
        if (state.retained !== null) yield { kind: 'retained', step: state.step, retained: state.retained }
      }
      graphs ??= await openPhase({ ...task, dtype, largest, scale: scaleOf(settings, state) }, state.modules, state.gating)

      const epoch = Math.floor(state.step / stepsPerEpoch)
      if (order?.epoch !== epoch) order = { epoch, batches: batchesOfEpoch(settings.seed, epoch, lengths, settings.batchSize) }
      const parts = inBatches(order.batches, settings.accumulate)[state.step % stepsPerEpoch] ?? []
      const began = performance.now()
      const rate = learningRate(state.step)
      const { results, tokens, loss, taskLoss } = await takeStep({ config, settings, training, gates }, graphs, state, rate, parts)
      const report: StepReport = {
        kind: 'step', step: state.step + 1, epoch: (state.step + 1) / stepsPerEpoch, loss, taskLoss,
        orthogonality: results['orthogonality'] === undefined ? null : total(results['orthogonality']),
        density: scalarOf(results['density']), lambda: state.gating === 'sampled' ? scalarOf(tensorOf(graphs.layout, state.parameters, 'lambda')) : null,
        learningRate: rate, gradientNorm: scalarOf(results['gradientNorm']) ?? NaN,
        tokens, tokensPerSecond: (1000 * tokens) / (performance.now() - began),
      }
      if (![report.loss, report.gradientNorm].every(Number.isFinite)) {
        throw new TrainingError(`step ${report.step}: expected a finite loss and gradient, found loss ${report.loss} and gradient norm ${report.gradientNorm}; the batch is rows ${parts.flat().map((i) => training[i]?.row).join(', ')}`)
      }
      if (results['orthogonality'] !== undefined) {
        orthogonality = Object.fromEntries(state.modules.map(({ name }, i) => [name, Number(results['orthogonality']?.[i])]))
      }
      state = {
        ...state, step: state.step + 1, gatedStep: state.gatedStep + (state.gating === 'sampled' ? 1 : 0),
        parameters: results['nextParameters'] as Vector, firstMoment: results['nextFirstMoment'] as Vector, secondMoment: results['nextSecondMoment'] as Vector,
      }
      yield report

      const atEnd = state.step === steps
      // T_end on the last step: what the run hands over is the pruned adapter all the same.
      if (atEnd && gates !== null && state.retained === null) {
        state = closeGates(config, state, settings, dtype)
        if (state.retained !== null) yield { kind: 'retained', step: state.step, retained: state.retained }
      }
      if (atEnd || signal.aborted || state.step % (settings.evalEvery ?? stepsPerEpoch) === 0) {
        if (!signal.aborted || lastEvaluation === null) {
          const scored = await evaluate(task, state)
          const { scores, selection } = scored
          const eligible = gates === null || state.retained !== null
          const isBest = eligible && (best === null || selection > best.selection)
          if (isBest) best = { state, step: state.step, selection, scores }
          lastEvaluation = { step: state.step, scores }
          yield { kind: 'evaluation', step: state.step, epoch: report.epoch, ...scored, eligible, best: isBest }
        }
        if (settings.saveEvery === null) yield { kind: 'checkpoint', state, best }
      }
      if (settings.saveEvery !== null && (state.step % settings.saveEvery === 0 || atEnd || signal.aborted)) yield { kind: 'checkpoint', state, best }
    }
  } finally {
    await graphs?.release()
    await predictor?.release()
  }
  return { last: state, lastEvaluation, best, interrupted: state.step < steps, orthogonality }

  /** The evaluation's outputs without noise; one session serves until T_end changes the matrices. */
  async function evaluate(whole: TrainingTask, of: RunState) {
    const factor = scaleOf(settings, of)
    if (predictor === null || predictor.modules !== of.modules || predictor.scale !== factor) {
      await predictor?.release()
      predictor = { ...await openPredictor({ ...whole, dtype, scale: factor }, of.modules), modules: of.modules, scale: factor }
    }
    return whole.score(await predictor.predict(deterministicParameters(config, of, settings, dtype), whole.evaluation, settings.batchSize))
  }
}

const total = (values: ArrayLike<number | bigint>): number => Array.from(values, Number).reduce((a, b) => a + b, 0)

/** Bounds of any batch's dimensions: the longest examples could meet in one. */
const largestBatch = (lengths: ReadonlyArray<number>, batchSize: number): Dimensions => {
  const longest = [...lengths].sort((a, b) => b - a).slice(0, batchSize)
  return { batch: longest.length, sequence: longest[0] ?? 0, tokens: longest.reduce((a, b) => a + b, 0) }
}
