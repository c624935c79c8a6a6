/** The routes of the server: requests are checked, take their places in the queue, and get their answers in the shape of their API. */
import { Hono, type Context } from 'hono'
import { bodyLimit } from 'hono/body-limit'
import { cors } from 'hono/cors'
import { streamSSE, type SSEStreamingApi } from 'hono/streaming'
import { isExpected } from '../../../../accelerated/errors/expectedErrors.js'
import { ChangedFileError, inputError, oneLine, reason } from '../../../../accelerated/errors/inputError.js'
import { asyncQueue } from '../../../run/asyncQueue.js'
import { parseJson } from '../../../../accelerated/storage/json.js'
import { isUtf8 } from '../../../../accelerated/storage/native.js'
import type { Text } from '../../../tasks/taskType.js'
import { findTaskTypeByName } from '../../../tasks/findTaskType.js'
import { checkTextCount, type RunPrediction } from '../openRun.js'
import type { Answered, ServedRun } from '../openRuns.js'
import type { Adapters, ServedModel } from './adapters.js'
import { type ChatAnswer, chatRequest, completion, toPrompt } from './chat.js'
import { classifyRequest } from './classify.js'
import { complete, type Completed, completionAnswer, completionRequest } from './completions.js'
import { embeddingsRequest } from './embeddings.js'
import { bodyBudget, places, Rejection, withinTime, type Limits, type Places } from './limits.js'
import { openMetrics, type Metrics } from './serverMetrics.js'

export type Serving = {
  /** by the names that clients use as `model` */
  readonly models: ReadonlyMap<string, ServedModel>
  readonly adapters: Adapters
  readonly limits: Limits
  /** whether only names of this machine are valid hosts: another name that leads here is an attack (DNS rebinding) */
  readonly isLocal: boolean
  /** further origins whose pages may use a server that is for this machine, as `https://app.example` */
  readonly origins: readonly string[]
}

export type ServingApp = { readonly fetch: Hono['fetch']; readonly request: Hono['request']; readonly places: Places }

const paths = {
  classify: '/classify',
  chat: '/v1/chat/completions',
  completions: '/v1/completions',
  embeddings: '/v1/embeddings',
  models: '/v1/models',
  adapters: '/adapters',
  health: '/health',
  metrics: '/metrics',
} as const
type HttpMethod = 'GET' | 'POST' | 'DELETE'
const methods: Readonly<Record<string, HttpMethod>> = {
  [paths.classify]: 'POST',
  [paths.chat]: 'POST',
  [paths.completions]: 'POST',
  [paths.embeddings]: 'POST',
  [paths.models]: 'GET',
  [paths.adapters]: 'POST',
  [paths.health]: 'GET',
  [paths.metrics]: 'GET',
}
/** Lists whose entries have paths of their own, and the method that an entry takes. */
const named: Readonly<Record<string, HttpMethod>> = { [paths.models]: 'GET', [paths.adapters]: 'DELETE' }

/** `/adapters/NAME` → `/adapters`; undefined for a path that is not an entry of a list */
const findList = (path: string): string | undefined => {
  const end = path.lastIndexOf('/')
  return Object.hasOwn(named, path.slice(0, end)) && end < path.length - 1 ? path.slice(0, end) : undefined
}

/** The HTTP method that a path takes; undefined if the server does not have the path. */
const findHttpMethod = (path: string): HttpMethod | undefined => methods[path] ?? named[findList(path) ?? '']

