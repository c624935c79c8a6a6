/**
 * Training: Algorithm 1 as an asynchronous sequence of events. Each step runs one graph; T_start and T_end change graph and state; nothing
 * else happens here. The caller saves, shows and stops: this file has no disk, no terminal and no clock but the one for speed.
 */
import type { EncoderConfig } from '../models/encoderConfig.js'
import { longestInput } from '../models/encoderConfig.js'
import { tensorOf } from './parameterVector.js'
import type { Vector } from './parameterVector.js'
import type { Predictor } from './prediction.js'
import { openPredictor } from './prediction.js'
import type { Settings } from '../settings.js'
import { SettingsError } from '../settings.js'
import { checkGatesRan, checkOutputs, checkStep } from './accidents.js'
import { batchesOfEpoch, inBatches } from './batchOrder.js'
import type { Dimensions } from './dropoutFeeds.js'
import type { PhaseGraphs } from './phaseGraphs.js'
import { openPhase } from './phaseGraphs.js'
import type { RunState } from './runState.js'
import { closeGates, deterministicParameters, openGates, scaleOf } from './runState.js'
import type { GateSteps } from './schedule.js'
import { gateSteps, learningRateAt, phaseAt } from './schedule.js'
import { scalarOf, takeStep } from './takeStep.js'
import type { Carried, TrainingEvent, TrainingResult, TrainingTask, StepReport } from './trainingEvents.js'

export { TrainingError } from './accidents.js'
export type { BestState, Carried, Scored, StepReport, TrainingEvent, TrainingResult, TrainingTask } from './trainingEvents.js'

export type Plan = { readonly steps: number; readonly stepsPerEpoch: number; readonly gates: GateSteps }

/** How long a run is and when its gates are sampled. @throws SettingsError where the settings leave no gated step, or no position for a token */
export const planOf = (settings: Settings, config: EncoderConfig, examples: number): Plan => {
  const { method, maxSteps, epochs, batchSize, accumulate, gateStart, gateEnd, maxLength } = settings
  const stepsPerEpoch = Math.ceil(examples / (batchSize * accumulate))
  const steps = maxSteps ?? Math.max(1, Math.round(epochs * stepsPerEpoch))
  const gates = method === 'salora' ? gateSteps(steps, gateStart, gateEnd) : null
  if (gates !== null && gates.end <= gates.start)
    throw new SettingsError(
      'gateEnd',
      `expected at least one of ${steps} steps between gateStart ${gateStart} and gateEnd`,
      `${gateEnd}, which leaves none`,
    )
  if (maxLength > longestInput(config))
    throw new SettingsError('maxLength', `expected at most the encoder's ${longestInput(config)} positions`, String(maxLength))
  return { steps, stepsPerEpoch, gates }
}

/**
 * Runs from `start` (with `resumed` where that is a checkpoint's state) to the end. An aborted signal ends it after the step at hand, with a
 * checkpoint. What a run computes is a function of its settings, data and start alone: resuming from any checkpoint ends in the same bits.
 * @throws TrainingError where a number is not finite, naming the step and the rows of its batch, or where the gates never ran
 */
