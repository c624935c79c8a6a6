/** The key-value cache in a graph: in every layer, the cached keys and values precede those of the batch's tokens. */
import type { Expression } from '../graph/expression.js'
import { cachedAttention, concat, flattenRows, reshape } from '../graph/operators.js'
import type { Wrap } from '../models/host.js'

/** The cache of one layer. [batch, keyValueHeads, tokens, headSize] each */
export type Cached = { readonly key: Expression; readonly value: Expression }

type Cache = { readonly wrap: Wrap; readonly present: ReadonlyMap<string, Cached> }

/**
 * `past` gives the cache of each layer. `present` holds the cache after the batch, once the model's graph is complete. A prefix of the host comes
 * before both, and is in neither.
 */
export const cache = (past: (layer: string) => Cached): Cache => {
  const present = new Map<string, Cached>()
  return {
    present,
    wrap: (host) => ({
      ...host,
      keyValue: (layer, batch) => {
        const before = past(layer)
        const all = { key: concat([before.key, batch.key], 2), value: concat([before.value, batch.value], 2) }
        present.set(layer, all)
        return host.keyValue(layer, { ...batch, ...all }) // the bias already covers the cache: see PaddedInputs.keyBias
      },
    }),
  }
}

/**
 * The same with room for more tokens in `past`, where attention is one node that writes into it: nothing copies the cache. The host adds no keys.
 * @param keyCount the number of cached and new tokens: int32 [1] @param names of the parts of a layer's cache after the batch
 */
export const roomyCache = (
  past: (layer: string) => Cached,
  keyCount: Expression,
  names: (layer: string) => readonly [key: string, value: string],
): Cache => {
  const present = new Map<string, Cached>()
  return {
    present,
    wrap: (host) => ({
      ...host,
      attention: (layer, { query, key, value, bias, scale, cap }) => {
        const [batch = 1, , sequence = 1] = bias.shape
        const cached = past(layer)
        const nothingAdded = { ...cached, bias }
        if (host.keyValue(layer, nothingAdded) !== nothingAdded)
          throw new Error(`roomyCache: expected a host that adds no keys, got some in ${layer}`)
        const rows = (x: Expression): Expression => reshape(x, [batch, sequence, x.shape[1] ?? 1])
        const operands = { query: rows(query), key: rows(key), value: rows(value) }
        const { attended, present: after } = cachedAttention(operands, cached, bias, keyCount, { scale, cap, names: names(layer) })
        present.set(layer, after)
        return flattenRows(attended)
      },
    }),
  }
}
