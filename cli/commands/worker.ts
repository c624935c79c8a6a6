/** salora worker: makes the runs of sweeps that salora glue --redis has put into the queue. */
import type { Command } from 'commander'
import { redisAddress, redactedAddress } from '../../evaluation/glue/redis.js'
import { workQueue } from '../../evaluation/glue/worker.js'
import { withOffline, withOutput } from '../terminal/command.js'
import { exitCodes } from '../terminal/exitCodes.js'
import { numberOf } from '../options/flagValues.js'
import { watchInterrupt } from '../terminal/interrupt.js'
import { plural } from '../format/numbers.js'
import { queueLine, toldOf, waitingOf } from '../terminal/sweepProgress.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

export const addWorker = (command: Command): void => {
  command.description(
    'Takes runs from the queue and makes them, until Ctrl-C: any number of workers, on any machines that see model, data and the sweep’s folder under the same ' +
      'names; or model and data by the hub, with --local-root. A run is leased, and the lease renewed while its worker lives; where one dies, another goes on at the last checkpoint. A run that fails is tried three ' +
      'times, by whoever takes it. Whoever can write to Redis says what workers read and write below --root: keep it behind a password, and off the open network.',
  )
  command
    .option('--redis <url>', 'redis://HOST:PORT, or rediss:// with TLS; redis://USER:PASSWORD@HOST:PORT')
    .option('--jobs <n>', 'runs at a time, each in a process of its own (default: 1)')
    .option('--root <folder>', 'in which the folders of sweeps must lie (default: this one)')
    .option(
      '--local-root <folder>',
      'for a machine that does not see those: make runs in this folder; their results go back, their adapters stay',
    )
    .option('--lease <seconds>', 'without a sign of life, after which a run is another worker’s (default: 60)')
    .option('--until-empty', 'end when nothing is left in the queue, of what others are making too')
  withOffline(command)
  withOutput(command, ['salora worker --redis redis://queue.example:6379 --root /shared/runs'], async (given, terminal) => {
    const redis = given['redis']
    if (typeof redis !== 'string') throw usageError('--redis', 'redis://HOST:PORT', 'none given')
    redisAddress(redis)
    if (given['localRoot'] !== undefined && given['root'] !== undefined)
      throw usageError('--local-root', 'none with --root', String(given['localRoot']))
    const jobs = given['jobs'] === undefined ? 1 : numberOf('--jobs', String(given['jobs']))
    if (!Number.isInteger(jobs) || jobs < 1) throw usageError('--jobs', 'a whole number of at least 1', String(given['jobs']))
    const lease = given['lease'] === undefined ? 60 : numberOf('--lease', String(given['lease']))
    if (!(lease >= 1 && lease <= 86_400)) throw usageError('--lease', 'from 1 to 86400 seconds', String(given['lease']))
    const interrupt = watchInterrupt(
      () => terminal.note('stopping after the step at hand; another worker goes on; once more leaves at once'),
      () => undefined,
    )
    let [done, failed] = [0, 0]
    const waiting = new Set<string>() // told once
    terminal.note(`taking runs from ${redactedAddress(redis)}`)
    await workQueue({
      redis,
      jobs,
      root: typeof given['root'] === 'string' ? given['root'] : '.',
      localRoot: typeof given['localRoot'] === 'string' ? given['localRoot'] : null,
      signal: interrupt.signal,
      untilEmpty: given['untilEmpty'] === true,
      lease: 1000 * lease,
      onEvent: (event) => {
        if (event.kind === 'queue') return terminal.note(queueLine(event))
        if (event.kind === 'waiting' && !waiting.has(event.cell.id)) terminal.note(waitingOf(event))
        if (event.kind === 'waiting') waiting.add(event.cell.id)
        else waiting.delete(event.cell.id)
        if (event.kind === 'started') terminal.note(`${event.cell.id}: ${event.resumes ? 'goes on' : 'begins'}`)
        if (event.kind !== 'ended') return
        if (event.outcome.kind === 'done') done++
        if (event.outcome.kind === 'failed') {
          failed++
          terminal.warn(`${event.cell.id}: ${event.outcome.message}`)
        } else terminal.note(toldOf(event))
      },
    }).finally(interrupt.release)
    terminal.result(`${plural(done, 'run')} done, ${failed} failed`, { done, failed })
    return interrupt.exitCode() ?? exitCodes.success
  })
}
