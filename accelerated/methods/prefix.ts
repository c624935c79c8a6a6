/** Prefix tuning (Li and Liang, 2021) without its projection: in every layer, trained keys and values precede those of the text. */
import { z } from 'zod'
import type { Expression } from '../graph/expression.js'
import { concat, expand, reshape, scalar, slice, transpose } from '../graph/operators.js'
import type { KeyValue } from '../models/host.js'
import type { Method } from './method.js'
import { promptEmbeddings, promptMethod, promptShape, type PromptSettings } from './prompt.js'

/** A virtual token's numbers are a key and a value of each layer, in the order of `layers`. */
const schema = z.strictObject({ shape: promptShape, layers: z.array(z.string().max(500)).min(1).max(10_000) })
type PrefixPhase = z.infer<typeof schema>

export const prefix: Method<PromptSettings, PrefixPhase> = {
  name: 'prefix',
  summary: 'trained keys and values before each text, in every layer',
  settings: promptMethod.settings,
  train: {
    ...promptMethod.train,
    hook: 'keyValue',
    wrap: ({ shape: [, width], layers }, _, parameter) => {
      const size = width / (2 * layers.length) // every layer has the same number of heads, of the same size
      const block = (i: number): Expression => slice(parameter(promptEmbeddings), 1, i * size, size)
      return (host) => ({
        ...host,
        keyValue: (layer, text) => {
          const i = 2 * layers.indexOf(layer)
          return host.keyValue(layer, withPrefix(block(i), block(i + 1), text))
        },
      })
    },
    virtualTokens: ({ numVirtualTokens }) => ({ count: numVirtualTokens, at: 'attention' }),
  },
  phases: {
    ...promptMethod.phases,
    schema,
    start: ({ layers }, { numVirtualTokens }) => {
      const width = layers.reduce((sum, { heads, headSize }) => sum + 2 * heads * headSize, 0)
      return { shape: [numVirtualTokens, width], layers: layers.map(({ name }) => name) }
    },
  },
  reporting: promptMethod.reporting,
  export: { format: 'peftPrefix' },
}

/** The prefix before the keys and values of every text, and never masked. key, value: [virtual tokens, heads · headSize] */
const withPrefix = (key: Expression, value: Expression, text: KeyValue): KeyValue => {
  const [batch = 1, heads = 1, , headSize = 1] = text.key.shape
  const [count = 0] = key.shape
  const before = (prefixed: Expression, ofText: Expression): Expression => {
    const byHead = transpose(reshape(prefixed, [1, count, heads, headSize]), [0, 2, 1, 3]) // [1, heads, virtual tokens, headSize]
    return concat([expand(byHead, [batch, heads, count, headSize]), ofText], 2)
  }
  return {
    key: before(key, text.key),
    value: before(value, text.value),
    bias: concat([expand(scalar(0, text.bias.dtype), [batch, 1, text.bias.shape[2] ?? 1, count]), text.bias], 3),
  }
}
