/** What a task means for a run, by its problem: the model's outputs and objective, the examples as tokens, and their scores. */
import type { ModelFolder } from '../../accelerated/files/modelFolder.js'
import type { Method } from '../../accelerated/methods/method.js'
import type { Model } from '../../accelerated/models/architecture.js'
import type { Examples } from '../../accelerated/models/packing.js'
import type { Objective, TrainingExample } from '../../accelerated/objectives/objective.js'
import type { Outputs } from '../../accelerated/objectives/outputs.js'
import type { Settings } from '../../accelerated/settings.js'
import type { Scored } from '../../accelerated/training/events.js'
import type { Example } from '../data/index.js'

export type Goal<E extends TrainingExample, O> = {
  readonly outputs: Outputs
  readonly objective: (model: Model, method: Method) => Objective<E, O>
  /** Opens the tokenizer. Throws Mistake. */
  readonly tokeniser: (base: ModelFolder, settings: Settings) => Promise<Tokeniser<E>>
  /** It keeps what it needs of the task, and no text. */
  readonly score: (answers: ReadonlyArray<O>) => Scored
  /** the most frequent answer and its share, where there is one */
  readonly majority: { readonly label: string; readonly share: number } | null
}

export type Tokeniser<E> = {
  readonly training: (texts: Iterable<Example>) => Examples<E>
  readonly evaluation: (texts: Iterable<Example>) => Examples<E>
  /** what to say of the texts, once they are tokens */
  readonly warnings: () => ReadonlyArray<string>
}

/** A goal of any examples and answers, for who can do with all. */
export type AnyGoal = <R>(use: <E extends TrainingExample, O>(goal: Goal<E, O>) => R) => R
