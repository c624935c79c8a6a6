/** The key-value cache in a graph: in every layer, the cached keys and values precede those of the batch's tokens. */
import type { Expression } from '../graph/expression.js'
import { concat } from '../graph/operators.js'
import type { Wrap } from '../models/host.js'

/** The cache of one layer. [batch, keyValueHeads, tokens, headSize] each */
export type Cached = { readonly key: Expression; readonly value: Expression }

/**
 * `past` gives the cache of each layer. `present` holds the cache after the batch, once the model's graph is complete. A prefix of the host comes
 * before both, and is in neither.
 */
export const cache = (past: (layer: string) => Cached): { readonly wrap: Wrap; readonly present: ReadonlyMap<string, Cached> } => {
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
