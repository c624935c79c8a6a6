/** A run that takes a step whenever it is asked to, on the batch with this number: what the benchmarks measure. */
import { checkpointNumbers } from '../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Engine } from '../../accelerated/engines/engine.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { noVirtualTokens, packBatch } from '../../accelerated/models/packing.js'
import { largestBlock } from '../../accelerated/models/batchInputs.js'
import { causalLM } from '../../accelerated/objectives/causalLM.js'
import { unlabeled } from '../../accelerated/objectives/labeledTokens.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import { sequenceClassification } from '../../accelerated/objectives/sequenceClassification.js'
import type { Vector } from '../../accelerated/parameters/vectors.js'
import { openFrozen } from '../../accelerated/precisions/precision.js'
import { findPrecision } from '../../accelerated/settings/commonSettings.js'
import { assemble, buildLayout } from '../../accelerated/training/assembly.js'
import { pickDimensions, largestBatch, forLengths } from '../../accelerated/training/batchFeeds.js'
import { toInferenceState } from '../../accelerated/training/evaluation.js'
import { initializeRun } from '../../accelerated/training/initialState.js'
import { openPhaseSessions } from '../../accelerated/training/phaseSessions.js'
import { openPredictor } from '../../accelerated/training/prediction.js'
import { peakLearningRate } from '../../accelerated/training/learningRate.js'
import { findMethod, parseSettings } from '../../accelerated/training/resolveSettings.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import type { BatchedExample, Batches, BenchmarkKind } from './cases.js'
import { productCount } from './productRates.js'

type SteppedRunOptions = {
  /** of the model; quantized weights are cached there */
  readonly folder: string
  readonly engine: Engine
  readonly kind: BenchmarkKind
  /** names the method and the precision; SaLoRA's gates are sampled from the first step on */
  readonly settings: Readonly<Record<string, unknown>> & { readonly method: string }
  /** of the whole run that the steps are of: more than are taken, so that no phase ends meanwhile */
  readonly steps: number
  readonly batches: Batches
}

export type SteppedRun = {
  /** → the loss */
  readonly step: (batch: number) => Promise<number>
  /** floating-point operations of the matrix products of a step on this batch */
  readonly operations: (batch: number) => number
  /** answers for these examples */
  readonly evaluate: (batches: Batches) => Promise<void>
  readonly release: () => Promise<void>
}

/** Opens the run before its first step, in the phase of that step. */
export const openSteppedRun = async ({ folder, engine, kind, steps, ...options }: SteppedRunOptions): Promise<SteppedRun> => {
  const base = await openModelFolder(folder)
  const batches = options.batches.map(trainingExamples)
  const settings = parseSettings({
    batchSize: Math.max(...batches.map(({ length }) => length)),
    maxSteps: steps,
    learningRate: 1e-5,
    ...(options.settings.method === 'salora' ? { gateStart: 0, gateEnd: 1 } : {}),
    ...options.settings,
  })
  const [method, precision] = [findMethod(settings.method), findPrecision(settings.precision)]
  const frozen = await openFrozen(precision, base, folder)
  const whole = assemble({ model: base.model, frozen: frozen.tensor, method, settings, precision }, objectives[kind])
  const assembly = forLengths(whole, batches.flat(), engine)
  const runtime = { engine, weights: frozen.weights }
  const start = await initializeRun(assembly, checkpointNumbers(base))
  const layouts = { vectors: start, buildLayout: (phase: unknown) => buildLayout(assembly, phase), dtype: precision.dtype }
  const next = method.phases.advance?.(start.phase, settings, { step: 0, steps }, layouts) ?? null
  let state = next === null ? start : { ...start, ...next.vectors, phase: next.phase }
  let spare: Vector | null = null
  const { outputs } = stepGraph(assembly, state.phase, 'whole')
  const sessions = await openPhaseSessions(assembly, state.phase, runtime, largestBatch(batches.flat(), settings.batchSize, 0), false, true)
  const batchAt = (number: number): readonly TrainingExample[] => batches[number % batches.length] ?? []
  return {
    release: sessions.release,
    step: async (batch) => {
      const progress = { step: state.step, steps }
      const context = { assembly, objective: assembly.objective, progress, learningRate: peakLearningRate(settings), spare }
      const { state: after, loss } = await trainStep(context, sessions, state, [batchAt(batch)])
      spare = state.parameters
      state = after
      return loss
    },
    operations: (batch) => {
      const block = assembly.inBlocks === true ? largestBlock : null
      const sizes = pickDimensions(packBatch(batchAt(batch), 0, precision.dtype, noVirtualTokens, block))
      return productCount(Object.values(outputs), { ...sizes, ...assembly.objective.dimensions?.(sizes['tokens'] ?? 0) })
    },
    evaluate: async (evaluation) => {
      await sessions.device?.settle(state)
      const { phase, parameters } = toInferenceState(assembly, state)
      const predictor = await openPredictor(assembly, assembly.objective, phase, runtime, { prepack: false })
      await predictor.predict(parameters, evaluation.flatMap(trainingExamples), settings.batchSize)
      await predictor.release()
    },
  }
}

/** Both objectives read the examples that they know. */
const objectives: Readonly<Record<BenchmarkKind, (model: Model) => Objective<TrainingExample>>> = {
  encoder: (model) =>
    sequenceClassification(model, { labels: 2, problemType: 'single_label_classification' }) as unknown as Objective<TrainingExample>,
  decoder: (model) => causalLM(model) as unknown as Objective<TrainingExample>,
}

const trainingExamples = (batch: readonly BatchedExample[]): readonly TrainingExample[] =>
  batch.map(({ inputIds, label }, row) => ({ inputIds, label, row, targets: [...inputIds.slice(1), unlabeled] }))
