/**
 * The host: what a model asks wherever somebody may want a say. A model is written once and never mentions a method; a method, dropout and a
 * precision are each a wrap of a host, and the plain host is the plain model.
 */
import type { Expression } from '../graph/expression.js'
import { add, matMul } from '../graph/operators.js'
import type { BatchInputs } from './batchInputs.js'

/** A tensor by its canonical name, in the graph's dtype: frozen (a weight) or trained (a part of the parameter vector). */
export type TensorSource = (name: string) => Expression

/** Keys and values of one layer, and what is added to the scores. key, value: [batch, heads, keys, headSize]; bias: [batch, 1, 1 or queries, keys] */
export type KeyValue = { readonly key: Expression; readonly value: Expression; readonly bias: Expression }

/** What stands around a sublayer: its input, which is added to its output, and the norm after that. Both [tokens, hidden]. */
export type SublayerContext = { readonly residual: Expression; readonly norm: (x: Expression) => Expression }

export type Host = {
  readonly tensor: TensorSource
  /** b of the matrix of this name; null where it has none */
  readonly bias: (matrix: string) => Expression | null
  /** x Wᵀ + b of the matrix of this name. x: [tokens, in] → [tokens, out] */
  readonly linear: (name: string, x: Expression) => Expression
  /** A sublayer's output before its residual is added. x: [tokens, hidden] → [tokens, hidden] */
  readonly sublayer: (name: string, x: Expression, around: SublayerContext) => Expression
  readonly keyValue: (layer: string, own: KeyValue) => KeyValue
  /** The word embeddings, before positions and types are added. words: [tokens, width] → [tokens, width] */
  readonly embedded: (words: Expression, batch: Pick<BatchInputs, 'virtualToken'>) => Expression
  /** @param probability of a value to be dropped */
  readonly dropout: (site: string, x: Expression, probability: number) => Expression
  /** What a layer of this name makes of its input. x: [tokens, hidden] → [tokens, hidden] */
  readonly layer: (name: string, body: (x: Expression) => Expression) => (x: Expression) => Expression
}

export type Wrap = (host: Host) => Host

/** The plain model on these tensors: no method, no dropout. @param has whether there is a bias of this name; by default there is */
export const plainHost = (tensor: TensorSource, has: (name: string) => boolean = () => true): Host => {
  const bias = (matrix: string): Expression | null => (has(`${matrix}.bias`) ? tensor(`${matrix}.bias`) : null)
  return {
    tensor,
    bias,
    linear: (name, x) => withBias(matMul(x, tensor(`${name}.weight`), { transposeB: true }), bias(name)),
    sublayer: (_, x) => x,
    keyValue: (_, own) => own,
    embedded: (words) => words,
    dropout: (_, x) => x,
    layer: (_, body) => body,
  }
}

export const withBias = (product: Expression, bias: Expression | null): Expression => (bias === null ? product : add(product, bias))

/** The trained tensor where there is one, else the frozen one. */
export const trainedOrFrozen =
  (trained: ReadonlyMap<string, Expression>, frozen: TensorSource): TensorSource =>
  (name) =>
    trained.get(name) ?? frozen(name)
