/**
 * A run in Redis: its keys, and the scripts that change several of them at once. A run holds its setup, the newest step or evaluation with the trained
 * numbers, and at most one gradient for each part. Rounds have moments too. Every key expires, and the run removes them when it ends.
 */
import type { Redis } from 'ioredis'

/** The set of the runs that workers may join, by id. */
export const runIndex = 'salora-runs'

const prefixOf = (id: string): string => `salora-run:${id}:`

/** Milliseconds until a key of a run that no longer writes is removed. */
const expiry = 3_600_000

/** Milliseconds that a run's end is announced. */
const farewell = 60_000

export type RunKeys = {
  readonly setup: string
  readonly leader: string
  readonly now: string
  readonly parts: string
  readonly step: string
  readonly steps: string
  readonly done: string
  readonly refused: string
  /** by replica, the moments that its part of the newest round begins with */
  readonly moments: string
  readonly gradient: (part: number) => string
}

export const keysOf = (id: string): RunKeys => {
  const prefix = prefixOf(id)
  return {
    setup: `${prefix}setup`,
    leader: `${prefix}leader`,
    now: `${prefix}now`,
    parts: `${prefix}parts`,
    step: `${prefix}step`,
    steps: `${prefix}steps`,
    done: `${prefix}done`,
    refused: `${prefix}refused`,
    moments: `${prefix}moments`,
    gradient: (part) => `${prefix}gradient:${part}`,
  }
}

/** A script on the keys of one run, whose names it makes from the prefix. */
const script =
  (...lines: ReadonlyArray<string>) =>
  async (client: Redis, id: string, ...values: ReadonlyArray<string | number | Buffer>): Promise<unknown> =>
    client.eval(lines.join('\n'), 1, prefixOf(id), ...values)

const lead = script(
  "local held = redis.call('GET', KEYS[1]..'leader')",
  'if held and held ~= ARGV[1] and held ~= ARGV[4] then return held end',
  "redis.call('SET', KEYS[1]..'leader', ARGV[1], 'PX', ARGV[2])",
  `if ARGV[3] ~= '' then redis.call('SET', KEYS[1]..'setup', ARGV[3], 'PX', ${expiry}) end`,
  'return false',
)

/**
 * Takes the lead of a run, or keeps it. @param setup what workers need to join; '' leaves it
 * @param gone a leader that is known to be dead
 * @returns null, or the process that leads the run
 */
export const takeLead = async (
  client: Redis,
  id: string,
  { leader, lease, setup, gone = '' }: { readonly leader: string; readonly lease: number; readonly setup: string; readonly gone?: string },
): Promise<string | null> => {
  const other = await lead(client, id, leader, Math.ceil(lease), setup, gone)
  if (typeof other === 'string') return other
  await client.sadd(runIndex, id)
  return null
}

/** Removes the parts of the published step, and their leases. */
const removeParts =
  "for i = 0, tonumber(redis.call('GET', p..'parts') or 0) - 1 do redis.call('DEL', p..'gradient:'..i, p..'lease:'..i) end"

const publish = script(
  'local p = KEYS[1]',
  removeParts,
  "redis.call('DEL', p..'done')",
  `redis.call('SET', p..'parts', ARGV[3], 'PX', ${expiry})`,
  `redis.call('SET', p..'step', ARGV[2], 'PX', ${expiry})`,
  `redis.call('SET', p..'now', ARGV[1], 'PX', ${expiry})`,
  "redis.call('XADD', p..'steps', 'MAXLEN', 1, '*', 'token', ARGV[1])",
  `redis.call('PEXPIRE', p..'steps', ${expiry})`,
  'return 1',
)

/**
 * Stores the moments of a replica for the round that is published next. The round before it is complete by then: nobody reads those that they replace.
 */
export const storeMoments = async (client: Redis, id: string, replica: number, moments: Uint8Array): Promise<void> => {
  const key = keysOf(id).moments
  await client.hset(key, String(replica), Buffer.from(moments.buffer, moments.byteOffset, moments.byteLength))
  await client.pexpire(key, expiry)
}

/** The moments of a replica for this step; null: another step has been published by now */
export const readMoments = async (client: Redis, id: string, token: string, replica: number): Promise<Buffer | null> => {
  const keys = keysOf(id)
  const moments = await client.hgetBuffer(keys.moments, String(replica))
  return (await client.get(keys.now)) === token ? moments : null
}

/** Replaces the published step. @param parts those of this step */
export const publishStep = async (client: Redis, id: string, token: string, frame: Buffer, parts: number): Promise<void> => {
  await publish(client, id, token, frame, parts)
}

/** Whether Redis still has this step, and the moments of this many replicas. */
export const hasStep = async (client: Redis, id: string, token: string, replicas: number): Promise<boolean> => {
  const keys = keysOf(id)
  if ((await client.get(keys.now)) !== token) return false
  return replicas === 0 || (await client.hlen(keys.moments)) >= replicas
}

