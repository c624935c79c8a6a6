/** What a model is to answer, whatever the checkpoint's own config.json says: one of some classes, a number, sets of classes, or the next token. */
import type { Head, Model } from '../models/architecture.js'

/** classification: one class an example · multi-label: any number of them, each decided by itself */
export type SequenceProblem = 'classification' | 'regression' | 'multi-label'

/** causal: of each token the one after it */
export type Problem = SequenceProblem | 'causal'

/** A regression has one output. */
export type SequenceOutputs = { readonly labels: number; readonly problem: SequenceProblem }

/** What the task decides. Text has no outputs of its own: its logits are over the vocabulary. */
export type Outputs = SequenceOutputs | { readonly labels: 0; readonly problem: 'causal' }

/** Outputs of next tokens. */
export const causalOutputs: Outputs = { labels: 0, problem: 'causal' }

/** The head that a run trains. That over the vocabulary is the model's own, frozen but for a method that trains all of the model. */
export const headOf = (
  model: Model,
  { labels, problem }: Outputs,
  { trainsAll = false }: { readonly trainsAll?: boolean } = {},
): Pick<Head, 'tensors'> => {
  if (problem !== 'causal') return model.sequenceHead(labels)
  return { tensors: trainsAll ? (model.causalHead?.().frozen ?? new Map()) : new Map() }
}
