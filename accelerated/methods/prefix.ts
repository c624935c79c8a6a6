/** Prefix tuning (Li and Liang, 2021) without its projection: in every layer trained keys and values stand before those of the text. */
import { z } from 'zod'
import type { Expression } from '../graph/expression.js'
import { concat, expand, reshape, scalar, slice, transpose } from '../graph/operators.js'
import type { KeyValue } from '../models/host.js'
import { checkHookSupported, type Method } from './method.js'
import { promptEmbeddings, promptMethod, promptShape, type PromptSettings } from './promptEmbeddings.js'

/** A virtual token's numbers are a key and a value of each layer, in the order of `layers`. */
const phase = z.strictObject({ shape: promptShape, layers: z.array(z.string().max(500)).min(1).max(10_000) })
export type PrefixPhase = z.infer<typeof phase>

export const prefix: Method<PromptSettings, PrefixPhase> = {
  name: 'prefix',
  summary: 'trained keys and values before each text, in every layer',
  ...promptMethod,
  phase,
  start: (outline, { numVirtualTokens }) => {
    checkHookSupported(outline, 'keyValue', 'prefix')
    const { layers } = outline
    const width = layers.reduce((sum, { heads, headSize }) => sum + 2 * heads * headSize, 0)
    return { shape: [numVirtualTokens, width], layers: layers.map(({ name }) => name) }
  },
  wrap: ({ shape: [, width], layers }, _, parameter) => {
    const own = width / (2 * layers.length) // all layers have as many heads of one size
    const block = (i: number): Expression => slice(parameter(promptEmbeddings), 1, i * own, own)
    return (host) => ({
      ...host,
      keyValue: (layer, text) => {
        const at = 2 * layers.indexOf(layer)
        return host.keyValue(layer, withPrefix(block(at), block(at + 1), text))
      },
    })
  },
  virtualTokens: ({ numVirtualTokens }) => ({ count: numVirtualTokens, at: 'attention' }),
  format: 'peftPrefix',
}

/** The same prefix before the keys and values of every text, and never masked. key, value: [virtual tokens, heads · headSize] */
const withPrefix = (key: Expression, value: Expression, own: KeyValue): KeyValue => {
  const [batch = 1, heads = 1, , headSize = 1] = own.key.shape
  const [count = 0] = key.shape
  const before = (x: Expression, text: Expression): Expression => {
    const byHead = transpose(reshape(x, [1, count, heads, headSize]), [0, 2, 1, 3]) // [1, heads, virtual tokens, headSize]
    return concat([expand(byHead, [batch, heads, count, headSize]), text], 2)
  }
  return {
    key: before(key, own.key),
    value: before(value, own.value),
    bias: concat([expand(scalar(0, own.bias.dtype), [batch, 1, own.bias.shape[2] ?? 1, count]), own.bias], 3),
  }
}
