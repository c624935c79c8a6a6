/** One line on the connection to Redis. */
import type { QueueEvent } from '../../finetuning/distributed/redis.js'

/** One line for an outage, one for its end, and one for refused commands. */
export const queueLine = ({ connected, refusal }: Pick<QueueEvent, 'connected' | 'refusal'>): string => {
  if (refusal !== undefined) return `Redis refuses commands: retrying; running runs continue (${refusal})`
  return connected ? 'Redis is reachable again' : 'Redis is unreachable: retrying; running runs continue'
}
