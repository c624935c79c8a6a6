/** Where the runs of a sweep or of a search are made: in processes of this machine, or on workers. */
import type { Executor } from '../../evaluation/jobs/executor.js'
import { loadBullmq, readRedisAddress } from '../../finetuning/machines/redis.js'
import { countFlag, textFlag } from '../../finetuning/commandLine/flag.js'
import { usageError } from '../../finetuning/commandLine/usageError.js'

export const executorFlags = {
  jobs: countFlag('n', 'Parallel runs, each in its own process', { defaultText: '1' }),
  redis: textFlag(
    'url',
    'Queue the runs for salora worker on machines that see the same folders; rediss:// for TLS, @FILE or env (SALORA_REDIS) to hide a password',
  ),
} as const

type ExecutorFlags = { readonly jobs: number | null; readonly redis: string | null }

/** The workers of --redis; undefined: this machine. @throws UsageError, or InputError if an optional package is missing */
export const openQueue = async ({ redis, jobs }: ExecutorFlags): Promise<Executor | undefined> => {
  if (redis === null) return undefined
  if (jobs !== null) throw usageError('--jobs', 'none with --redis: each worker has its own', String(jobs))
  const address = await readRedisAddress(redis)
  await loadBullmq()
  return (await import('../../evaluation/jobs/queueExecutor.js')).queueExecutor(address)
}
