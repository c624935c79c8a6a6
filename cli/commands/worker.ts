/** salora worker: trains the runs that salora glue --redis and salora tune --redis have queued, and computes parts of salora train --redis. */
import { quoted } from '../../accelerated/errors/inputError.js'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import { readRedisAddress, redactedAddress } from '../../finetuning/machines/redis.js'
import { workQueue } from '../../evaluation/jobs/queueWorker.js'
import { countFlag, numberFlag, required, switchFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'
import { plural } from '../format/numbers.js'
import { offlineFlags } from '../options/trainFlags.js'
import { defineCommand } from '../terminal/command.js'
import { exitCodes } from '../terminal/exit.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import type { Terminal } from '../terminal/output.js'
import { queueLine } from '../terminal/progress.js'
import { endedLine, waitingLine } from '../terminal/sweepProgress.js'

const longestLease = 86_400

export const worker = defineCommand({
  name: 'salora worker',
  description:
    'Train the queued runs of salora glue --redis and salora tune --redis, and compute parts of salora train --redis, until Ctrl-C. Workers on any machine see the same model, data and output folders, or use the hub with --local-root. ' +
    'Workers renew the lease of their run; when a worker dies, another resumes from the last checkpoint. A failed run is tried three times.',
  looseWords: { flags: ['redis'] },
  flags: {
    Queue: {
      redis: required(
        textFlag(
          'url',
          'Queue: redis://[USER:PASSWORD@]HOST:PORT, rediss:// for TLS, @FILE, or env (SALORA_REDIS). Protect it: its writers control what workers read and write below --root',
        ),
        'redis://HOST:PORT',
      ),
      lease: numberFlag('seconds', 'Give a run to another worker after this time without a sign of life', { default: 60 }),
      untilEmpty: switchFlag('Exit when the queue is empty and no worker has a run'),
    },
    Run: {
      jobs: countFlag('n', 'Parallel runs, each in its own process', { default: 1 }),
      root: textFlag('folder', 'Folder that must contain the output folders', { defaultText: 'the current folder' }),
      localRoot: textFlag('folder', 'Train in this folder instead of shared ones: results are sent back, adapters stay here'),
    },
    Machine: offlineFlags,
  },
  examples: [
    {
      command: 'salora worker --redis redis://queue.example:6379 --root /shared/runs',
      result: 'Prints a line when a run starts, resumes, fails or ends.',
    },
  ],
  run: async ({ redis: given, lease, untilEmpty, jobs, root, localRoot }, terminal) => {
    const redis = await readRedisAddress(given)
    if (localRoot !== null && root !== null) throw usageError('--local-root', 'either --root or --local-root', 'both')
    await checkFolder('--root', root, 'an existing folder')
    await checkFolder('--local-root', localRoot, 'a folder')
    if (lease < 1 || lease > longestLease) throw usageError('--lease', `from 1 to ${longestLease} seconds`, String(lease))
    const interrupt = watchInterrupt(
      () => terminal.note('stopping after this step; another worker can resume the run. Press Ctrl-C again to exit at once'),
      () => undefined,
    )
    terminal.note(`taking runs from ${redactedAddress(redis)}`)
    const log = eventLog(terminal)
    await workQueue({
      redis,
      jobs,
      root: root ?? '.',
      localRoot,
      signal: interrupt.signal,
      untilEmpty,
      lease: 1000 * lease,
      onEvent: log.onEvent,
    }).finally(interrupt.release)
    const { done, failed } = log.counts()
    terminal.result(`${plural(done, 'run')} done, ${failed} failed`, { done, failed })
    return interrupt.exitCode() ?? exitCodes.success
  },
})

/** A worker with a misspelled folder would fail every run of a sweep. A folder of its own may be new. @throws UsageError */
const checkFolder = async (flag: '--root' | '--local-root', folder: string | null, expected: string): Promise<void> => {
  const kind = folder === null ? 'folder' : ((await nodeFiles.stat(folder))?.kind ?? 'none')
  if (kind !== 'folder' && !(kind === 'none' && flag === '--local-root'))
    throw usageError(flag, expected, `${quoted(folder ?? '')}, which ${kind === 'none' ? 'does not exist' : `is a ${kind}`}`)
}

type OnEvent = Parameters<typeof workQueue>[0]['onEvent']

const eventLog = ({ note, warn }: Terminal): { readonly onEvent: OnEvent; readonly counts: () => { done: number; failed: number } } => {
  let [done, failed, parts] = [0, 0, 0]
  const waiting = new Set<string>() // each is reported once
  return {
    counts: () => ({ done, failed }),
    onEvent: (event) => {
      if (event.kind === 'queue') return note(queueLine(event))
      if (event.kind === 'refused') return warn(`run ${event.id}: ${event.message}`)
      if (event.kind === 'part') return void parts++
      if (event.kind === 'joining') return note(`${event.run}: preparing to join`)
      if (event.kind === 'joined') return note(`${event.run}: joined`)
      if (event.kind === 'left') {
        note(`${event.run}: ${event.reason}; ${plural(parts, 'part')} computed`)
        parts = 0
        return
      }
      if (event.kind === 'waiting' && !waiting.has(event.cell.id)) note(waitingLine(event))
      if (event.kind === 'waiting') waiting.add(event.cell.id)
      else waiting.delete(event.cell.id)
      if (event.kind === 'started') note(`${event.cell.id}: ${event.resumes ? 'resuming' : 'starting'}`)
      if (event.kind !== 'ended') return
      if (event.outcome.kind === 'done') done++
      if (event.outcome.kind === 'failed') {
        failed++
        warn(`${event.cell.id}: ${event.outcome.message}`)
      } else note(endedLine(event))
    },
  }
}
