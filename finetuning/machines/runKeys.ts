/**
 * A run in Redis: where its folder is served, what workers need to join, the newest step, and the frames that workers return. Jobs of parts are in a
 * BullMQ queue of the run. Values expire by themselves; the queue is removed at the run's end, or by the next process that finds the run dead.
 */
import { createHash } from 'node:crypto'
import type { Queue } from 'bullmq'
import type { Redis } from 'ioredis'

/** Milliseconds until a value of a run that no longer writes is removed, and that a run's end is announced. */
export const [lifetime, farewell] = [3_600_000, 60_000]

/** Milliseconds that a leader counts as alive after its last sign. */
export const leaderLifetime = 90_000

/** The run that is served at each place, by the place's name. A place is a folder on a machine. */
const places = 'salora-runs'

/** Holds the id of the newest run in this folder while its leader lives. */
export const placeKey = (place: string): string => `salora-run:${place}`

/** What a place holds after the end of its run. */
export const ended = 'ended'

/** The digest of a setup. A leader's setup has its own public key, so no two leaders have the same id. */
export const hashRunId = (setup: string): string => createHash('sha256').update(setup).digest('hex').slice(0, 32)

const isId = (text: string | null): text is string => text !== null && /^[0-9a-f]{32}$/.test(text)

export const makeRunKeys = (id: string) => ({
  /** what workers need to join, as JSON */
  setup: `salora-run:${id}:setup`,
  /** of the newest step or evaluation, and its frame */
  token: `salora-run:${id}:token`,
  step: `salora-run:${id}:step`,
  /** the list of frames that workers have returned */
  parts: `salora-run:${id}:parts`,
  /** why this worker's parts are no longer accepted */
  refused: (key: string) => `salora-run:${id}:refused:${key}`,
})

/** The BullMQ queue of a run's parts. */
export const partQueue = (id: string): string => `salora-run-${id}`

type Bullmq = { readonly Queue: typeof Queue }

/** A queue on a connection that is in use for other commands too. */
export const openPartQueue = ({ Queue: Opened }: Bullmq, client: Redis, id: string): Queue =>
  new Opened(partQueue(id), { connection: client, skipMetasUpdate: true, streams: { events: { maxLen: 100 } } }).on(
    'error',
    () => undefined,
  )

export type OfferedRun = { readonly place: string; readonly id: string }

/** Offers a run to workers, and shows that its leader lives. */
export const offerRun = async (client: Redis, { place, id }: OfferedRun, setup: string): Promise<void> => {
  const keys = makeRunKeys(id)
  await client.set(keys.setup, setup, 'PX', lifetime)
  await client.set(placeKey(place), id, 'PX', leaderLifetime)
  await client.hset(places, place, id)
  for (const key of [keys.token, keys.step, keys.parts]) await client.pexpire(key, lifetime)
}

/** The runs that ask for workers. Removes what dead leaders have left. */
export const liveRuns = async (bullmq: Bullmq, client: Redis): Promise<readonly OfferedRun[]> => {
  const live: OfferedRun[] = []
  for (const [place, id] of Object.entries(await client.hgetall(places)).sort()) {
    const now = await client.get(placeKey(place))
    if (isId(id) && now === id) live.push({ place, id })
    else if (now === null || now === ended) {
      await client.hdel(places, place)
      if (isId(id)) await removeRun(bullmq, client, id)
    }
  }
  return live
}

/** Removes everything that Redis has of a run. */
export const removeRun = async (bullmq: Bullmq, client: Redis, id: string): Promise<void> => {
  const { setup, token, step, parts } = makeRunKeys(id)
  await client.del(setup, token, step, parts)
  await openPartQueue(bullmq, client, id).obliterate({ force: true })
}

/** Announces the end of a run to its workers, and removes it. */
export const endRun = async (bullmq: Bullmq, client: Redis, { place, id }: OfferedRun): Promise<void> => {
  await client.set(placeKey(place), ended, 'PX', farewell)
  await client.hdel(places, place)
  await removeRun(bullmq, client, id)
}
