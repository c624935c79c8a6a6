/** What a model is to answer, whatever the checkpoint's own config.json says: one of some classes, a number, sets of classes, or the next token. */
import type { Head, Model } from '../models/architecture.js'

/** classification: one class an example · multi-label: any number of them, each decided by itself */
export type SequenceTaskType = 'classification' | 'regression' | 'multi-label'

/** causal: of each token the one after it */
export type TaskType = SequenceTaskType | 'causal'

/** A regression has one output. */
export type SequenceOutputs = { readonly labels: number; readonly taskType: SequenceTaskType }

/** What the task decides. Text has no outputs of its own: its logits are over the vocabulary. */
export type TaskOutputs = SequenceOutputs | { readonly labels: 0; readonly taskType: 'causal' }

/** Outputs of next tokens. */
export const causalOutputs: TaskOutputs = { labels: 0, taskType: 'causal' }

/** The head that a run trains. That over the vocabulary is the model's own, frozen but for a method that trains all of the model. */
export const headOf = (
  model: Model,
  { labels, taskType }: TaskOutputs,
  { train: { trainsAll = false } }: { readonly train: { readonly trainsAll?: boolean } } = { train: {} },
): Pick<Head, 'tensors'> => {
  if (taskType !== 'causal') return model.sequenceHead(labels)
  return { tensors: trainsAll ? (model.causalHead?.().frozen ?? new Map()) : new Map() }
}
