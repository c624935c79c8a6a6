/** Feeds of dropout: the pools, drawn once for a run, and each step's offsets into them. */
import { resolveDimension } from '../graph/dimension.js'
import type { FloatType } from '../graph/expression.js'
import type { DropoutSite } from '../models/layers/dropout.js'
import { offsetName, poolName } from '../models/layers/dropout.js'
import type { Feeds } from '../engines/feeds.js'
import { uniforms } from '../parameters/random.js'

/** Sizes of a step's named dimensions, by name. */
export type Dimensions = Readonly<Record<string, number>>

/** Entries of a pool beyond the largest mask, so that two steps rarely read the same entries. */
export const slack = 1 << 20

/** Entries of a mask. */
export const countElements = ({ site, shape }: DropoutSite, dimensions: Dimensions): number =>
  shape.reduce<number>((product, d) => product * resolveDimension(d, dimensions, site), 1)

/** Pools of 0 and 1/(1 − p), large enough for batches up to `largest`. */
export const dropoutPools = (seed: number, sites: readonly DropoutSite[], largest: Dimensions, dtype: FloatType): Feeds => {
  const probabilities = [...new Set(sites.map(({ probability }) => probability))]
  return Object.fromEntries(
    probabilities.map((p, i) => {
      const masks = sites.filter(({ probability }) => probability === p).map((site) => countElements(site, largest))
      const size = masks.reduce((most, elements) => Math.max(most, elements), 0) + slack
      return [poolName(p), { data: drawPool(seed, i, p, size, dtype), shape: [size] }]
    }),
  )
}

/** Pools that something holds: all phases of a run read the same ones, and so does another run of the same seed. */
const drawn = new Map<string, WeakRef<Float32Array | Float64Array>>()

/** The first numbers of a stream do not depend on how many follow, so a larger pool starts with a smaller one. */
const drawPool = (seed: number, place: number, p: number, size: number, dtype: FloatType): Float32Array | Float64Array => {
  const of = [seed, place, p, dtype].join()
  const last = drawn.get(of)?.deref()
  if (last !== undefined && last.length >= size) return last.subarray(0, size)
  const pool = dtype === 'float64' ? new Float64Array(size) : new Float32Array(size)
  const [u, kept] = [uniforms(seed, 'dropoutPool', place, size), 1 / (1 - p)]
  for (let i = 0; i < size; i++) pool[i] = (u[i] ?? 0) < p ? 0 : kept
  for (const [other, held] of drawn) if (held.deref() === undefined) drawn.delete(other)
  drawn.set(of, new WeakRef(pool))
  return pool
}

/** The offsets of one pass. @param draw a number that no other pass of the run has */
export const dropoutOffsets = (seed: number, draw: number, sites: readonly DropoutSite[], pools: Feeds, dimensions: Dimensions): Feeds => {
  const u = uniforms(seed, 'dropoutOffsets', draw, sites.length)
  return Object.fromEntries(
    sites.map((site, i) => {
      const elements = countElements(site, dimensions)
      const spare = (pools[poolName(site.probability)]?.shape[0] ?? 0) - elements
      if (!(spare >= 0))
        throw new Error(`dropoutOffsets: expected a pool that holds ${elements} entries for ${site.site}, got ${-spare} too few`)
      return [offsetName(site.site), { data: BigInt64Array.of(BigInt(Math.floor((u[i] ?? 0) * (spare + 1)))), shape: [1] }]
    }),
  )
}