/** What a claim found instead of a part. */
export const noPart = { otherStep: -1, refused: -2, allTaken: -3 } as const

const claim = script(
  'local p = KEYS[1]',
  `if redis.call('GET', p..'now') ~= ARGV[1] then return ${noPart.otherStep} end`,
  `if redis.call('HEXISTS', p..'refused', ARGV[2]) == 1 then return ${noPart.refused} end`,
  'for i = 0, ARGV[3] - 1 do',
  "  if redis.call('EXISTS', p..'gradient:'..i) == 0 and redis.call('SET', p..'lease:'..i, ARGV[5], 'NX', 'PX', ARGV[4]) then return i end",
  'end',
  `return ${noPart.allTaken}`,
)

/**
 * A part that nobody computes, for this worker and for `lease` milliseconds; or one of `noPart`.
 * @param isOwn the lease is the worker's own, of parts that take longer than the leader knows: it only ends by time
 */
export const claimPart = async (
  client: Redis,
  id: string,
  token: string,
  worker: string,
  parts: number,
  lease: number,
  isOwn = false,
): Promise<number> => Number(await claim(client, id, token, worker, parts, Math.ceil(lease), isOwn ? 'own' : 'of the step'))

const store = script(
  'local p = KEYS[1]',
  "if redis.call('GET', p..'now') ~= ARGV[1] or redis.call('EXISTS', p..'gradient:'..ARGV[2]) == 1 then return 0 end",
  `redis.call('SET', p..'gradient:'..ARGV[2], ARGV[3], 'PX', ${expiry})`,
  "redis.call('DEL', p..'lease:'..ARGV[2])",
  "redis.call('RPUSH', p..'done', ARGV[2])",
  `redis.call('PEXPIRE', p..'done', ${expiry})`,
  'return 1',
)

/** Stores the gradient of a part; an empty one says that the leader has it. @returns false where it came too late: the first one counts */
export const storeGradient = async (client: Redis, id: string, token: string, part: number, frame: Buffer): Promise<boolean> =>
  (await store(client, id, token, part, frame)) === 1

const stored = script(
  'local found = {}',
  'for i = 0, ARGV[1] - 1 do',
  "  if redis.call('STRLEN', KEYS[1]..'gradient:'..i) > 0 then table.insert(found, i) end",
  'end',
  'return found',
)

/** The parts that workers have returned. */
export const storedParts = async (client: Redis, id: string, parts: number): Promise<ReadonlyArray<number>> => {
  const found = await stored(client, id, parts)
  return Array.isArray(found) ? found.map(Number) : []
}

const free = script(
  'for i = 0, ARGV[1] - 1 do',
  "  if redis.call('GET', KEYS[1]..'lease:'..i) ~= 'own' then redis.call('DEL', KEYS[1]..'lease:'..i) end",
  'end',
  'return 1',
)

/** Ends the leases of all parts, but for those that workers chose themselves. */
export const endLeases = async (client: Redis, id: string, parts: number): Promise<void> => {
  await free(client, id, parts)
}

const refuse = script(
  "redis.call('HSET', KEYS[1]..'refused', ARGV[1], ARGV[2])",
  `redis.call('PEXPIRE', KEYS[1]..'refused', ${expiry})`,
  "if ARGV[3] ~= '' then redis.call('DEL', KEYS[1]..'gradient:'..ARGV[3], KEYS[1]..'lease:'..ARGV[3]) end",
  'return 1',
)

/** Accepts no more gradients of this worker, and frees the part that it computed. */
export const refuseWorker = async (client: Redis, id: string, worker: string, reason: string, part: number): Promise<void> => {
  await refuse(client, id, worker, reason, part)
}

const keep = script(
  "redis.call('PEXPIRE', KEYS[1]..'leader', ARGV[1])",
  `for _, key in ipairs({'parts', 'step', 'now', 'steps', 'done', 'moments'}) do redis.call('PEXPIRE', KEYS[1]..key, ${expiry}) end`,
  'return 1',
)

/** A sign of life of the leader: the run stays for another while. @param lease milliseconds of its lead */
export const keepRun = async (client: Redis, id: string, lease: number): Promise<void> => {
  await keep(client, id, Math.ceil(lease))
}

const end = script(
  'local p = KEYS[1]',
  "local held = redis.call('GET', p..'leader')",
  'if held and held ~= ARGV[1] then return 0 end',
  removeParts,
  "redis.call('DEL', p..'leader', p..'now', p..'parts', p..'step', p..'steps', p..'done', p..'refused', p..'moments')",
  `redis.call('SET', p..'setup', 'ended', 'PX', ${farewell})`,
  'return 1',
)

/** What a run's setup says after its end. */
export const ended = 'ended'

/** Removes the run, so that its workers leave. */
export const endRun = async (client: Redis, id: string, leader: string): Promise<void> => {
  await end(client, id, leader)
  await client.srem(runIndex, id)
}
