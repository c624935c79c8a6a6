/** Multi-head scaled dot-product self-attention (Vaswani et al., 2017), within each example of a batch. */
import { matMul } from '../tensor/matMul.js'
import { checkShape, matrixShape, reshape, scaleBy, slice, stackColumns, stackRows, type Tensor, add } from '../tensor/tensor.js'
import { dropout, dropoutVjp } from './dropout.js'
import { softmax, softmaxVjp } from './softmax.js'
import { adaptedLinear, type ModelTensors } from './adaptedLinear.js'
import { sequence, type Layer } from './layer.js'

/** Queries, keys and values: each [tokens, hidden], the examples' tokens one after another. */
export interface QueryKeyValue {
  readonly query: Tensor
  readonly key: Tensor
  readonly value: Tensor
}

export interface AttentionSettings {
  readonly heads: number
  /** Tokens of each example. No position is padding, so none has to be masked out. */
  readonly lengths: readonly number[]
  /** Dropout mask of the probabilities, [batch, heads, sequence, sequence], sequence being the longest length. */
  readonly mask?: Tensor | undefined
}

/** The rows of one example and the columns of one head. */
interface Block {
  readonly example: number
  readonly head: number
  readonly from: readonly [number, number]
  readonly to: readonly [number, number]
}

const count = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)

/** The blocks of each example, head by head. */
const listBlocks = ({ heads, lengths }: AttentionSettings, hidden: number): readonly (readonly Block[])[] => {
  const width = hidden / heads
  if (!Number.isInteger(width)) throw new Error(`attention: expected heads that divide ${hidden}, got ${heads}`)
  return lengths.map((length, example) => {
    const start = lengths.slice(0, example).reduce((total, n) => total + n, 0)
    return count(heads).map((head) => ({
      example,
      head,
      from: [start, head * width] as const,
      to: [start + length, (head + 1) * width] as const,
    }))
  })
}

const part = (x: Tensor, { from, to }: Block): Tensor => slice(x, from, to)

/** The mask of one example and head: [length, length] */
const sliceMask = ({ mask }: AttentionSettings, { example, head, from, to }: Block): Tensor | undefined => {
  const length = to[0] - from[0]
  return mask === undefined
    ? undefined
    : reshape(slice(mask, [example, head, 0, 0], [example + 1, head + 1, length, length]), [length, length])
}

/** softmax(Q Kᵀ / √width): [length, length] */
const probabilities = (query: Tensor, key: Tensor): Tensor =>
  softmax(scaleBy(1 / Math.sqrt(matrixShape('attention', query)[1]))(matMul(query, key, { transposeY: true })))

const assemble = (blocks: readonly (readonly Tensor[])[]): Tensor => stackRows(blocks.map(stackColumns))

/** dropout(softmax(Q Kᵀ / √width)) V for each example and head → [tokens, hidden] */
export const attention =
  (settings: AttentionSettings) =>
  ({ query, key, value }: QueryKeyValue): Tensor => {
    const tokens = settings.lengths.reduce((total, n) => total + n, 0)
    const [, hidden] = matrixShape('attention', query)
    ;[query, key, value].forEach((x) => checkShape('attention', x, [tokens, hidden]))
    const context = (block: Block): Tensor =>
      matMul(dropout(sliceMask(settings, block), probabilities(part(query, block), part(key, block))), part(value, block))
    return assemble(listBlocks(settings, hidden).map((blocks) => blocks.map(context)))
  }

/** Vjp of attention, block by block. yBar: [tokens, hidden] → each [tokens, hidden] */
export const attentionVjp =
  (settings: AttentionSettings) =>
  ({ query, key, value }: QueryKeyValue, yBar: Tensor): QueryKeyValue => {
    const [, hidden] = matrixShape('attentionVjp', query)
    const gradients = (block: Block): QueryKeyValue => {
      const [q, k, v, y] = [part(query, block), part(key, block), part(value, block), part(yBar, block)] as const
      const mask = sliceMask(settings, block)
      const p = probabilities(q, k) // [length, length]
      const pBar = dropoutVjp(mask, matMul(y, v, { transposeY: true }))
      const scoresBar = scaleBy(1 / Math.sqrt(matrixShape('attentionVjp', q)[1]))(softmaxVjp(p, pBar))
      return {
        query: matMul(scoresBar, k),
        key: matMul(scoresBar, q, { transposeX: true }),
        value: matMul(dropout(mask, p), y, { transposeX: true }),
      }
    }
    const all = listBlocks(settings, hidden).map((blocks) => blocks.map(gradients))
    const collect = (pick: (gradient: QueryKeyValue) => Tensor): Tensor => assemble(all.map((blocks) => blocks.map(pick)))
    return { query: collect((g) => g.query), key: collect((g) => g.key), value: collect((g) => g.value) }
  }

// The attention block of an encoder layer: W_O attention(W_Q x, W_K x, W_V x).
/** x: [tokens, hidden] → [tokens, hidden] */
const mixing =
  (model: ModelTensors, settings: AttentionSettings, layer: string): Layer =>
  (x) => {
    const query = adaptedLinear(model, `${layer}.attention.self.query`)(x)
    const key = adaptedLinear(model, `${layer}.attention.self.key`)(x)
    const value = adaptedLinear(model, `${layer}.attention.self.value`)(x)
    const inputs = { query: query.value, key: key.value, value: value.value }
    return {
      value: attention(settings)(inputs),
      pullback: (yBar) => {
        const bars = attentionVjp(settings)(inputs, yBar)
        const [q, k, v] = [query.pullback(bars.query), key.pullback(bars.key), value.pullback(bars.value)] as const
        return { x: add(add(q.x, k.x), v.x), gradients: { ...q.gradients, ...k.gradients, ...v.gradients } }
      },
    }
  }

/** x: [tokens, hidden] → [tokens, hidden] */
export const selfAttention = (model: ModelTensors, settings: AttentionSettings, layer: string): Layer =>
  sequence(mixing(model, settings, layer), adaptedLinear(model, `${layer}.attention.output.dense`))
