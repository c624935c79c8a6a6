/** Joins a run on other machines as a worker: prepares the same run from its setup in Redis, and serves its parts until it ends. */
import { setTimeout as sleep } from 'node:timers/promises'
import { inputError } from '../accelerated/errors/inputError.js'
import { validate } from '../accelerated/errors/validate.js'
import { parseJson } from '../accelerated/storage/json.js'
import { openMicroBatchWorker } from '../accelerated/training/microBatchWorker.js'
import type { QueueEvent } from './machines/leaderEvents.js'
import { openRedis } from './machines/redis.js'
import { makeRunKeys, hashRunId, type OfferedRun } from './machines/runKeys.js'
import { serveMicroBatches, type ComputedPart } from './machines/serveMicroBatches.js'
import { nodeMachine } from './nodeMachine.js'
import { prepareRun, type PreparedRun } from './recipe.js'
import { checkRemoteInputs, checkRemoteRun, parseRemoteOptions, remoteRunSchema, type RemoteRun } from './run/remoteRun.js'

export type JoinOptions = OfferedRun & {
  readonly redis: string
  /** names this worker in messages */
  readonly worker: string
  /** the worker refuses runs whose folder is outside this one; null: any */
  readonly root: string | null
}

export type JoinEvent =
  | { readonly kind: 'joining'; readonly run: string }
  | { readonly kind: 'joined'; readonly run: string }
  | ({ readonly kind: 'part'; readonly run: string } & ComputedPart)
  | { readonly kind: 'left'; readonly run: string; readonly reason: string }
  | QueueEvent

/** Characters of a setup at most. */
const setupLimit = 16_000_000

type Watch = { readonly signal: AbortSignal; readonly onEvent: (event: JoinEvent) => void }

/** @throws InputError if the run is of another version, model, data or device, or refuses this worker */
export const joinRun = async (options: JoinOptions, { signal, onEvent }: Watch): Promise<void> => {
  const { redis, place, id, worker, root } = options
  const client = await openRedis(redis, { signal, onEvent })
  try {
    const setup = await client.get(makeRunKeys(id).setup)
    if (setup === null) return
    const run = parseSetup(setup, id)
    await checkRemoteRun(run, root, `run ${run.output}`)
    onEvent({ kind: 'joining', run: run.output })
    const prepared = await prepare(run, signal)
    if (prepared === null) return
    onEvent({ kind: 'joined', run: run.output })
    const parts = openMicroBatchWorker(prepared.task)
    const onPart = (part: ComputedPart): void => onEvent({ kind: 'part', run: run.output, ...part })
    const serving = { client, redis, place, id, leaderKey: run.key, worker, dtype: prepared.task.precision.dtype, parts, signal, onPart }
    const reason = await serveMicroBatches(serving).finally(parts.release)
    onEvent({ kind: 'left', run: run.output, reason })
  } finally {
    client.disconnect()
  }
}

/** @throws InputError for a setup that is not the one of this id */
const parseSetup = (setup: string, id: string): RemoteRun => {
  const where = `run ${id}`
  if (setup.length > setupLimit) throw inputError(where, `a setup of at most ${setupLimit} characters`, String(setup.length))
  if (hashRunId(setup) !== id) throw inputError(where, 'the setup of this run', 'another one')
  return validate(remoteRunSchema, parseJson(setup, where), where, 'the setup of a run')
}

/** The same run on this machine; null: the signal aborted */
const prepare = async (run: RemoteRun, signal: AbortSignal): Promise<PreparedRun | null> => {
  const where = `run ${run.output}`
  const pinned = run.revision === null ? {} : { revision: run.revision }
  const options = { ...parseRemoteOptions(run.options, where), output: run.output, resume: false, ...pinned }
  const preparing = prepareRun({ options, metric: null }, nodeMachine, signal)
  for (;;) {
    const next = await preparing.next()
    if (next.done === true) {
      checkRemoteInputs(run, { inputs: next.value.inputs, device: next.value.facts.device }, where)
      return next.value
    }
    if (signal.aborted) return null
    await sleep(0) // a message to stop may have come
  }
}
