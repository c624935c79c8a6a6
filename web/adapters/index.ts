/**
 * `salora/adapters`: adapters of one base for @huggingface/transformers, swapped while the page runs. The base is what
 * `salora export --format transformers.js --adapter-inputs` writes; an adapter is a file of `--format peft-file`, or a folder of PEFT's.
 * It imports nothing, and works in Node, in a page and in a Web Worker.
 */
import { configFile, largestFile, longestText, namesFile, noAdapter, readAdapter, readHeader } from './adapterFile.js'
import { AdapterError, type Adapter, type AdapterBytes, type Base, type BaseInput } from './adapterFile.js'

export { AdapterError }

/** The URL of a safetensors file or of a PEFT folder; the bytes of such a file, with its configuration inside; null: the base alone. */
export type AdapterSource = string | URL | Uint8Array | ArrayBuffer | null

export type Swap = {
  /**
   * Downloads an adapter and swaps it. Calls that run end with theirs first; calls that begin after the download wait. The last `use` wins, and a failed
   * one changes nothing. → whether this adapter was put in use; false: a later `use` came before. @throws AdapterError, in one line
   */
  readonly use: (source: AdapterSource) => Promise<boolean>
}

/** What is needed of a pipeline of @huggingface/transformers. */
export type Pipeline = ((...inputs: never[]) => Promise<unknown>) & {
  readonly model: { readonly sessions: Record<string, unknown>; readonly config: object }
}

type Feeds = Readonly<Record<string, object>>
/** ONNX Runtime's session, as far as it is needed. */
type Session = {
  readonly inputNames: readonly string[]
  readonly inputMetadata: readonly BaseInput[]
  readonly run: (feeds: Feeds, ...options: readonly unknown[]) => Promise<unknown>
}
type TensorClass = new (type: 'float32', data: Float32Array, dims: readonly number[]) => { readonly data: ArrayLike<number> }

/**
 * The pipeline with an adapter, for `text-classification`, `token-classification`, `feature-extraction` and `text-generation`. It can be called as the
 * pipeline can. @throws AdapterError if the model was not exported with `--adapter-inputs`, or as `use` does; the pipeline is then as it was
 */
export const withAdapter = async <P extends Pipeline>(pipeline: P, source: AdapterSource): Promise<P & Swap> => {
  const { sessions, config } = pipeline.model
  const session = sessions['model'] as Session | undefined
  const inputs = (session?.inputMetadata ?? []).filter(({ name }) => name.startsWith('base_model.'))
  if (session === undefined || inputs.length === 0)
    throw new AdapterError('withAdapter', 'a model of salora export --format transformers.js --adapter-inputs', 'another')
  const { salora_base_sha256: digest } = config as { readonly salora_base_sha256?: string }
  const base: Base = { inputs, digest }

  const running = new Set<Promise<unknown>>()
  let swapped: Promise<unknown> = Promise.resolve()
  let latest = new AbortController()
  const adapterTensors = adapterFeeds()

  const install = (adapter: Adapter): void => {
    adapterTensors.set(adapter)
    if (adapter.labels !== null) Object.assign(config, classConfig(adapter.labels, adapter.problemType))
  }
  const use = async (next: AdapterSource): Promise<boolean> => {
    latest.abort()
    latest = new AbortController()
    const { signal } = latest
    try {
      const adapter = next === null ? noAdapter(base) : readAdapter(await load(next, base, signal), base)
      const mine = swapped
        .then(() => Promise.allSettled(running))
        .then(() => {
          if (!signal.aborted) install(adapter)
          return !signal.aborted
        })
      swapped = mine
      return await mine
    } catch (error) {
      if (signal.aborted) return false
      throw error
    }
  }
  const call = async (inputsOfCall: Parameters<P>): Promise<unknown> => {
    await swapped
    const answer = pipeline(...inputsOfCall)
    running.add(answer)
    return answer.finally(() => running.delete(answer))
  }

  await use(source)
  const names = new Set(inputs.map(({ name }) => name))
  // transformers.js gives a session the inputs that its names list.
  sessions['model'] = Object.create(session, {
    inputNames: { value: session.inputNames.filter((name) => !names.has(name)) },
    inputMetadata: { value: session.inputMetadata.filter(({ name }) => !names.has(name)) },
    run: { value: (feeds: Feeds, ...options: readonly unknown[]) => adapterTensors.run(feeds, (all) => session.run(all, ...options)) },
  })
  return new Proxy(pipeline, {
    apply: (_, __, given) => call(given as Parameters<P>),
    get: (target, key) => (key === 'use' ? use : Reflect.get(target, key)),
  }) as P & Swap
}

