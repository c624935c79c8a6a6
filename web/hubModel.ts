/** A model of the Hugging Face hub in a browser: its files at the addresses of transformers.js, from its cache or downloaded into it. */
import { parseConfigFile } from '../accelerated/checkpoints/configFile.js'
import { sendUntilFinal } from '../accelerated/checkpoints/hub/hubRequest.js'
import { isHubId, optionalFiles, poolingFile } from '../accelerated/checkpoints/hub/hubRules.js'
import { indexLimit, parseShardIndex } from '../accelerated/checkpoints/safetensors/weightFiles.js'
import { InputError, inputError, quoted, reason } from '../accelerated/errors/inputError.js'

/** The name of transformers.js' cache, so that each finds the other's downloads: `caches.open(hubCacheName)`. */
export const hubCacheName = 'transformers-cache'

/** Bytes of weights. WebAssembly has 4 GiB; a step holds the weights, a copy for the session, and what it computes. */
export const largestModel = 1.5e9

/** The part of the Cache API that is needed. */
export type HubCache = {
  readonly match: (address: string) => Promise<Response | undefined>
  readonly put: (address: string, response: Response) => Promise<void>
}

/** Where the hub is, and what keeps its files. */
export type HubPlace = {
  /** null: nothing is kept */
  readonly cache: HubCache | null
  /** https://HOST, without a slash at the end (default: the hub) */
  readonly origin?: string
  readonly signal?: AbortSignal
  /** why a request is repeated, and after how many seconds */
  readonly onWait?: (reason: string, seconds: number) => void
  /** milliseconds before the first repetition, doubled before each further one (default: 1000) */
  readonly firstDelay?: number
}

type WeightFile = {
  readonly name: string
  /** null: the server does not say */
  readonly bytes: number | null
  readonly cached: boolean
}

/** A model that the hub or the cache has, before its weights are loaded. */
export type HubModel = {
  readonly id: string
  /** the model_type of its config.json */
  readonly family: string
  readonly weights: readonly WeightFile[]
}

/** Bytes of one file so far; null: the server does not say how many there are. */
export type HubProgress = { readonly file: string; readonly received: number; readonly total: number | null }

const [single, index] = ['model.safetensors', 'model.safetensors.index.json']

/** Bytes of any file but weights. */
const textLimit = 64_000_000

/** @throws InputError for more bytes of weights than a browser can train */
export const checkModelSize = (name: string, bytes: number): void => {
  if (bytes <= largestModel) return
  const expected = `at most ${largestModel / 1e9} GB of weights (WebAssembly has 4 GB of memory)`
  throw inputError(name, expected, `${(bytes / 1e9).toFixed(1)} GB; train it with Node`)
}

/** Finds a model and how large it is; its weights stay where they are. @throws InputError for one that is not there, not supported or too large */
export const findHubModel = async (id: string, place: HubPlace): Promise<HubModel> => {
  if (!isHubId(id)) throw inputError('model', 'OWNER/NAME of the hub', quoted(id))
  const config = await loaded(id, 'config.json', place)
  if (config === null) throw inputError(id, 'config.json on the hub', 'none (no such model, or one of another library)')
  const text = await config.text()
  parseConfigFile(text, `${id}/config.json`)
  const { model_type: family } = JSON.parse(text) as { readonly model_type: string }
  const weights = await listWeights(id, place)
  checkModelSize(
    id,
    weights.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0),
  )
  return { id, family, weights }
}

/** Downloads what the cache lacks, small files first. → all files by name @throws InputError */
export const hubFiles = async (
  { id, weights }: HubModel,
  place: HubPlace,
  report: (progress: HubProgress) => void,
): Promise<ReadonlyMap<string, Blob>> => {
  const files = new Map<string, Blob>()
  const add = async (file: string, limit = textLimit): Promise<number | null> => {
    const blob = await loaded(id, file, place, limit, report)
    if (blob !== null) files.set(file, blob)
    return blob?.size ?? null
  }
  for (const file of ['config.json', 'tokenizer.json']) if ((await add(file)) === null) throw inputError(id, `${file} on the hub`, 'none')
  // Weights come last, so a cache with weights has the optional files too, if there are any. Without a connection nobody can ask.
  const isComplete = weights.every(({ cached }) => cached)
  for (const file of [...optionalFiles, poolingFile]) if (!isComplete || (await cachedFile(id, file, place)) !== null) await add(file)
  let total = 0
  for (const { name } of weights) {
    const bytes = await add(name, largestModel - total)
    if (bytes === null) throw inputError(id, `${name} on the hub`, 'none')
    total += bytes
  }
  return files
}

/** model.safetensors, or the shards that an index names. */
const listWeights = async (id: string, place: HubPlace): Promise<readonly WeightFile[]> => {
  const whole = await sized(id, single, place)
  if (whole !== null) return [whole]
  const shards = await loaded(id, index, place, indexLimit)
  if (shards === null) throw inputError(id, 'weights in safetensors on the hub', 'none (pickled weights are not read)')
  const names = new Set(Object.values(parseShardIndex(await shards.text(), `${id}/${index}`)))
  const weights: WeightFile[] = []
  let total = 0
  for (const name of names) {
    const shard = await sized(id, name, place)
    if (shard === null) throw inputError(id, `${name} on the hub`, 'none')
    weights.push(shard)
    total += shard.bytes ?? 0
    if (total > largestModel) break // the other shards only make it larger
  }
  return weights
}

