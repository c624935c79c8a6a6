/**
 * Dropout whose masks follow from the step's feeds. A pool of mask entries (0 or 1/(1 − p)) is drawn once per run, and each step feeds each site's
 * offset in it. Masks are therefore the same on every provider and in a resumed run.
 */
import type { DType, Expression } from '../../graph/expression.js'
import { input, mul, sliceVector } from '../../graph/operators.js'
import type { Wrap } from '../host.js'

/** A place with a dropout mask, and the mask's shape. */
export type DropoutSite = { readonly site: string; readonly probability: number; readonly shape: Expression['shape'] }

/** `sites` in the order in which the graph used them. */
type DropoutPlan = { readonly wrap: Wrap; readonly sites: () => readonly DropoutSite[] }

export const poolName = (probability: number): string => `dropoutPool(${probability})`
export const offsetName = (site: string): string => `dropoutOffset(${site})`

/** Inputs: one pool for each probability that is not 0, and an offset for each site: int64 [1]. */
export const pooledDropout = (dtype: DType): DropoutPlan => {
  const used: DropoutSite[] = []
  return {
    sites: () => used,
    wrap: (host) => ({
      ...host,
      dropout: (site, x, probability) => {
        if (probability === 0) return x
        if (used.some((other) => other.site === site)) throw new Error(`dropout: expected each site once, got ${site} twice`)
        used.push({ site, probability, shape: x.shape })
        const pool = input(poolName(probability), [`pool(${probability})`], dtype)
        return mul(x, sliceVector(pool, input(offsetName(site), [1], 'int64'), x))
      },
    }),
  }
}
