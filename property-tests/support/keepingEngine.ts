/** An engine that keeps what its sessions carry, as a GPU does, in memory of its own, and counts what crosses. */
import type { Engine, OpenOptions, Session } from '../../accelerated/engines/engine.js'
import type { Feed, NumericArray } from '../../accelerated/engines/feeds.js'

/** What crosses between host and device in a run of a session that carries, in bytes. */
export type Traffic = { readonly up: number; readonly down: number }

export const keepingEngine = (engine: Engine, traffic: Traffic[] = []): Engine => ({
  ...engine,
  open: async (outputs, weights, options = {}) => {
    const { carry = {}, fixed = [] } = options
    const session = await engine.open(outputs, weights, { ...options, mode: 'batch' }) // the caller brings no buffers for what is kept
    if (Object.keys(carry).length === 0 && fixed.length === 0) return session
    const another = (): Session => ({ ...keeping(session, { ...options, carriedIn: {} }, traffic), release: async () => undefined })
    return { ...keeping(session, options, traffic), another }
  },
})

const bytesOf = (arrays: readonly NumericArray[]): number => arrays.reduce((sum, { byteLength }) => sum + byteLength, 0)

/** The shape after a run: a vector, or a cache that has grown along its third axis. */
const shapeAfter = ({ shape: [first = 1, second, , last = 1] }: Feed, size: number): readonly number[] =>
  second === undefined ? [size] : [first, second, size / (first * second * last), last]

type Kept = { feeds: Readonly<Record<string, Feed>> }
const places = new WeakMap<object, Kept>()

const keeping = (session: Session, { carry = {}, fixed = [], carriedIn = {} }: OpenOptions, traffic: Traffic[]): Session => {
  const place = places.get(carriedIn) ?? { feeds: {} }
  places.set(carriedIn, place)
  let lasting: Readonly<Record<string, Feed>> | null = null
  return {
    ...session,
    run: async (given) => {
      const isLasting = lasting !== null
      lasting ??= Object.fromEntries(Object.entries(given).filter(([name]) => fixed.includes(name)))
      const crossing = Object.entries(given).filter(([name]) => !isLasting || !fixed.includes(name))
      const carried = Object.entries(place.feeds).filter(([name]) => given[name] === undefined && session.inputs.includes(name))
      const feeds: Readonly<Record<string, Feed>> = { ...Object.fromEntries(crossing), ...lasting, ...Object.fromEntries(carried) }
      const results = Object.entries(await session.run(feeds)).map(([name, data]) => [name, data.slice()] as const)
      const rest = results.filter(([name]) => carry[name] === undefined)
      traffic.push({ up: bytesOf(crossing.map(([, { data }]) => data)), down: bytesOf(rest.map(([, data]) => data)) })
      const next = Object.fromEntries(
        results.flatMap(([name, data]) => {
          const input = carry[name]
          return input === undefined ? [] : [[input, { data, shape: shapeAfter(feeds[input] as Feed, data.length) }] as const]
        }),
      )
      place.feeds = { ...place.feeds, ...next }
      return Object.fromEntries(rest)
    },
    ...(Object.keys(carry).length === 0
      ? {}
      : {
          carried: async () =>
            Object.fromEntries(Object.entries(carry).map(([name, input]) => [name, (place.feeds[input] as Feed).data.slice()])),
        }),
  }
}