export const servingApp = (serving: Serving): ServingApp => {
  const [app, queue, metrics] = [new Hono(), places(serving.limits), openMetrics()]
  const state: State = { ...serving, queue, metrics }
  app.use(async (c, next) => {
    const began = performance.now()
    await next()
    const path = c.req.path in methods ? c.req.path : (findList(c.req.path) ?? 'other')
    metrics.request(path, c.res.status, (performance.now() - began) / 1000)
  })
  app.use(async (c, next) => {
    checkSender(c, serving)
    await next()
  })
  if (serving.origins.length > 0) app.use(cors({ origin: [...serving.origins], exposeHeaders: ['Retry-After'] }))
  app.use(async (c, next) => {
    checkPath(c)
    await next()
  })
  const bodies = bodyBudget(serving.limits)
  app.use(async (c, next) => {
    const announced = Number(c.req.header('content-length') ?? serving.limits.bodyBytes)
    await bodies.within(c.req.method === 'POST' ? announced : 0, next)
  })
  app.use(
    bodyLimit({
      maxSize: serving.limits.bodyBytes,
      onError: () => {
        throw new Rejection(413, `expected a body of at most ${serving.limits.bodyBytes} bytes`)
      },
    }),
  )
  app.onError((thrown, c) => errorResponse(c, thrown))
  app.post(paths.classify, (c) => classify(c, state))
  app.post(paths.chat, (c) => chat(c, state))
  app.post(paths.completions, (c) => completions(c, state))
  app.post(paths.embeddings, (c) => embeddings(c, state))
  app.post(paths.adapters, async (c) => {
    const body = await jsonBody(c)
    return c.json(await queue.take(1, () => serving.adapters.load(body)))
  })
  app.delete(`${paths.adapters}/:name`, async (c) => c.json(await queue.take(1, () => serving.adapters.unload(c.req.param('name')))))
  const listModels = () => [...serving.models].map(([id, model]) => modelObject(id, model))
  app.get(paths.models, (c) => c.json({ object: 'list', data: listModels() }))
  app.get(`${paths.models}/:model`, (c) => {
    const id = c.req.param('model')
    const model = serving.models.get(id)
    if (model === undefined) throw unknownModel(id, [...serving.models.keys()])
    return c.json(modelObject(id, model))
  })
  app.get(paths.health, (c) =>
    c.json({ status: queue.isClosed() ? 'stopping' : 'ok', models: [...serving.models.keys()] }, queue.isClosed() ? 503 : 200),
  )
  app.get(paths.metrics, (c) => c.text(metrics.text(gauges(state)), 200, { 'Content-Type': prometheusType }))
  return { fetch: app.fetch, request: app.request, places: queue }
}

const modelObject = (id: string, { created, parent, source }: ServedModel) => ({
  ...{ id, object: 'model', created, owned_by: 'salora' },
  ...(source === undefined ? {} : { parent, scale: source.scale }),
})

type State = Serving & { readonly queue: Places; readonly metrics: Metrics }

const prometheusType = ['text/plain', 'version=0.0.4', 'charset=utf-8'].join('; ')

