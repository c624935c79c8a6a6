/** A run that takes a step whenever it is asked to, on the batch that it is given: what benchmarks and studies measure. */
import { checkpointNumbers } from '../../accelerated/checkpoints/frozenWeights.js'
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Engine } from '../../accelerated/engines/engine.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { noVirtualTokens, packBatch } from '../../accelerated/models/packing.js'
import { largestBlock } from '../../accelerated/models/queryBlocks.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import type { RunState } from '../../accelerated/parameters/runState.js'
import type { Vector } from '../../accelerated/parameters/vectors.js'
import type { Frozen } from '../../accelerated/precisions/precision.js'
import { precisionOf } from '../../accelerated/settings/commonSettings.js'
import { assemble, layoutOf, type Assembly } from '../../accelerated/training/assembly.js'
import { dimensionsOf, largestBatch } from '../../accelerated/training/batchFeeds.js'
import { startOfRun } from '../../accelerated/training/initialState.js'
import { forLengths } from '../../accelerated/training/longTexts.js'
import { openPhaseSessions, type Runtime } from '../../accelerated/training/phaseSessions.js'
import { methodOf, type Settings } from '../../accelerated/training/settings.js'
import { stepGraph } from '../../accelerated/training/stepGraph.js'
import { trainStep } from '../../accelerated/training/trainStep.js'
import { productCount } from './productRates.js'

export type SteppedRunOptions<E extends TrainingExample> = {
  readonly base: ModelFolder
  readonly frozen: Frozen
  readonly settings: Settings
  readonly objectiveOf: (model: Model) => Objective<E>
  readonly engine: Engine
  /** of the whole run that the steps are of: more than are taken, so that no phase ends meanwhile */
  readonly steps: number
  /** every batch that a step may take */
  readonly batches: ReadonlyArray<ReadonlyArray<E>>
}

export type SteppedRun<E extends TrainingExample> = {
  readonly assembly: Assembly & { readonly objective: Objective<E> }
  readonly runtime: Runtime
  /** numbers that are trained */
  readonly trained: number
  /** floating-point operations of the matrix products of a step on this batch */
  readonly operationsOf: (batch: ReadonlyArray<E>) => number
  /** Opens the step's session. */
  readonly open: () => Promise<OpenedRun<E>>
}

export type OpenedRun<E extends TrainingExample> = {
  /** → the loss */
  readonly step: (batch: ReadonlyArray<E>) => Promise<number>
  readonly state: () => Promise<RunState>
  readonly release: () => Promise<void>
}

/** The run before its first step, in the phase of that step: with `gateStart: 0`, SaLoRA's gates are sampled from the first step on. */
export const steppedRun = async <E extends TrainingExample>(options: SteppedRunOptions<E>): Promise<SteppedRun<E>> => {
  const { base, frozen, settings, objectiveOf, engine, steps, batches } = options
  const [method, precision] = [methodOf(settings.method), precisionOf(settings.precision)]
  const whole = assemble({ model: base.model, frozen: frozen.tensor, method, settings, precision }, objectiveOf)
  const assembly = forLengths(whole, batches.flat(), engine)
  const runtime: Runtime = { engine, weights: frozen.weights }
  let state = await startInPhase(assembly, base, steps) // the only one: a benchmark measures this process's memory
  let spare: Vector | null = null
  const { outputs, layout } = stepGraph(assembly, state.phase, 'whole')
  return {
    assembly,
    runtime,
    trained: layout.size,
    operationsOf: (batch) => {
      const sizes = dimensionsOf(packBatch(batch, 0, precision.dtype, noVirtualTokens, assembly.inBlocks === true ? largestBlock : null))
      return productCount(Object.values(outputs), { ...sizes, ...assembly.objective.dimensions?.(sizes['tokens'] ?? 0) })
    },
    open: async () => {
      const largest = largestBatch(batches.flat(), settings.batchSize, 0)
      const sessions = await openPhaseSessions(assembly, state.phase, runtime, largest, false, true)
      return {
        state: async () => {
          await sessions.device?.settle(state)
          return state
        },
        release: sessions.release,
        step: async (batch) => {
          const progress = { step: state.step, steps }
          const context = { assembly, objective: assembly.objective, progress, learningRate: settings.learningRate, spare }
          const { state: after, loss } = await trainStep(context, sessions, state, [batch])
          spare = state.parameters
          state = after
          return loss
        },
      }
    },
  }
}

const startInPhase = async (assembly: Assembly, base: ModelFolder, steps: number): Promise<RunState> => {
  const { method, settings, precision } = assembly
  const start = await startOfRun(assembly, checkpointNumbers(base))
  const layouts = { vectors: start, layoutOf: (phase: unknown) => layoutOf(assembly, phase), dtype: precision.dtype }
  const next = method.phases.advance?.(start.phase, settings, { step: 0, steps }, layouts) ?? null
  return next === null ? start : { ...start, ...next.vectors, phase: next.phase }
}
