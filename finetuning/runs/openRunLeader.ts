/** Opens the leader of a run: connects to Redis, and offers the run to workers. */
import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import type { RunState } from '../../accelerated/parameters/runState.js'
import { synchronizes } from '../../accelerated/settings/commonSettings.js'
import { openLeader, type Leader, type LeaderEvent } from '../distributed/leader.js'
import { openRedis } from '../distributed/redis.js'
import { checkRoom } from '../distributed/redisMemory.js'
import { remoteRunId, remoteRunOf } from './remoteRun.js'
import type { RunFacts, RunOptions } from './run.js'
import type { RunInputs } from './runFingerprint.js'
import type { RunAssembly } from './runResult.js'

/** The parts of a prepared run that decide what travels. */
type SharedRun = {
  readonly inputs: RunInputs
  readonly facts: Pick<RunFacts, 'device' | 'revision'>
  readonly task: Pick<RunAssembly, 'precision' | 'settings'>
  readonly start: Pick<RunState, 'parameters'>
}

/** @throws InputError if Redis does not answer or can never hold the run, or another process leads it */
export const openRunLeader = async (
  options: RunOptions & { readonly redis: string },
  { inputs, facts, task, start }: SharedRun,
  signal: AbortSignal,
): Promise<Leader> => {
  const outages: LeaderEvent[] = []
  const client = await openRedis(options.redis, { signal, onEvent: (event) => outages.push(event) })
  const run = remoteRunOf(options, { inputs, device: facts.device, revision: facts.revision })
  const { dtype } = task.precision
  const [parts, exchange] = [task.settings.gradientAccumulationSteps, options.exchange ?? 'float32']
  try {
    const full = await checkRoom(client, { size: start.parameters.length, parts, dtype, exchange, rounds: synchronizes(task.settings) })
    if (full !== null) outages.push({ kind: 'warning', message: full })
    const leader = await openLeader({
      client,
      id: remoteRunId(run, hostname()),
      leader: `process ${process.pid} on ${hostname()} (${randomBytes(4).toString('hex')})`,
      isGone,
      setup: JSON.stringify(run),
      ...{ dtype, exchange },
    })
    return { ...leader, events: () => [...outages.splice(0), ...leader.events()] }
  } catch (thrown) {
    client.disconnect()
    throw thrown
  }
}

/** Whether a leader was a process of this machine that does not run any more. Its lock on the run's folder is gone too. */
const isGone = (leader: string): boolean => {
  const [, pid, host] = /^process (\d+) on (.*) \([0-9a-f]+\)$/.exec(leader) ?? []
  if (host !== hostname()) return false
  try {
    process.kill(Number(pid), 0)
    return Number(pid) === process.pid
  } catch (thrown) {
    return (thrown as NodeJS.ErrnoException).code === 'ESRCH'
  }
}