const localHost = /^(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/
const localOrigin = /^https?:\/\/(127\.0\.0\.1|localhost|\[::1\])(:\d{1,5})?$/

/** A browser names the page's origin with each POST, which it sends without asking. Other clients name none. @throws Rejection */
const checkSender = (c: Context, { isLocal, origins }: Serving): void => {
  const [host, origin] = [c.req.header('host') ?? '', c.req.header('origin')]
  if (isLocal && !localHost.test(host)) throw new Rejection(403, 'expected 127.0.0.1 or localhost as host')
  if (isLocal && origin !== undefined && !localOrigin.test(origin) && !origins.includes(origin))
    throw new Rejection(403, `expected a page of this machine, got one of ${origin.slice(0, 200)} (salora serve --allow-origin admits it)`)
}

/** @throws Rejection for a path or a method that the server does not have */
const checkPath = (c: Context): void => {
  const method = findHttpMethod(c.req.path)
  if (method === undefined) throw new Rejection(404, `expected one of ${Object.keys(methods).join(', ')}`)
  const asked = c.req.method === 'HEAD' ? 'GET' : c.req.method // health checks ask for the status alone
  if (asked !== method) throw new Rejection(405, `expected ${method} ${c.req.path}`)
}

const gauges = ({ queue, models }: State): Readonly<Record<string, number>> => ({
  salora_queue_texts: queue.taken(),
  salora_runs: models.size,
  process_resident_memory_bytes: process.memoryUsage.rss(),
  process_uptime_seconds: process.uptime(),
})

/** @throws InputError if the body is not JSON in UTF-8: other bytes would become replacement characters in a text */
const jsonBody = async (c: Context): Promise<unknown> => {
  if (!isUtf8(await c.req.bytes())) throw inputError('the request', 'JSON in UTF-8', 'other bytes')
  return parseJson(await c.req.text(), 'the request')
}

/** As OpenAI's API answers a model that it does not have. */
const unknownModel = (name: string, known: readonly string[]): Rejection =>
  new Rejection(404, `model: expected one of ${known.join(', ')}, got ${JSON.stringify(name)}`, null, 'model_not_found')

/** The run of a request's `model`, or the only one of this kind. @throws Rejection (404) for an unknown name, else InputError */
const runFor = (
  name: string | undefined,
  { models }: Serving,
  answers: 'predict' | 'generate',
): readonly [name: string, run: ServedRun] => {
  const able = [...models].flatMap(([one, { run }]) => (run.info.answers === answers ? [[one, run] as const] : []))
  const named = able.find(([one]) => one === name)
  const [only] = able
  if (named !== undefined) return named
  if (name === undefined && only !== undefined && able.length === 1) return only
  const names = able.map(([one]) => one)
  if (name !== undefined && !models.has(name)) throw unknownModel(name, names.length > 0 ? names : [...models.keys()])
  const what = answers === 'predict' ? 'classifies' : 'writes text'
  if (able.length === 0) throw inputError('model', `a run that ${what}`, 'none on this server')
  throw inputError('model', `one of ${names.join(', ')}`, name === undefined ? 'none' : JSON.stringify(name))
}

const classify = async (c: Context, state: State): Promise<Response> => {
  const { model, texts, answer } = classifyRequest(await jsonBody(c))
  const [name, run] = runFor(model, state, 'predict')
  for (const text of texts) checkTextCount(text, run.info, 'the request')
  const answered = await predictions(c, state, name, run, texts)
  return c.json(answer(answered.map(({ value }) => value as RunPrediction)) as object)
}

const embeddings = async (c: Context, state: State): Promise<Response> => {
  const { model, texts, answer } = embeddingsRequest(await jsonBody(c))
  const [name, run] = runFor(model, state, 'predict')
  if (findTaskTypeByName(run.info.taskType)?.readsHalfPairs !== true)
    throw inputError('model', 'a run of embeddings', `${name}, a run of ${run.info.taskType}`)
  const answered = await predictions(c, state, name, run, texts)
  const vectors = answered.map(({ value }) => ('embedding' in value ? (value.embedding as readonly number[]) : []))
  return c.json(
    answer(
      name,
      vectors,
      answered.reduce((sum, { tokens }) => sum + tokens, 0),
    ),
  )
}

/** Predictions of a request's texts, in their places of the queue. @throws Rejection */
const predictions = async (
  c: Context,
  state: State,
  name: string,
  run: ServedRun,
  texts: readonly Text[],
): Promise<readonly Answered[]> => {
  if (texts.length > state.limits.textsPerRequest)
    throw new Rejection(413, `expected at most ${state.limits.textsPerRequest} texts in a request, got ${texts.length}`)
  const answered = await state.queue.take(texts.length, () =>
    withinTime(state.limits.timeout, c.req.raw.signal, (signal) => Promise.all(texts.map((text) => run.predict(text, signal)))),
  )
  state.metrics.texts(name, texts.length, answered.filter(({ truncated }) => truncated).length)
  return answered
}

/** @throws Rejection if a request asks for more texts than it may */
const checkTexts = (count: number, { limits: { textsPerRequest: most } }: State): void => {
  if (count > most) throw new Rejection(413, `expected at most ${most} texts of a request (prompts × n), got ${count}`)
}

const chat = async (c: Context, state: State): Promise<Response> => {
  const request = chatRequest(await jsonBody(c))
  const [name, run] = runFor(request.model, state, 'generate')
  const prompt = toPrompt(request, run.info.promptTemplate ?? 'chat')
  const [answer, places] = [completion(name, request.callable), request.settings.length]
  checkTexts(places, state)
  const generate: Generate<object, readonly ChatAnswer[]> = async ({ onPiece, onStart }, signal) => {
    const each = request.settings.map(async (settings, index) => {
      let promptTokens = 0
      const begin = (tokens: number): void => {
        promptTokens = tokens
        onStart()
      }
      const chunks = answer.stream(index, onPiece)
      const text = await run.generate(prompt, settings, { onPiece: chunks.piece, onStart: begin }, signal)
      chunks.last(text)
      return { ...text, promptTokens }
    })
    const all = await Promise.all(each)
    const { prompt_tokens, completion_tokens } = answer.usage(all)
    state.metrics.tokens(name, prompt_tokens, completion_tokens)
    return all
  }
  if (!request.stream) return c.json(answer.whole(await generated(c, state, places, generate)))
  return streamed(c, state, places, generate, {
    first: request.settings.map((_, index) => answer.first(index)),
    last: (all) => (request.includeUsage ? [answer.lastUsage(all)] : []),
  })
}

const completions = async (c: Context, state: State): Promise<Response> => {
  const { model, choices, n, stream, includeUsage } = completionRequest(await jsonBody(c))
  const [name, run] = runFor(model, state, 'generate')
  checkTexts(choices.length, state)
  const answer = completionAnswer(name, n)
  const generate: Generate<object, readonly Completed[]> = async ({ onPiece, onStart }, signal) => {
    const each = choices.map(async (choice, index) => {
      const completed = await complete(run, choice, { onPiece: (text) => onPiece(answer.piece(index, text)), onStart }, signal)
      onPiece(answer.last(index, completed))
      return completed
    })
    const all = await Promise.all(each)
    const { prompt_tokens, completion_tokens } = answer.usage(all)
    state.metrics.tokens(name, prompt_tokens, completion_tokens)
    return all
  }
  if (!stream) return c.json(answer.whole(await generated(c, state, choices.length, generate)))
  return streamed(c, state, choices.length, generate, {
    first: [],
    last: (all) => (includeUsage ? [answer.lastUsage(all)] : []),
  })
}

/** @param onStart is called once a prompt is about to be read */
type Generate<Chunk, Result> = (
  listener: { readonly onPiece: (chunk: Chunk) => void; readonly onStart: () => void },
  signal: AbortSignal,
) => Promise<Result>

/** What a generation gives in the end, in its places of the queue. @throws Rejection */
const generated = <Chunk, Result>(c: Context, state: State, places: number, generate: Generate<Chunk, Result>): Promise<Result> =>
  state.queue.take(places, () =>
    withinTime(state.limits.timeout, c.req.raw.signal, (signal) =>
      generate({ onPiece: () => undefined, onStart: () => undefined }, signal),
    ),
  )

/** The chunks around those of a generation. */
type Chunks<Result> = {
  readonly first: readonly object[]
  readonly last: (result: Result) => readonly object[]
}

/** Server-sent events. The status is sent once the prompt is read, so that a refused prompt gets an error of its own. */
const streamed = async <Result>(
  c: Context,
  state: State,
  places: number,
  generate: Generate<object, Result>,
  chunks: Chunks<Result>,
): Promise<Response> => {
  const { whenStarted, pieces, done, leave } = startGeneration(state, c.req.raw.signal, places, generate)
  await whenStarted
  const response = streamSSE(c, async (stream) => {
    const send = (data: object): Promise<void> => stream.writeSSE({ data: JSON.stringify(data) })
    stream.onAbort(leave)
    try {
      for (const chunk of chunks.first) await send(chunk)
      for await (const piece of pieces) await send(piece)
      for (const chunk of chunks.last(await done)) await send(chunk)
    } catch (thrown) {
      if (!stream.aborted) await send({ error: { message: toMessage(thrown), type: 'server_error', param: null, code: null } })
    }
    await end(stream)
  })
  // Hono sets both for every client. Node knows which one reads chunks, and which connection stays open.
  for (const header of ['Transfer-Encoding', 'Connection']) response.headers.delete(header)
  return response
}

const end = async (stream: SSEStreamingApi): Promise<void> => {
  if (!stream.aborted) await stream.writeSSE({ data: '[DONE]' })
}

/** Runs a generation in its places of the queue; its pieces wait until the client reads them. */
const startGeneration = <Result>(state: State, client: AbortSignal, places: number, generate: Generate<object, Result>) => {
  const [pieces, left] = [asyncQueue<object>(), new AbortController()]
  let started = (): void => undefined
  const begun = new Promise<void>((resolve) => {
    started = resolve
  })
  const done = state.queue
    .take(places, () =>
      withinTime(state.limits.timeout, AbortSignal.any([client, left.signal]), (signal) =>
        generate({ onPiece: pieces.push, onStart: started }, signal),
      ),
    )
    .finally(pieces.close)
  done.catch(() => undefined) // awaited below
  return { whenStarted: Promise.race([begun, done]), done, pieces, leave: () => left.abort() }
}

const toMessage = (thrown: unknown): string =>
  oneLine(thrown instanceof Rejection || isExpected(thrown) ? (thrown as Error).message : reason(thrown))

/** One line, in the shape of OpenAI's errors; of /classify as Hugging Face's { error }. */
const errorResponse = (c: Context, thrown: unknown): Response => {
  const rejection =
    thrown instanceof Rejection
      ? thrown
      : new Rejection(isExpected(thrown) && !(thrown instanceof ChangedFileError) ? 400 : 500, toMessage(thrown))
  const { status, message, retryAfter, code, param } = rejection
  if (retryAfter !== null) c.header('Retry-After', String(retryAfter))
  const method = findHttpMethod(c.req.path)
  if (status === 405) c.header('Allow', method === 'GET' ? 'GET, HEAD' : method)
  if (status === 413) c.header('Connection', 'close') // the rest of the body is not read
  const type = status >= 500 ? 'server_error' : 'invalid_request_error'
  const body = c.req.path === paths.classify ? { error: message } : { error: { message, type, param, code } }
  return c.body(`${JSON.stringify(body)}\n`, status as 400, { 'Content-Type': 'application/json; charset=utf-8' })
}
