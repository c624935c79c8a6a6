/** Opens the leader of a run: connects to Redis, and offers the run to workers. */
import { hostname } from 'node:os'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { describeRemoteRun, remoteRunPlace } from './remoteRun.js'
import type { RunFacts, RunOptions } from './run.js'
import type { RunInputs } from './runFingerprint.js'
import type { RunAssembly } from './runResult.js'
import { newSigner } from '../machines/frame.js'
import { openLeader } from '../machines/leader.js'
import type { Leader, LeaderEvent } from '../machines/leaderEvents.js'
import { openRedis } from '../machines/redis.js'
import type { Redis } from 'ioredis'
import { inputError } from '../../accelerated/errors/inputError.js'
import { option } from '../../accelerated/errors/words.js'
import type { FloatType } from '../../accelerated/graph/expression.js'
import { encodedLength, type Exchange } from '../machines/exchange.js'

/** The parts of a prepared run that decide what travels. */
type SharedRun = {
  readonly inputs: RunInputs
  readonly facts: Pick<RunFacts, 'device' | 'revision'>
  readonly task: Pick<RunAssembly, 'precision' | 'settings'>
  readonly start: Pick<RunState, 'parameters'>
}

/** @throws InputError if Redis does not answer, or can never hold the run */
export const openRunLeader = async (
  options: RunOptions & { readonly redis: string },
  { inputs, facts, task, start }: SharedRun,
  signal: AbortSignal,
): Promise<Leader> => {
  const outages: LeaderEvent[] = []
  const client = await openRedis(options.redis, { signal, onEvent: (event) => outages.push(event) })
  const signer = newSigner()
  const run = describeRemoteRun(options, { inputs, device: facts.device, revision: facts.revision, key: signer.key })
  const { dtype } = task.precision
  const [parts, exchange] = [task.settings.gradientAccumulationSteps, options.exchange ?? 'float32']
  try {
    const full = await checkRoom(client, { size: start.parameters.length, parts, dtype, exchange })
    if (full !== null) outages.push({ kind: 'warning', message: full })
    const [place, name] = [remoteRunPlace(run, hostname()), `process ${process.pid} on ${hostname()}`]
    const leader = await openLeader({ client, place, name, setup: JSON.stringify(run), signer, dtype, exchange })
    return { ...leader, events: () => [...outages.splice(0), ...leader.events()] }
  } catch (thrown) {
    client.disconnect()
    throw thrown
  }
}

// Whether a Redis server has room for a run: its maxmemory against what the run holds there. Many servers have no limit, and some do not say.
export type RunFootprint = {
  /** trained numbers */
  readonly size: number
  /** the most parts of a step */
  readonly parts: number
  readonly dtype: FloatType
  readonly exchange: Exchange
}

/** Bytes beside the numbers: headers, the setup and the queue's scripts, and a job. */
const [overhead, jobBytes] = [1_000_000, 2_000]

/** Bytes of a run in Redis at most: the trained numbers, the next ones while they arrive, and a gradient and a job for each part. */
export const estimateFootprint = ({ size, parts, dtype, exchange }: RunFootprint): number => {
  return 2 * encodedLength(size, dtype, 'float32') + parts * (encodedLength(size, dtype, exchange) + jobBytes) + overhead
}

/** What INFO says, in bytes; null: there is no limit, or this user may not ask. */
export const readMemory = async (client: Redis): Promise<{ readonly limit: number; readonly used: number } | null> => {
  const info = await client.info('memory').catch(() => '')
  const parseNumber = (name: string): number => Number(new RegExp(`^${name}:(\\d+)\\r?$`, 'm').exec(info)?.[1] ?? 0)
  const limit = parseNumber('maxmemory')
  return limit === 0 ? null : { limit, used: parseNumber('used_memory') }
}

/** @returns a warning if others leave too little room; null: there is room @throws InputError if the run could never fit */
export const checkRoom = async (client: Redis, footprint: RunFootprint): Promise<string | null> => {
  const memory = await readMemory(client)
  const needed = estimateFootprint(footprint)
  if (memory === null) return null
  if (needed > memory.limit)
    throw inputError(
      option('redis'),
      `a maxmemory of at least ${megabytes(needed)} in Redis, for the trained numbers and ${footprint.parts} gradients`,
      megabytes(memory.limit),
    )
  const free = Math.max(0, memory.limit - memory.used)
  return needed > free
    ? `Redis has ${megabytes(free)} of its maxmemory left and this run needs up to ${megabytes(needed)}: while Redis is full, this process computes all parts`
    : null
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`
