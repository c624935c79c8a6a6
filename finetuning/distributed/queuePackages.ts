/** bullmq and ioredis, which only a queue needs: optional peer dependencies, loaded when a queue is used. */
import { loadOptional } from '../../accelerated/storage/packages.js'

const packages = { feature: '--redis', names: ['bullmq', 'ioredis'] }

/** @throws InputError if bullmq or ioredis is not installed */
export const loadBullmq = (): Promise<typeof import('bullmq')> => loadOptional(packages, () => import('bullmq'))

/** @throws InputError if bullmq or ioredis is not installed */
export const loadIoredis = (): Promise<Pick<typeof import('ioredis'), 'Redis'>> => loadOptional(packages, () => import('ioredis'))
