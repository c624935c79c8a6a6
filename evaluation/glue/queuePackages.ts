/** bullmq and ioredis, which only a queue needs: optional peer dependencies, loaded when a queue is used. */
import { importOptional } from '../../accelerated/errors/importOptional.js'

const install = 'npm install bullmq ioredis'

/** @throws InputError if bullmq is not installed */
export const loadBullmq = (): Promise<typeof import('bullmq')> => importOptional(import('bullmq'), '--redis', install)

/** @throws InputError if ioredis is not installed */
export const loadIoredis = (): Promise<Pick<typeof import('ioredis'), 'Redis'>> => importOptional(import('ioredis'), '--redis', install)