export async function* train(
  task: TrainingTask,
  start: RunState,
  resumed: Carried | null,
  signal: AbortSignal,
): AsyncGenerator<TrainingEvent, TrainingResult> {
  const { config, settings, training } = task
  const dtype = settings.precision
  const { steps, stepsPerEpoch, gates } = planOf(settings, config, training.length)
  const learningRate = learningRateAt({ peak: settings.learningRate, warmup: settings.warmup, steps })
  const lengths = training.map(({ inputIds }) => inputIds.length)
  const largest = largestBatch(lengths, settings.batchSize)

  let state = start
  let { best, lastEvaluation, orthogonality }: Carried = resumed ?? { best: null, lastEvaluation: null, orthogonality: {} }
  let graphs: PhaseGraphs | null = null
  let predictor = null as (Predictor & { readonly modules: RunState['modules']; readonly scale: number }) | null
  let order = null as { readonly epoch: number; readonly batches: ReadonlyArray<ReadonlyArray<number>> } | null
  yield { kind: 'start', steps, stepsPerEpoch, gates, resumedAt: state.step }

  try {
    if (task.evaluateStart === true && state.step === 0 && !signal.aborted) {
      yield { kind: 'evaluation', step: 0, epoch: 0, ...(await evaluate(task, state)), eligible: false, best: false }
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
        kind: 'step',
        step: state.step + 1,
        epoch: (state.step + 1) / stepsPerEpoch,
        loss,
        taskLoss,
        orthogonality: results['orthogonality'] === undefined ? null : total(results['orthogonality']),
        density: scalarOf(results['density']),
        lambda: state.gating === 'sampled' ? scalarOf(tensorOf(graphs.layout, state.parameters, 'lambda')) : null,
        learningRate: rate,
        gradientNorm: scalarOf(results['gradientNorm']) ?? NaN,
        tokens,
        tokensPerSecond: (1000 * tokens) / (performance.now() - began),
      }
      if (results['orthogonality'] !== undefined) {
        orthogonality = Object.fromEntries(state.modules.map(({ name }, i) => [name, Number(results['orthogonality']?.[i])]))
      }
      state = {
        ...state,
        step: state.step + 1,
        gatedStep: state.gatedStep + (state.gating === 'sampled' ? 1 : 0),
        parameters: results['nextParameters'] as Vector,
        firstMoment: results['nextFirstMoment'] as Vector,
        secondMoment: results['nextSecondMoment'] as Vector,
      }
      checkStep(
        report,
        state,
        parts.flat().map((i) => training[i]?.row ?? NaN),
      )
      yield report

      const atEnd = state.step === steps
      // T_end on the last step: what the run hands over is the pruned adapter all the same.
      if (atEnd && gates !== null && state.retained === null) {
        state = closeGates(config, state, settings, dtype)
        if (state.retained !== null) yield { kind: 'retained', step: state.step, retained: state.retained }
      }
      // A scheduled evaluation takes place even where a signal came: the resumed run goes on after it.
      const isScheduled = atEnd || state.step % (settings.evalEvery ?? stepsPerEpoch) === 0
      if (isScheduled) {
        const scored = await evaluate(task, state)
        const { scores, selection } = scored
        const eligible = gates === null || state.retained !== null
        const isBest = eligible && (best === null || selection > best.selection)
        if (isBest) best = { state, step: state.step, selection, scores }
        lastEvaluation = { step: state.step, scores }
        yield { kind: 'evaluation', step: state.step, epoch: report.epoch, ...scored, eligible, best: isBest }
      }
      const isDue = settings.saveEvery === null ? isScheduled : atEnd || state.step % settings.saveEvery === 0
      if (isDue || signal.aborted) yield { kind: 'checkpoint', state, best, lastEvaluation, orthogonality }
      // For the interrupted run's result alone: an evaluation that the whole run does not make is in no checkpoint.
      if (signal.aborted && lastEvaluation === null) {
        const scored = await evaluate(task, state)
        lastEvaluation = { step: state.step, scores: scored.scores }
        yield { kind: 'evaluation', step: state.step, epoch: report.epoch, ...scored, eligible: false, best: false }
      }
    }
    if (state.step >= steps) checkGatesRan(gates, state)
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
      predictor = { ...(await openPredictor({ ...whole, dtype, scale: factor }, of.modules)), modules: of.modules, scale: factor }
    }
    const outputs = await predictor.predict(deterministicParameters(config, of, settings, dtype), whole.evaluation, settings.batchSize)
    checkOutputs(of.step, outputs, whole.evaluation)
    return whole.score(outputs)
  }
}

const total = (values: ArrayLike<number | bigint>): number => Array.from(values, Number).reduce((a, b) => a + b, 0)

/** Bounds of any batch's dimensions: the longest examples could meet in one. */
const largestBatch = (lengths: ReadonlyArray<number>, batchSize: number): Dimensions => {
  const longest = [...lengths].sort((a, b) => b - a).slice(0, batchSize)
  return { batch: longest.length, sequence: longest[0] ?? 0, tokens: longest.reduce((a, b) => a + b, 0) }
}
