/** Evaluation during training: answers of the model without noise, batch by batch, and their scores. */
import { spreadBatches, type BatchExecutor } from './microBatchGradient.js'
import type { Examples } from '../models/packing.js'
import type { TrainingExample } from '../objectives/objective.js'
import type { InferenceState, RunState } from '../parameters/runState.js'
import { openPredictor, type Predictor } from './prediction.js'
import { buildLayout, type Assembly } from './assembly.js'
import type { Scored, TrainingTask } from './events.js'
import { checkAnswers } from './finiteChecks.js'
import { forLengths } from './batchFeeds.js'

/** The model of a state without gate noise. */
export const toInferenceState = (
  assembly: Pick<Assembly, 'method' | 'settings' | 'objective' | 'precision'>,
  { phase, parameters }: Pick<RunState, 'phase' | 'parameters'>,
): InferenceState => {
  const { method, settings, precision } = assembly
  const context = { buildLayout: (of: unknown) => buildLayout(assembly, of), dtype: precision.dtype }
  return method.phases.inference?.(phase, settings, parameters, context) ?? { phase, parameters }
}

export type Evaluation = Scored & { readonly inference: InferenceState }

export type Evaluator = {
  /** Evaluates a state. Yields after each batch how many examples are done. */
  readonly evaluate: (state: RunState) => AsyncGenerator<number, Evaluation>
  readonly release: () => Promise<void>
}

/** The predictor of the run's evaluation. One serves until the phase of the inference state changes. */
export const evaluationPredictor = <E extends TrainingExample, O>({ inBlocks: _, ...given }: TrainingTask<E, O>) => {
  const task = forLengths(given, given.evaluation, given.runtime.engine)
  let current: { readonly phase: string; readonly predictor: Predictor<E, O> } | null = null
  return {
    of: async (phase: unknown): Promise<Predictor<E, O>> => {
      const text = JSON.stringify(phase)
      if (current?.phase === text) return current.predictor
      await current?.predictor.release()
      current = null
      current = { phase: text, predictor: await openPredictor(task, task.objective, phase, task.runtime, { prepack: false }) }
      return current.predictor
    },
    release: async () => current?.predictor.release(),
  }
}

export const makeEvaluator = <E extends TrainingExample, O>(task: TrainingTask<E, O>): Evaluator => {
  const { evaluation, settings, precision, answers: execute, answersByStep } = task
  const predictors = evaluationPredictor(task)
  return {
    evaluate: async function* (state) {
      const inference = toInferenceState(task, state)
      if (answersByStep !== undefined) return { ...task.score(answersByStep.get(state.step) ?? missing(state.step)), inference }
      const predictor = await predictors.of(inference.phase)
      const { step } = state
      const executor: BatchExecutor | undefined =
        execute === undefined ? undefined : spreadBatches(execute, { ...inference, step, progress: { step, steps: step } }, precision.dtype)
      const answers = yield* predictor.predictions(inference.parameters, evaluation, settings.batchSize, executor)
      checkAnswers(step, answers, evaluation)
      return { ...task.score(answers), inference }
    },
    release: predictors.release,
  }
}

const missing = (step: number): never => {
  throw new Error(`answersByStep: expected answers at step ${step}, got none`)
}

/** Evaluates one state on other examples than the run's evaluation. Yields after each batch how many examples are done. */
export async function* evaluateState<E extends TrainingExample, O>(
  { inBlocks: _, ...given }: TrainingTask<E, O>,
  { phase, parameters }: InferenceState,
  examples: Examples<E>,
  score: (answers: readonly O[]) => Scored,
): AsyncGenerator<number, Scored> {
  const task = forLengths(given, examples, given.runtime.engine)
  const predictor = await openPredictor(task, task.objective, phase, task.runtime, { prepack: false })
  try {
    return score(yield* predictor.predictions(parameters, examples, task.settings.batchSize))
  } finally {
    await predictor.release()
  }
}