/**
 * Runs a session with the adapter's tensors among its feeds. They are made once, by the class of the other feeds. With `env.wasm.proxy`, a run moves
 * its feeds into a worker: the first run is given copies, which show it, and then all are.
 */
const adapterFeeds = () => {
  let moves: boolean | null = null
  let tensors: Adapter['tensors'] = new Map()
  let made: Feeds | null = null
  const make = (feeds: Feeds): Feeds => {
    const Tensor = Object.values(feeds)[0]?.constructor as TensorClass
    const own = moves === false
    const entries = [...tensors].map(([name, { dims, data }]) => [name, new Tensor('float32', own ? data : data.slice(), dims)] as const)
    return Object.fromEntries(entries)
  }
  return {
    set: (adapter: Adapter): void => {
      tensors = adapter.tensors
      made = null
    },
    run: async (feeds: Feeds, run: (all: Feeds) => Promise<unknown>): Promise<unknown> => {
      const mine = made ?? make(feeds)
      if (moves === false) made = mine
      const outputs = await run({ ...feeds, ...mine })
      moves ??= Object.values(mine).some((tensor) => (tensor as InstanceType<TensorClass>).data.length === 0)
      return outputs
    },
  }
}

/** The part of a model's config.json that its pipeline reads for classes. */
const classConfig = (labels: readonly string[], problemType: string | null): object => ({
  id2label: Object.fromEntries(labels.map((label, i) => [i, label])),
  label2id: Object.fromEntries(labels.map((label, i) => [label, i])),
  num_labels: labels.length,
  problem_type: problemType,
})

const load = async (source: string | URL | Uint8Array | ArrayBuffer, base: Base, signal: AbortSignal): Promise<AdapterBytes> => {
  if (source instanceof ArrayBuffer) return { place: 'adapter', weights: new Uint8Array(source), texts: {} }
  if (ArrayBuffer.isView(source)) {
    const plain = new Uint8Array(source.buffer, source.byteOffset, source.byteLength) // a Buffer's slice copies nothing
    return { place: 'adapter', weights: plain, texts: {} }
  }
  const place = String(source)
  const folder = /\.safetensors(?=$|[?#])/.test(place) ? null : parseUrl(place.replace(/\/?$/, '/'), place)
  const file = folder === null ? parseUrl(place, place) : new URL('adapter_model.safetensors', folder)
  const weights = await fetchBytes(file, largestFile(base), signal)
  if (weights === null) throw new AdapterError(place, 'an adapter', 'status 404')
  if (readHeader(weights, place).metadata.has(configFile)) return { place, weights, texts: {} }
  const texts = await Promise.all(
    [configFile, namesFile].map(async (name) => {
      const bytes = await fetchBytes(new URL(name, file), longestText, signal)
      return bytes === null ? [] : [[name, new TextDecoder().decode(bytes)] as const]
    }),
  )
  return { place, weights, texts: Object.fromEntries(texts.flat()) }
}

const parseUrl = (address: string, place: string): URL => {
  try {
    return new URL(address, (globalThis as { readonly location?: { readonly href: string } }).location?.href)
  } catch {
    throw new AdapterError(place, 'a URL, or the bytes of a file (await readFile(path))', 'another text')
  }
}

/** null for a file that is not there. @param most bytes that are read @throws AdapterError */
const fetchBytes = async (url: URL, most: number, signal: AbortSignal): Promise<Uint8Array | null> => {
  const lost = (error: unknown): never => {
    throw new AdapterError(String(url), 'a whole answer', `none (${error instanceof Error ? error.message : 'no connection'})`)
  }
  const response = await fetch(url, { signal }).catch(lost)
  if (response.status === 404) return null
  if (!response.ok) throw new AdapterError(String(url), 'an adapter', `status ${response.status}`)
  const chunks: Uint8Array[] = []
  let size = 0
  const reader = response.body?.getReader()
  for (;;) {
    const { done = true, value } = (await reader?.read().catch(lost)) ?? {}
    if (done || value === undefined) break
    size += value.length
    chunks.push(value)
    if (size <= most) continue
    await reader?.cancel()
    throw new AdapterError(String(url), `at most ${most} bytes, as the base has inputs`, 'more')
  }
  const bytes = new Uint8Array(size)
  chunks.reduce((at, chunk) => {
    bytes.set(chunk, at)
    return at + chunk.length
  }, 0)
  return bytes
}
