/** Causal self-attention in which several heads of queries share one of keys and values (Vaswani et al., 2017; Ainslie et al., 2023). */
import { matMul } from '../tensor/matMul.js'
import { mismatch } from '../tensor/shape.js'
import { add, checkShape, generate, matrixShape, scaleBy, slice, stackColumns, stackRows, type Tensor } from '../tensor/tensor.js'
import type { QueryKeyValue } from './attention.js'
import { softCap, softCapVjp } from './softCap.js'
import { softmax, softmaxVjp } from './softmax.js'

export interface CausalAttentionSettings {
  readonly heads: number
  /** A divisor of `heads`: query head h reads head ⌊h · keyValueHeads / heads⌋. */
  readonly keyValueHeads: number
  readonly headSize: number
  /** Tokens of each example. */
  readonly lengths: readonly number[]
  /** the factor of the scores; null: 1 / √headSize */
  readonly scale: number | null
  /** the soft cap of the scores; null: none */
  readonly cap: number | null
  /** Each token sees itself and the window − 1 before it; null: all before it. */
  readonly window: number | null
}

const count = (n: number): readonly number[] => Array.from({ length: n }, (_, i) => i)

const findRows = ({ lengths }: CausalAttentionSettings, example: number): readonly [number, number] => {
  const start = lengths.slice(0, example).reduce((total, n) => total + n, 0)
  return [start, start + lengths[example]!]
}

/** One head's columns of one example's rows. */
const part = ({ headSize }: CausalAttentionSettings, x: Tensor, [from, to]: readonly [number, number], head: number): Tensor =>
  slice(x, [from, head * headSize], [to, (head + 1) * headSize])

const attentionScale = ({ scale, headSize }: CausalAttentionSettings): number => scale ?? 1 / Math.sqrt(headSize)

/** Q Kᵀ times the factor: [length, length] */
const products = (settings: CausalAttentionSettings, query: Tensor, key: Tensor): Tensor =>
  scaleBy(attentionScale(settings))(matMul(query, key, { transposeY: true }))

/** softmax(cap(Q Kᵀ · factor)) over the tokens that each may see; 0 elsewhere. → [length, length] */
const probabilities = (settings: CausalAttentionSettings, query: Tensor, key: Tensor): Tensor => {
  const { window, cap } = settings
  const scores = softCap(cap)(products(settings, query, key))
  const [length] = matrixShape('causalAttention', scores)
  const visible = (i: number, j: number): boolean => j <= i && (window === null || j > i - window)
  return softmax(generate(scores.shape, (at) => (visible(Math.floor(at / length), at % length) ? scores.data[at]! : -Infinity)))
}

const check = (settings: CausalAttentionSettings, { query, key, value }: QueryKeyValue): void => {
  const { heads, keyValueHeads, headSize, lengths } = settings
  if (heads % keyValueHeads !== 0) mismatch('causalAttention', `keyValueHeads that divide ${heads}`, String(keyValueHeads))
  const tokens = lengths.reduce((total, n) => total + n, 0)
  checkShape('causalAttention', query, [tokens, heads * headSize])
  ;[key, value].forEach((x) => checkShape('causalAttention', x, [tokens, keyValueHeads * headSize]))
}

/** The head of keys and values that a head of queries reads. */
const shared = ({ heads, keyValueHeads }: CausalAttentionSettings, head: number): number => Math.floor((head * keyValueHeads) / heads)

/** query: [tokens, heads · headSize], key, value: [tokens, keyValueHeads · headSize] → [tokens, heads · headSize] */
export const causalAttention =
  (settings: CausalAttentionSettings) =>
  (inputs: QueryKeyValue): Tensor => {
    check(settings, inputs)
    const context = (example: number, head: number): Tensor => {
      const rows = findRows(settings, example)
      const [q, k, v] = sliceHead(settings, inputs, rows, head)
      return matMul(probabilities(settings, q, k), v)
    }
    return stackRows(settings.lengths.map((_, example) => stackColumns(count(settings.heads).map((head) => context(example, head)))))
  }

const sliceHead = (
  settings: CausalAttentionSettings,
  { query, key, value }: QueryKeyValue,
  rows: readonly [number, number],
  head: number,
): readonly [Tensor, Tensor, Tensor] => [
  part(settings, query, rows, head),
  part(settings, key, rows, shared(settings, head)),
  part(settings, value, rows, shared(settings, head)),
]

/** Vjp: a shared head's gradient is the sum over the heads that read it. yBar: [tokens, heads · headSize] → as the inputs */
export const causalAttentionVjp =
  (settings: CausalAttentionSettings) =>
  (inputs: QueryKeyValue, yBar: Tensor): QueryKeyValue => {
    check(settings, inputs)
    const gradients = (example: number, head: number): QueryKeyValue => {
      const rows = findRows(settings, example)
      const [q, k, v] = sliceHead(settings, inputs, rows, head)
      const [p, y] = [probabilities(settings, q, k), part(settings, yBar, rows, head)]
      const cappedBar = softmaxVjp(p, matMul(y, v, { transposeY: true }))
      const scoresBar = scaleBy(attentionScale(settings))(softCapVjp(settings.cap)(products(settings, q, k), cappedBar))
      return {
        query: matMul(scoresBar, k),
        key: matMul(scoresBar, q, { transposeX: true }),
        value: matMul(p, y, { transposeX: true }),
      }
    }
    const all = settings.lengths.map((_, example) => count(settings.heads).map((head) => gradients(example, head)))
    const summed = (heads: readonly QueryKeyValue[], pick: (gradient: QueryKeyValue) => Tensor): Tensor =>
      stackColumns(
        count(settings.keyValueHeads).map((own) =>
          heads
            .filter((_, head) => shared(settings, head) === own)
            .map(pick)
            .reduce(add),
        ),
      )
    return {
      query: stackRows(all.map((heads) => stackColumns(heads.map(({ query }) => query)))),
      key: stackRows(all.map((heads) => summed(heads, ({ key }) => key))),
      value: stackRows(all.map((heads) => summed(heads, ({ value }) => value))),
    }
  }
