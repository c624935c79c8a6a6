/** What a task means for a run, by its problem: the model's outputs and objective, the examples as tokens, and their scores. */
import type { ModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import type { Method } from '../../accelerated/methods/method.js'
import type { Model } from '../../accelerated/models/architecture.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import type { TaskOutputs } from '../../accelerated/objectives/taskType.js'
import type { Settings } from '../../accelerated/training/settings.js'
import type { Scored } from '../../accelerated/training/events.js'
import type { ExampleTokenizer } from '../tokens/exampleTokenizer.js'

export type TaskAdapter<E extends TrainingExample, O> = {
  readonly outputs: TaskOutputs
  readonly objective: (model: Model, method: Method) => Objective<E, O>
  /** Opens the tokenizer. Throws Mistake. */
  readonly tokenizer: (base: ModelFolder, settings: Settings) => Promise<ExampleTokenizer<E>>
  /** It keeps what it needs of the task, and no text. */
  readonly score: (answers: ReadonlyArray<O>) => Scored
  /** the most frequent answer and its share, where there is one */
  readonly majority: { readonly label: string; readonly share: number } | null
}

/** A goal of any examples and answers, for who can do with all. */
export type AnyTaskAdapter = <R>(use: <E extends TrainingExample, O>(goal: TaskAdapter<E, O>) => R) => R
