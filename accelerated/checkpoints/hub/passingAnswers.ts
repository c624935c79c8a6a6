/** Answers of a hub that may pass, such as "too many requests", and how long to wait before the next attempt. */
import { InputError } from '../../errors/inputError.js'

const attempts = 5

/** Seconds that a server may ask to wait; beyond it, its answer is final. */
const longestWait = 300

const passing: ReadonlyArray<number> = [408, 429, 500, 502, 503, 504]

/** Seconds before the next attempt; null if the answer is final. @param firstDelay milliseconds, doubled before each further retry */
export const waitBefore = (answer: Response | InputError, attempt: number, firstDelay: number): number | null => {
  const seconds = Math.max(waitAsked(answer), (firstDelay * 2 ** (attempt - 1)) / 1000)
  const mayPass = answer instanceof InputError || passing.includes(answer.status)
  return mayPass && attempt < attempts && seconds <= longestWait ? seconds : null
}

/** Seconds by Retry-After, or by the hub's RateLimit (`"api";r=0;t=55`); 0 without either. */
const waitAsked = (answer: Response | InputError): number => {
  if (answer instanceof InputError) return 0
  const after = answer.headers.get('retry-after') ?? /\bt=(\d{1,9})/.exec(answer.headers.get('ratelimit') ?? '')?.[1]
  if (after === undefined || answer.status < 400) return 0
  const date = Date.parse(after)
  return /^\d{1,9}$/.test(after) ? Number(after) : Number.isNaN(date) ? 0 : Math.max(0, (date - Date.now()) / 1000)
}