const hub = 'https://huggingface.co'
const fileAddress = (id: string, file: string, { origin = hub }: HubPlace): string => `${origin}/${id}/resolve/main/${file}`

/** null: the cache does not have it, or cannot be read */
const cachedFile = async (id: string, file: string, place: HubPlace): Promise<Blob | null> => {
  const cached = await place.cache?.match(fileAddress(id, file, place)).catch(() => undefined)
  return cached === undefined ? null : cached.blob()
}

/** A file and its size, by a request of its first byte, as transformers.js asks. → null: there is none */
const sized = async (id: string, name: string, place: HubPlace): Promise<WeightFile | null> => {
  const cached = await cachedFile(id, name, place)
  if (cached !== null) return { name, bytes: cached.size, cached: true }
  const response = await ask(id, name, place, { range: 'bytes=0-0' })
  if (response === null) return null
  await response.body?.cancel().catch(() => undefined)
  const { status, headers } = response
  const size = status === 206 ? /\/(\d+)$/.exec(headers.get('content-range') ?? '')?.[1] : headers.get('content-length')
  return { name, bytes: size == null ? null : Number(size), cached: false }
}

/** A file from the cache, or from the hub and then in the cache. → null: there is none */
const loaded = async (
  id: string,
  file: string,
  place: HubPlace,
  limit = textLimit,
  report: (progress: HubProgress) => void = () => undefined,
): Promise<Blob | null> => {
  const cached = await cachedFile(id, file, place)
  if (cached !== null) return cached
  const response = await ask(id, file, place)
  if (response === null) return null
  const blob = await downloadBody(id, file, place, response, limit, report)
  const type = response.headers.get('content-type') ?? 'application/octet-stream'
  const kept = new Response(blob, { headers: { 'content-type': type, 'content-length': String(blob.size) } })
  await place.cache?.put(fileAddress(id, file, place), kept).catch(() => undefined) // a full storage only costs the next download
  return blob
}

/** The whole body. It does not stay in this thread's memory: the browser keeps large blobs on the disk. @throws InputError */
const downloadBody = async (
  id: string,
  file: string,
  place: HubPlace,
  { body, headers }: Response,
  limit: number,
  report: (progress: HubProgress) => void,
): Promise<Blob> => {
  const where = `${id}/${file}`
  if (body === null) throw inputError(where, 'a file of the hub', 'an answer without content')
  const declared = headers.has('content-encoding') ? null : headers.get('content-length')
  const total = declared === null ? null : Number(declared)
  const tooLarge = (): InputError => inputError(where, `at most ${limit} bytes`, total === null ? 'more' : String(total))
  if ((total ?? 0) > limit) {
    await body.cancel().catch(() => undefined)
    throw tooLarge()
  }
  let received = 0
  const counted = new TransformStream<Uint8Array, Uint8Array>({
    transform: (chunk, controller) => {
      received += chunk.length
      if (received > limit) throw tooLarge()
      report({ file, received, total })
      controller.enqueue(chunk)
    },
  })
  const blob = await new Response(body.pipeThrough(counted)).blob().catch((thrown: unknown) => {
    if (received > limit) throw tooLarge()
    throw place.signal?.aborted === true
      ? stopped(id)
      : inputError(where, `${total ?? 'all'} bytes`, `${received}: the connection broke (${reason(thrown)})`)
  })
  if (total !== null && blob.size !== total) throw inputError(where, `${total} bytes`, `${blob.size}`)
  return blob
}

const stopped = (id: string): InputError => inputError(id, 'a whole download', 'one that was stopped')

/** Requests a file of a model. Returns null if the hub does not have the file. @throws InputError for every other failure */
const ask = async (id: string, file: string, place: HubPlace, headers: Readonly<Record<string, string>> = {}): Promise<Response | null> => {
  const response = await finalAnswer(id, file, place, headers)
  const { status } = response
  const isPage = response.ok && /^text\/html/.test(response.headers.get('content-type') ?? '')
  if (response.ok && !isPage) return response
  await response.body?.cancel().catch(() => undefined)
  if (isPage) throw inputError(`${id}/${file}`, 'a file of the hub', 'a web page (of a proxy, or to log in?)')
  if (response.headers.get('x-error-code') === 'GatedRepo' || status === 403)
    throw inputError(id, 'a public model', `status ${status}: it needs an account; download it, and choose its folder`)
  if (status === 401) throw inputError(id, 'a public model', 'status 401: it does not exist, or it needs an account')
  if (status === 404) return null
  throw inputError(`${id}/${file}`, 'a file of the hub', `status ${status}${status === 429 || status >= 500 ? ' (try again later)' : ''}`)
}

/** The answer to a request, which is repeated after a while where the answer may pass. */
const finalAnswer = async (id: string, file: string, place: HubPlace, headers: Readonly<Record<string, string>>): Promise<Response> => {
  const { origin = hub, signal, onWait = () => undefined, firstDelay = 1_000 } = place
  const address = fileAddress(id, file, place)
  const stop = signal === undefined ? {} : { signal }
  const send = async (): Promise<{ readonly response: Response }> => ({ response: await fetch(address, { headers, ...stop }) })
  try {
    const answer = await sendUntilFinal({ ...stop, onWait, firstDelay }, new URL(address).host, send)
    if (answer instanceof InputError || signal?.aborted === true) throw stopped(id)
    return answer.response
  } catch {
    if (signal?.aborted === true) throw stopped(id)
    throw inputError(id, `an answer of ${origin} (or a model's folder of this computer)`, 'none: no connection')
  }
}
