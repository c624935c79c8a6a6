/** Task types: the model predicts one class, a number, any number of classes, or the next token. */
import type { Head, Model } from '../models/architecture.js'

/** classification: one class for each example · multi-label: any number of classes, each decided independently */
export type SequenceTaskType = 'classification' | 'regression' | 'multi-label'

/** causal: the token after each token */
export type TaskType = SequenceTaskType | 'causal'

/** A regression has one output. */
export type SequenceOutputs = { readonly labels: number; readonly taskType: SequenceTaskType }

/** The outputs that a task needs. The logits of causal are over the vocabulary, so it has no labels of its own. */
export type TaskOutputs = SequenceOutputs | { readonly labels: 0; readonly taskType: 'causal' }

export const causalOutputs: TaskOutputs = { labels: 0, taskType: 'causal' }

/** The head that a run trains. The head over the vocabulary is the model's own: only a method that trains the whole model trains it. */
export const headOf = (
  model: Model,
  { labels, taskType }: TaskOutputs,
  { train: { trainsAll = false } }: { readonly train: { readonly trainsAll?: boolean } } = { train: {} },
): Pick<Head, 'tensors'> => {
  if (taskType !== 'causal') return model.sequenceHead(labels)
  return { tensors: trainsAll ? (model.causalHead?.().frozen ?? new Map()) : new Map() }
}
