/** Feeds of dropout: the pools, drawn once for a run, and each step's offsets into them. */
import { sizeOfDimension } from '../graph/dimension.js'
import type { FloatType } from '../graph/expression.js'
import type { DropoutSite } from '../models/layers/dropout.js'
import { offsetName, poolName } from '../models/layers/dropout.js'
import type { Feeds } from '../engines/feeds.js'
import { floatFeed } from '../engines/feeds.js'
import { uniforms } from '../parameters/random.js'

/** Sizes of a step's named dimensions, by name. */
export type Dimensions = Readonly<Record<string, number>>

/** Entries of a pool beyond the largest mask, so that two steps rarely read the same entries. */
export const slack = 1 << 20

/** Entries of a mask. */
export const elementsOf = ({ site, shape }: DropoutSite, dimensions: Dimensions): number =>
  shape.reduce<number>((product, d) => product * sizeOfDimension(d, dimensions, site), 1)

/** Pools of 0 and 1/(1 − p), large enough for batches up to `largest`. */
export const dropoutPools = (seed: number, sites: ReadonlyArray<DropoutSite>, largest: Dimensions, dtype: FloatType): Feeds => {
  const probabilities = [...new Set(sites.map(({ probability }) => probability))]
  return Object.fromEntries(
    probabilities.map((p, i) => {
      const masks = sites.filter(({ probability }) => probability === p).map((site) => elementsOf(site, largest))
      const size = masks.reduce((most, elements) => Math.max(most, elements), 0) + slack
      const entries = uniforms(seed, 'dropoutPool', i, size).map((u) => (u < p ? 0 : 1 / (1 - p)))
      return [poolName(p), floatFeed(entries, [size], dtype)]
    }),
  )
}

/** The offsets of one pass. @param draw a number that no other pass of the run has */
export const dropoutOffsets = (
  seed: number,
  draw: number,
  sites: ReadonlyArray<DropoutSite>,
  pools: Feeds,
  dimensions: Dimensions,
): Feeds => {
  const u = uniforms(seed, 'dropoutOffsets', draw, sites.length)
  return Object.fromEntries(
    sites.map((site, i) => {
      const elements = elementsOf(site, dimensions)
      const spare = (pools[poolName(site.probability)]?.shape[0] ?? 0) - elements
      if (!(spare >= 0))
        throw new Error(`dropoutOffsets: expected a pool that holds ${elements} entries for ${site.site}, got ${-spare} too few`)
      return [offsetName(site.site), { data: BigInt64Array.of(BigInt(Math.floor((u[i] ?? 0) * (spare + 1)))), shape: [1] }]
    }),
  )
}
