/** The limits of the server, and the places that requests take while they wait and run. */
import { setMaxListeners } from 'node:events'

export type Limits = {
  /** bytes of a request's body */
  readonly bodyBytes: number
  /** texts of one request */
  readonly textsPerRequest: number
  /** texts and conversations that wait or run, of all requests together */
  readonly queue: number
  /** milliseconds that a request may take */
  readonly timeout: number
}

export const defaultLimits: Limits = { bodyBytes: 2 ** 20, textsPerRequest: 128, queue: 256, timeout: 60_000 }

/** An answer that is no result: its status, and one line that says why. */
export class Rejection extends Error {
  override readonly name = 'Rejection'
  constructor(
    readonly status: 400 | 403 | 404 | 405 | 408 | 409 | 413 | 499 | 500 | 503 | 504,
    message: string,
    /** seconds after which a client may try again */
    readonly retryAfter: number | null = null,
    /** OpenAI's name of the error */
    readonly code: string | null = null,
    /** the parameter of the request that is wrong */
    readonly param: string | null = null,
  ) {
    super(message)
  }
}

export type Places = {
  /** Runs `work` in `count` places. @throws Rejection (503) if they are not free */
  readonly take: <T>(count: number, work: () => Promise<T>) => Promise<T>
  readonly taken: () => number
  /** Refuses all later requests. */
  readonly close: () => void
  readonly isClosed: () => boolean
}

export const places = ({ queue }: Pick<Limits, 'queue'>): Places => {
  let [taken, isClosed] = [0, false]
  return {
    taken: () => taken,
    isClosed: () => isClosed,
    close: () => {
      isClosed = true
    },
    take: async (count, work) => {
      if (isClosed) throw new Rejection(503, 'the server is stopping', 1)
      if (taken + count > queue) throw new Rejection(503, `expected at most ${queue} texts in the queue, got ${taken} and ${count} more`, 1)
      taken += count
      try {
        return await work()
      } finally {
        taken -= count
      }
    },
  }
}

/** Bytes of all bodies together that may be on their way, and of a body that always may. */
const [allBodies, smallBody] = [2 ** 26, 2 ** 12]

/** Room for bodies: a thousand clients that send half of a large one must not fill the memory. */
export const bodyBudget = ({ bodyBytes }: Pick<Limits, 'bodyBytes'>) => {
  let taken = 0
  return {
    /** @param announced bytes of the body @throws Rejection (503) if there is no room */
    within: async <T>(announced: number, work: () => Promise<T>): Promise<T> => {
      const bytes = Math.min(Number.isFinite(announced) ? announced : bodyBytes, bodyBytes)
      if (bytes > smallBody && taken + bytes > Math.max(allBodies, bodyBytes)) throw new Rejection(503, 'other requests fill the memory', 1)
      taken += bytes
      try {
        return await work()
      } finally {
        taken -= bytes
      }
    },
  }
}

/** Runs `work` with a signal that is aborted after the timeout, or when the client goes away. @throws Rejection in place of what the signal caused */
export const withinTime = async <T>(milliseconds: number, client: AbortSignal, work: (signal: AbortSignal) => Promise<T>): Promise<T> => {
  const stop = new AbortController()
  setMaxListeners(0, stop.signal) // each text of a request listens; Node warns from the eleventh on
  const leave = (): void => stop.abort(new Rejection(499, 'the client has gone'))
  const timer = setTimeout(() => stop.abort(new Rejection(504, `expected an answer within ${milliseconds / 1000} s`)), milliseconds)
  client.addEventListener('abort', leave, { once: true })
  if (client.aborted) leave()
  try {
    return await Promise.race([work(stop.signal), rejected(stop.signal)])
  } finally {
    clearTimeout(timer)
    client.removeEventListener('abort', leave)
  }
}

const rejected = (signal: AbortSignal): Promise<never> =>
  new Promise((_, reject) => {
    const fail = (): void => reject(signal.reason as Rejection)
    if (signal.aborted) fail()
    else signal.addEventListener('abort', fail, { once: true })
  })
