/** Evaluation during training: answers of the model without noise, batch by batch, and their scores. */
import type { Examples } from '../models/packing.js'
import type { TrainingExample } from '../objectives/objective.js'
import type { InferenceState, RunState } from '../parameters/runState.js'
import { layoutOf, type Assembly } from './assembly.js'
import type { Scored, TrainingTask } from './events.js'
import { checkAnswers } from './finiteChecks.js'
import { forLengths } from './longTexts.js'
import { openPredictor, type Predictor } from './prediction.js'

/** The model of a state without gate noise. */
export const inferenceStateOf = (
  assembly: Pick<Assembly, 'method' | 'settings' | 'objective' | 'precision'>,
  { phase, parameters }: Pick<RunState, 'phase' | 'parameters'>,
): InferenceState => {
  const { method, settings, precision } = assembly
  const context = { layoutOf: (of: unknown) => layoutOf(assembly, of), dtype: precision.dtype }
  return method.phases.inference?.(phase, settings, parameters, context) ?? { phase, parameters }
}

export type Evaluation = Scored & { readonly inference: InferenceState }

export type Evaluator = {
  /** Evaluates a state. Yields after each batch how many examples are done. */
  readonly evaluate: (state: RunState) => AsyncGenerator<number, Evaluation>
  readonly release: () => Promise<void>
}

/** One session serves until the phase of the inference state changes. */
export const evaluatorOf = <E extends TrainingExample, O>({ inBlocks: _, ...given }: TrainingTask<E, O>): Evaluator => {
  const task = forLengths(given, given.evaluation, given.runtime.engine)
  let current: { readonly phase: string; readonly predictor: Predictor<E, O> } | null = null
  return {
    evaluate: async function* (state) {
      const inference = inferenceStateOf(task, state)
      const phase = JSON.stringify(inference.phase)
      if (current?.phase !== phase) {
        await current?.predictor.release()
        current = { phase, predictor: await openPredictor(task, task.objective, inference.phase, task.runtime, { prepack: false }) }
      }
      const answers = yield* current.predictor.predictions(inference.parameters, task.evaluation, task.settings.batchSize)
      checkAnswers(state.step, answers, task.evaluation)
      return { ...task.score(answers), inference }
    },
    release: async () => current?.predictor.release(),
  }
}

/** Evaluates one state on other examples than the run's evaluation. Yields after each batch how many examples are done. */
export async function* evaluateState<E extends TrainingExample, O>(
  { inBlocks: _, ...given }: TrainingTask<E, O>,
  { phase, parameters }: InferenceState,
  examples: Examples<E>,
  score: (answers: ReadonlyArray<O>) => Scored,
): AsyncGenerator<number, Scored> {
  const task = forLengths(given, examples, given.runtime.engine)
  const predictor = await openPredictor(task, task.objective, phase, task.runtime, { prepack: false })
  try {
    return score(yield* predictor.predictions(parameters, examples, task.settings.batchSize))
  } finally {
    await predictor.release()
  }
}
