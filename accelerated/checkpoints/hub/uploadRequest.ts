/** The `fetch` of an upload: it adds the token, waits where the hub asks for it, retries what may pass, times out, and counts bytes. */
import { setTimeout as wait } from 'node:timers/promises'
import { InputError, inputError } from '../../errors/inputError.js'
import { concatenate } from '../../storage/storage.js'
import { waitBefore } from './passingAnswers.js'
import { reasonOf, stallTimer, type RequestContext, type StallTimer } from './hubResponse.js'

export type UploadContext = RequestContext & {
  /** bytes of a file or a part that were sent; negative where a retry sends them again */
  readonly onSent: (bytes: number) => void
}

/** @throws InputError, from the function that it returns, if a server does not answer */
export const uploadFetch =
  (context: UploadContext): typeof fetch =>
  async (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    for (let attempt = 1; ; attempt++) {
      const result = await send(context, url, init)
      const seconds = waitBefore(result, attempt, context.firstDelay)
      if (seconds === null || context.signal?.aborted === true) {
        if (result instanceof InputError) throw result
        return result
      }
      if (!(result instanceof InputError)) await result.body?.cancel()
      context.onWait(result instanceof InputError ? result.got : `status ${result.status} from ${url.host}`, seconds)
      await wait(seconds * 1000, undefined, context.signal === undefined ? {} : { signal: context.signal })
    }
  }

/** One attempt. → an InputError in place of a response that does not come */
const send = async (context: UploadContext, url: URL, init: RequestInit): Promise<Response | InputError> => {
  const timer = stallTimer(context)
  const sent = { bytes: 0 }
  const count = (bytes: number): void => {
    timer.restart()
    sent.bytes += bytes
    context.onSent(bytes)
  }
  try {
    const response = await context.fetch(url, {
      ...init,
      ...bodyOf(init, count),
      headers: headersOf(context, url, init),
      signal: init.signal == null ? timer.signal : AbortSignal.any([init.signal, timer.signal]),
    })
    if (!response.ok) count(-sent.bytes)
    return whole(response, timer)
  } catch (thrown) {
    count(-sent.bytes)
    timer.stop()
    return thrown instanceof InputError ? thrown : inputError(`${url.origin}${url.pathname}`, 'an answer', reasonOf(thrown, context)) // a query may be signed, and is a secret then
  }
}

/** Bytes of an answer; that of a commit or a list is far shorter. */
const answerLimit = 64_000_000

/** The response, read to its end: answers to uploads are short, and the timer must not outlive them. */
const whole = async (response: Response, timer: StallTimer): Promise<Response> => {
  const { status, statusText, headers } = response
  const chunks: Uint8Array[] = []
  let size = 0
  for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
    timer.restart()
    size += chunk.length
    if (size > answerLimit) throw inputError(new URL(response.url).host, `an answer of at most ${answerLimit} bytes`, 'more')
    chunks.push(chunk)
  }
  timer.stop()
  const body = [204, 205, 304].includes(status) ? null : concatenate(chunks)
  const copy = new Response(body, { status, statusText, headers })
  return Object.defineProperty(copy, 'url', { value: response.url.split('?')[0] }) // a query may be signed
}

/** The token goes to the hub alone: storage has its own credentials, in its address or in its headers. */
const headersOf = ({ endpoint, token }: UploadContext, url: URL, { headers, body }: RequestInit): Headers => {
  const all = new Headers(headers)
  if (url.origin === new URL(endpoint).origin) {
    all.delete('authorization')
    if (token !== undefined) all.set('authorization', `Bearer ${token}`)
  }
  if (body instanceof Blob) all.set('content-length', String(body.size)) // storage refuses a body of unknown length
  return all
}

/** A Blob is a file or a part of one: it is sent in pieces, and counted. */
const bodyOf = ({ body }: RequestInit, count: (bytes: number) => void): RequestInit => {
  if (!(body instanceof Blob)) return {}
  const counted = body.stream().pipeThrough(
    new TransformStream<Uint8Array, Uint8Array>({
      transform: (chunk, controller) => {
        count(chunk.length)
        controller.enqueue(chunk)
      },
    }),
  )
  return { body: counted, duplex: 'half' } as RequestInit
}
