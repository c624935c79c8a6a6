/**
 * The host: what a model asks wherever somebody may want a say. A model is written once and never mentions a method; a method, dropout and a
 * precision are each a wrap of a host, and the plain host is the plain model.
 */
import type { Expression } from '../graph/expression.js'
import { add, matMul } from '../graph/operators.js'
import type { BatchInputs } from './batchInputs.js'

/** A tensor by its canonical name, in the graph's dtype: frozen (a weight) or trained (a part of the parameter vector). */
export type TensorSource = (name: string) => Expression

/** Keys and values of one layer, and what is added to the scores. key, value: [batch, heads, keys, headSize]; bias: [batch, 1, 1, keys] */
export type KeyValue = { readonly key: Expression; readonly value: Expression; readonly bias: Expression }

/** What stands around a sublayer: its input, which is added to its output, and the norm after that. Both [tokens, hidden]. */
export type Around = { readonly residual: Expression; readonly norm: (x: Expression) => Expression }

export type Host = {
  readonly tensor: TensorSource
  /** x Wᵀ + b of the matrix of this name. x: [tokens, in] → [tokens, out] */
  readonly linear: (name: string, x: Expression) => Expression
  /** A sublayer's output before its residual is added. x: [tokens, hidden] → [tokens, hidden] */
  readonly sublayer: (name: string, x: Expression, around: Around) => Expression
  readonly keyValue: (layer: string, own: KeyValue) => KeyValue
  /** The word embeddings, before positions and types are added. words: [tokens, hidden] → [tokens, hidden] */
  readonly embedded: (words: Expression, batch: Pick<BatchInputs, 'virtualToken'>) => Expression
  /** @param probability of a value to be dropped */
  readonly dropout: (site: string, x: Expression, probability: number) => Expression
}

export type Wrap = (host: Host) => Host

/** The plain model on these tensors: no method, no dropout. */
export const plainHost = (tensor: TensorSource): Host => ({
  tensor,
  linear: (name, x) => add(matMul(x, tensor(`${name}.weight`), { transposeB: true }), tensor(`${name}.bias`)),
  sublayer: (_, x) => x,
  keyValue: (_, own) => own,
  embedded: (words) => words,
  dropout: (_, x) => x,
})

/** The trained tensor where there is one, else the frozen one. */
export const trainedOrFrozen =
  (trained: ReadonlyMap<string, Expression>, frozen: TensorSource): TensorSource =>
  (name) =>
    trained.get(name) ?? frozen(name)
