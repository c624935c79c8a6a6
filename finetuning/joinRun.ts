/** Joins a run on other machines as a worker: prepares the same run from its setup in Redis, and computes parts until it ends. */
import { setTimeout as sleep } from 'node:timers/promises'
import { inputError } from '../accelerated/errors/inputError.js'
import { validate } from '../accelerated/errors/validate.js'
import { parseJson } from '../accelerated/storage/json.js'
import { computeParts, type PartLoop } from './distributed/partLoop.js'
import { openRedis, type QueueEvent } from './distributed/redis.js'
import { ended, keysOf } from './distributed/runKeys.js'
import { openPartWorker } from '../accelerated/training/partWorker.js'
import { nodeMachine } from './nodeMachine.js'
import { prepareRun } from './recipe.js'
import { checkRemoteInputs, checkRemoteRun, remoteOptionsOf, remoteRunSchema } from './runs/remoteRun.js'

export type JoinOptions = {
  readonly redis: string
  /** the run's id in Redis */
  readonly id: string
  /** names this worker in messages */
  readonly worker: string
  /** the worker refuses runs whose folder is outside this one; null: any */
  readonly root: string | null
}

export type JoinEvent =
  | { readonly kind: 'joining'; readonly run: string }
  | { readonly kind: 'joined'; readonly run: string }
  | ({ readonly kind: 'part'; readonly run: string } & Parameters<PartLoop['onPart']>[0])
  | { readonly kind: 'left'; readonly run: string; readonly reason: string }
  | QueueEvent

/** Characters of a setup at most. */
const setupLimit = 16_000_000

/** @throws InputError if the run is of another version, model, data or device, or refuses this worker */
export const joinRun = async (
  { redis, id, worker, root }: JoinOptions,
  { signal, onEvent }: { readonly signal: AbortSignal; readonly onEvent: (event: JoinEvent) => void },
): Promise<void> => {
  const client = await openRedis(redis, { signal, onEvent })
  try {
    const setup = await client.get(keysOf(id).setup)
    if (setup === null || setup === ended) return
    const where = `run ${id}`
    if (setup.length > setupLimit) throw inputError(where, `a setup of at most ${setupLimit} characters`, String(setup.length))
    const run = validate(remoteRunSchema, parseJson(setup, where), where, 'the setup of a run')
    await checkRemoteRun(run, root, `run ${run.output}`)
    onEvent({ kind: 'joining', run: run.output })
    const pinned = run.revision === null ? {} : { revision: run.revision }
    const options = { ...remoteOptionsOf(run.options, where), output: run.output, resume: false, ...pinned }
    const preparing = prepareRun({ options, metric: null }, nodeMachine, signal)
    for (;;) {
      const next = await preparing.next()
      if (next.done !== true) {
        if (signal.aborted) return
        await sleep(0) // a message to stop may have come
        continue
      }
      const prepared = next.value
      checkRemoteInputs(run, { inputs: prepared.inputs, device: prepared.facts.device }, `run ${run.output}`)
      onEvent({ kind: 'joined', run: run.output })
      const parts = openPartWorker(prepared.task)
      const onPart: PartLoop['onPart'] = (part) => onEvent({ kind: 'part', run: run.output, ...part })
      const reason = await computeParts({ client, id, worker, dtype: prepared.task.precision.dtype, parts, signal, onPart }).finally(
        parts.release,
      )
      return onEvent({ kind: 'left', run: run.output, reason })
    }
  } finally {
    client.disconnect()
  }
}
