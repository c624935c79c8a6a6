/**
 * The host: a model calls it wherever a method, dropout or a precision may change the computation. Each of these wraps a host, so models never mention
 * them. The plain host is the plain model.
 */
import type { Expression } from '../graph/expression.js'
import { add, gather, matMul } from '../graph/operators.js'
import type { BatchInputs } from './batchInputs.js'

/** A tensor by canonical name, in the graph's dtype: frozen (a weight) or trained (a part of the parameter vector). */
export type TensorSource = (name: string) => Expression

/** Keys and values of one layer, and the bias of the scores. key, value: [batch, heads, keys, headSize]; bias: [batch, 1, 1 or queries, keys] */
export type KeyValue = { readonly key: Expression; readonly value: Expression; readonly bias: Expression }

/** Queries, keys and values [tokens, hidden], the bias of the scores, and of QKᵀ the factor and the soft cap (null: none). */
type AttentionOperands = Readonly<Record<'query' | 'key' | 'value' | 'bias', Expression>> & {
  readonly scale: number
  readonly cap: number | null
}

/** The surroundings of a sublayer: its residual input, and the norm after the addition. Both [tokens, hidden]. */
export type SublayerContext = { readonly residual: Expression; readonly norm: (x: Expression) => Expression }

export type Host = {
  readonly tensor: TensorSource
  /** b of this matrix; null if it has none */
  readonly bias: (matrix: string) => Expression | null
  /** x Wᵀ + b. x: [tokens, in] → [tokens, out] */
  readonly linear: (name: string, x: Expression) => Expression
  /** Rows of a table of words by token. ids: int32 [...] → [..., width] */
  readonly wordRows: (table: string, ids: Expression) => Expression
  /** Logits of the words of a table: the product of x and each of its rows. x: [rows, width] → [rows, vocabulary] */
  readonly wordLogits: (table: string, x: Expression) => Expression
  /** A sublayer's output before its residual is added. x: [tokens, hidden] → [tokens, hidden] */
  readonly sublayer: (name: string, x: Expression, around: SublayerContext) => Expression
  readonly keyValue: (layer: string, keyValue: KeyValue) => KeyValue
  /** A layer's attention. computed: as the model composes it, with keyValue. → [tokens, hidden] */
  readonly attention: (layer: string, operands: AttentionOperands, computed: () => Expression) => Expression
  /** The word embeddings, before positions and types are added. words: [tokens, width] → [tokens, width] */
  readonly embedded: (words: Expression, batch: Pick<BatchInputs, 'virtualToken'>) => Expression
  /** @param probability of dropping a value */
  readonly dropout: (site: string, x: Expression, probability: number) => Expression
  /** The function of a layer. x: [tokens, hidden] → [tokens, hidden] */
  readonly layer: (name: string, body: (x: Expression) => Expression) => (x: Expression) => Expression
}

export type Wrap = (host: Host) => Host

/** The plain model on these tensors, without method and dropout. @param has whether a bias exists (default: always) */
export const plainHost = (tensor: TensorSource, has: (name: string) => boolean = () => true): Host => {
  const bias = (matrix: string): Expression | null => (has(`${matrix}.bias`) ? tensor(`${matrix}.bias`) : null)
  return {
    tensor,
    bias,
    linear: (name, x) => withBias(matMul(x, tensor(`${name}.weight`), { transposeB: true }), bias(name)),
    wordRows: (table, ids) => gather(tensor(table), ids),
    wordLogits: (table, x) => matMul(x, tensor(table), { transposeB: true }),
    sublayer: (_, x) => x,
    keyValue: (_, keyValue) => keyValue,
    attention: (_, __, computed) => computed(),
    embedded: (words) => words,
    dropout: (_, x) => x,
    layer: (_, body) => body,
  }
}

export const withBias = (product: Expression, bias: Expression | null): Expression => (bias === null ? product : add(product, bias))

/** The trained tensor if there is one, else the frozen one. */
export const trainedOrFrozen =
  (trained: ReadonlyMap<string, Expression>, frozen: TensorSource): TensorSource =>
  (name) =>
    trained.get(name) ?? frozen(name)
