/** Feeds of dropout: the pools, drawn once a run, and each step's offsets into them. */
import type { Feeds } from '../runtime/feeds.js'
import { floatFeed } from '../runtime/feeds.js'
import type { DropoutSite } from '../models/layers/dropout.js'
import { poolName } from '../models/layers/dropout.js'
import { uniforms } from './random.js'
import type { Scalar } from './trainingStep.js'

/** Sizes of a step's named dimensions, by name. */
export type Dimensions = Readonly<Record<string, number>>

/** Places a pool has beyond the largest mask, so that two steps rarely read the same stretch. */
const slack = 1 << 20

const elementsOf = ({ elements }: DropoutSite, dimensions: Dimensions): number =>
  elements.reduce<number>((product, d) => product * (typeof d === 'number' ? d : (dimensions[d] ?? NaN)), 1)

/** Pools of 0 and 1/(1 − p), large enough for batches up to `largest`. */
export const dropoutPools = (seed: number, sites: ReadonlyArray<DropoutSite>, largest: Dimensions, dtype: Scalar): Feeds => {
  const probabilities = [...new Set(sites.map(({ probability }) => probability))]
  return Object.fromEntries(
    probabilities.map((p, i) => {
      const size = Math.max(...sites.filter(({ probability }) => probability === p).map((site) => elementsOf(site, largest))) + slack
      return [
        poolName(p),
        floatFeed(
          uniforms(seed, 'dropoutPool', i, size).map((u) => (u < p ? 0 : 1 / (1 - p))),
          [size],
          dtype,
        ),
      ]
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
  if (sites.length === 0) return {}
  const u = uniforms(seed, 'dropoutOffsets', draw, sites.length)
  const offsets = sites.map((site, i) => {
    const room = (pools[poolName(site.probability)]?.shape[0] ?? 0) - elementsOf(site, dimensions)
    if (!(room >= 0))
      throw new Error(
        `dropoutOffsets: expected a pool that holds ${elementsOf(site, dimensions)} entries for ${site.site}, found ${room} too few`,
      )
    return BigInt(Math.floor((u[i] ?? 0) * (room + 1)))
  })
  return { dropoutOffsets: { data: BigInt64Array.from(offsets), shape: [sites.length] } }
}
