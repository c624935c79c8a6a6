/** Opens the leader of a run: connects to Redis, and offers the run to workers. */
import { hostname } from 'node:os'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { remoteRunOf, remoteRunPlace } from './remoteRun.js'
import type { RunFacts, RunOptions } from './run.js'
import type { RunInputs } from './runFingerprint.js'
import type { RunAssembly } from './runResult.js'
import { newSigner } from '../machines/frame.js'
import { openLeader, type Leader, type LeaderEvent } from '../machines/leader.js'
import { openRedis } from '../machines/redis.js'
import { checkRoom } from '../machines/redisMemory.js'

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
  const run = remoteRunOf(options, { inputs, device: facts.device, revision: facts.revision, key: signer.key })
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
