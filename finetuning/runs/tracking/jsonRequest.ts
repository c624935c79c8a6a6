/** One request to a tracker's server, bounded in time and in memory: a hostile server can only fail. */
import { reason } from '../../../accelerated/errors/inputError.js'
import type { Fetch } from '../../../accelerated/checkpoints/hub/proxiedFetch.js'
import { TrackerError } from './service.js'

export type JsonRequest = {
  readonly fetch: Fetch
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal: AbortSignal
}

export type JsonResponse = { readonly status: number; readonly json: unknown }

/** The run of a long training has a few hundred settings and metrics: some 100 kB. */
const bodyLimit = 4_000_000

/** The status and the JSON of the answer; a body that is no JSON is `undefined`. @throws TrackerError without an answer */
export const jsonRequest = async (url: URL, { fetch, signal, ...request }: JsonRequest): Promise<JsonResponse> => {
  try {
    // a redirect would turn a POST into a GET, and may lead to another server
    const response = await fetch(url, { ...request, signal, redirect: 'manual' })
    return { status: response.status, json: parsed(await boundedText(response)) }
  } catch (thrown) {
    if (thrown instanceof TrackerError) throw thrown
    throw new TrackerError(signal.aborted ? 'silence' : reason(thrown), true)
  }
}

const boundedText = async (response: Response): Promise<string> => {
  const chunks: Uint8Array[] = []
  let length = 0
  for await (const chunk of response.body ?? []) {
    chunks.push(chunk)
    length += chunk.length
    if (length > bodyLimit) throw new TrackerError(`an answer of more than ${bodyLimit / 1e6} MB`, false) // leaving the loop ends the download
  }
  return Buffer.concat(chunks).toString('utf8')
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
