/**
 * Dropout whose masks follow from the step's feeds. A pool of mask entries (0 or 1/(1 − p)) is fed once and for all; each site of each step
 * reads it at an offset of its own that the step feeds, so a mask is the same on every provider and a resumed run draws the same ones.
 */
import type { Expression } from '../../graph/expression.js'
import { input, mul, slice, sliceVector } from '../../graph/operators.js'

/** x with the mask of `site` applied. */
export type Dropout = (x: Expression, site: string) => Expression

/** One pool for each probability that is not zero; `sites` in the order of the offsets that a step feeds. */
export type DropoutPlan = { readonly dropout: Dropout; readonly sites: () => ReadonlyArray<DropoutSite> }
export type DropoutSite = { readonly site: string; readonly probability: number; readonly elements: Expression['shape'] }

export const noDropout: DropoutPlan = { dropout: (x) => x, sites: () => [] }

export const poolName = (probability: number): string => `dropoutPool(${probability})`

/** Dropout for `sites` expected in this order. @param probabilityOf 0 leaves a site alone. */
export const pooledDropout = (
  sites: ReadonlyArray<string>,
  probabilityOf: (site: string) => number,
  dtype: 'float32' | 'float64',
): DropoutPlan => {
  const active = sites.filter((site) => probabilityOf(site) > 0)
  if (active.length === 0) return noDropout
  const offsets = input('dropoutOffsets', [active.length], 'int64')
  const pools = new Map([...new Set(active.map(probabilityOf))].map((p) => [p, input(poolName(p), [`pool(${p})`], dtype)]))
  const used: DropoutSite[] = []
  return {
    sites: () => used,
    dropout: (x, site) => {
      const pool = pools.get(probabilityOf(site))
      if (pool === undefined) return x
      const at = active.indexOf(site)
      if (at < 0) throw new Error(`dropout: expected one of the sites ${active.join(', ')}, found ${site}`)
      used.push({ site, probability: probabilityOf(site), elements: x.shape })
      return mul(x, sliceVector(pool, slice(offsets, 0, at, 1), x))
    },
  }
}
