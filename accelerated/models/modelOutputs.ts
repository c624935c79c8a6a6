/** What a model answers, as plain data: one row of outputs per sequence or per token, or the next token. The meaning of a task belongs to finetuning/tasks. */
import type { Head, Model } from './architecture.js'

/** transformers' `problem_type`: the loss of a sequence head, and the meaning of its outputs. */
export const problemTypes = ['single_label_classification', 'multi_label_classification', 'regression'] as const
export type ProblemType = (typeof problemTypes)[number]

/** A head over whole sequences: [examples, labels]. A regression has one output. */
export type SequenceOutputs = {
  readonly head: 'sequence'
  readonly labels: number
  readonly problemType: ProblemType
  /** The name of the task type that the head was trained for, as salora.json stores it. Absent: the one that `problemType` implies. */
  readonly taskType?: string
  /** Two texts are read together, so the embedding of one says nothing: the head is the model's own, and no linear probe. */
  readonly readsPairs?: true
}

/** A head over every token: [tokens, labels]. */
export type TokenOutputs = { readonly head: 'token'; readonly labels: number; readonly taskType?: string }

/** No head: the mean of a text's hidden states is its embedding. */
export type EmbeddingOutputs = { readonly head: 'embedding'; readonly labels: 0; readonly taskType?: string }

/** The head over the vocabulary: each token's logits are those of the next token. */
export type CausalOutputs = { readonly head: 'causal'; readonly labels: 0; readonly taskType?: string }

export type ModelOutputs = SequenceOutputs | TokenOutputs | EmbeddingOutputs | CausalOutputs

export const causalOutputs: CausalOutputs = { head: 'causal', labels: 0 }

/** The tensors of the head that a run trains. The head over the vocabulary is frozen, unless the method trains the whole model. */
export const selectHead = (
  model: Model,
  outputs: ModelOutputs,
  { train: { trainsAll = false } }: { readonly train: { readonly trainsAll?: boolean } } = { train: {} },
): Pick<Head, 'tensors'> => {
  if (outputs.head === 'sequence') return model.sequenceHead(outputs.labels)
  if (outputs.head === 'token') return buildTokenHead(model, outputs.labels)
  if (outputs.head === 'embedding') return { tensors: new Map() }
  return { tensors: trainsAll ? (model.causalHead?.().frozen ?? new Map()) : new Map() }
}

/** The tensors of a head whose first dimension is the number of outputs: a matrix, and a bias unless the model has none. */
export const outputTensors = (head: (outputs: number) => Pick<Head, 'tensors'>): readonly string[] => {
  const wider = head(3).tensors
  return [...head(2).tensors].flatMap(([name, [rows]]) => (wider.get(name)?.[0] === rows ? [] : [name]))
}

/** The head over every token. @throws Error for a model without one: a decoder */
export const buildTokenHead = (model: Model, labels: number): Head => {
  const head = model.tokenHead?.(labels)
  if (head === undefined) throw new Error(`buildTokenHead: expected an encoder, got ${model.type}`)
  return head
}

/** Whether other tools open the encoder without a class of theirs for the head: it has none, or it reads the embedding of a sentence encoder. */
export const isBare = (model: Model, { head }: Pick<ModelOutputs, 'head'>): boolean =>
  head === 'embedding' || (head === 'sequence' && model.naming.sequenceClassifier === bareClassName(model))

/** transformers' class of an encoder without a head: `BertModel`. */
export const bareClassName = ({ naming }: Model): string => naming.sequenceClassifier.replace(/ForSequenceClassification$/, 'Model')
