/** The key-value cache as a graph has it: keys and values of the tokens before a batch's own stand before them, in every layer. */
import type { Expression } from '../graph/expression.js'
import { concat } from '../graph/operators.js'
import type { Wrap } from '../models/host.js'

/** Of one layer. [batch, keyValueHeads, tokens, headSize] each */
export type Cached = { readonly key: Expression; readonly value: Expression }

/**
 * What `past` holds of each layer comes first, and before that what the host puts before every text; `present` tells, once the model is
 * written, what a cache is to hold after the batch: of texts alone.
 */
export const cache = (past: (layer: string) => Cached): { readonly wrap: Wrap; readonly present: ReadonlyMap<string, Cached> } => {
  const present = new Map<string, Cached>()
  return {
    present,
    wrap: (host) => ({
      ...host,
      keyValue: (layer, own) => {
        const before = past(layer)
        const all = { key: concat([before.key, own.key], 2), value: concat([before.value, own.value], 2) }
        present.set(layer, all)
        return host.keyValue(layer, { ...own, ...all }) // the bias counts them already: PaddedInputs.keyBias; a prefix comes before them, and into no cache
      },
    }),
  }
}
