/**
 * MLflow's tracking server by its REST API: experiments, runs, params and metrics, within the limits of its documentation.
 * A run that is continued is asked first, so that nothing is recorded twice.
 */
import { z } from 'zod'
import { inputError, reason } from '../../../accelerated/errors/inputError.js'
import { variable, type Environment } from '../../../accelerated/storage/nodeFiles.js'
import { readSecret, webAddress, proxiedFetch, type Fetch } from '../../../accelerated/checkpoints/hub/hubEnvironment.js'
import { TrackerError, type Point, type RunDescription, type RunStatus, type TrackedRun, type TrackerService } from './service.js'

/** mlflow/utils/validation.py and the REST API's documentation; the older limit where versions differ. */
const limits = { metrics: 1000, params: 100, key: 250, paramValue: 500 }

/** MLflow's own default. */
const defaultExperiment = 'Default'

type Server = {
  readonly address: string
  readonly experiment: string
  readonly authorization: string | undefined
  readonly fetch: Fetch
}

/** The server that MLflow's environment variables name. @throws InputError if one is wrong, or if there is no address */
export const mlflowService = (environment: Environment): TrackerService => {
  const server = readServer(environment)
  return { address: server.address, batchSize: limits.metrics, open: (run, signal) => openMlflowRun(server, run, signal) }
}

const readServer = (environment: Environment): Server => {
  const uri = variable(environment, 'MLFLOW_TRACKING_URI')
  if (uri === undefined) throw inputError('MLFLOW_TRACKING_URI', 'the address of an MLflow server, as http://localhost:5000', 'nothing')
  const [token, user, password] = ['MLFLOW_TRACKING_TOKEN', 'MLFLOW_TRACKING_USERNAME', 'MLFLOW_TRACKING_PASSWORD'].map((name) =>
    readSecret(environment, name),
  )
  const basic = user === undefined ? undefined : `Basic ${Buffer.from(`${user}:${password ?? ''}`).toString('base64')}`
  return {
    address: webAddress('MLFLOW_TRACKING_URI', uri, 'they go into MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD'),
    experiment: variable(environment, 'MLFLOW_EXPERIMENT_NAME') ?? defaultExperiment,
    authorization: token === undefined ? basic : `Bearer ${token}`,
    fetch: proxiedFetch(environment),
  }
}

/** The ids are the server's: they go into addresses and into the run folder. */
const id = z.string().regex(/^[\w-]{1,256}$/)
const runInfo = z.looseObject({ run_id: id, experiment_id: id, lifecycle_stage: z.string().optional() })
const experimentAnswer = z.looseObject({ experiment: z.looseObject({ experiment_id: id, lifecycle_stage: z.string().optional() }) })
const newExperimentAnswer = z.looseObject({ experiment_id: id })
// Protocol buffers write 64-bit integers as texts; MLflow as either.
const integer = z.union([
  z.int(),
  z
    .string()
    .regex(/^-?\d{1,15}$/)
    .transform(Number),
])
const runAnswer = z.looseObject({
  run: z.looseObject({
    info: runInfo,
    data: z
      .looseObject({
        metrics: z.array(z.looseObject({ key: z.string(), step: integer.optional() })).optional(),
        params: z.array(z.looseObject({ key: z.string() })).optional(),
      })
      .optional(),
  }),
})
type Run = z.infer<typeof runAnswer>['run']

const openMlflowRun = async (server: Server, description: RunDescription, signal: AbortSignal): Promise<TrackedRun> => {
  const earlier = await earlierRun(server, description, signal)
  const { info, data } = earlier ?? (await newRun(server, description, signal))
  const { run_id, experiment_id } = info
  await description.store({ address: server.address, experimentId: experiment_id, runId: run_id })
  if (earlier !== null) await post(server, 'runs/update', { run_id, status: 'RUNNING' }, signal)
  const known = new Set(data?.params?.map(({ key }) => key))
  const params = Object.entries(description.params)
    .map(([key, value]) => ({ key: validKey(key), value: cut(value, limits.paramValue) }))
    .filter(({ key }) => !known.has(key)) // a param cannot change
  for (let at = 0; at < params.length; at += limits.params)
    await post(server, 'runs/log-batch', { run_id, metrics: [], params: params.slice(at, at + limits.params), tags: [] }, signal)
  return {
    url: `${server.address}/#/experiments/${experiment_id}/runs/${run_id}`,
    lastSteps: new Map(data?.metrics?.map(({ key, step = 0 }) => [key, step])),
    log: async (points, signal) => {
      await post(server, 'runs/log-batch', { run_id, metrics: points.map(toMetric), params: [], tags: [] }, signal)
    },
    finish: async (status: RunStatus, signal) => {
      await post(server, 'runs/update', { run_id, status, end_time: Date.now() }, signal)
    },
  }
}

/** The run of the run folder, if this server still has it. */
const earlierRun = async (server: Server, { earlier }: RunDescription, signal: AbortSignal): Promise<Run | null> => {
  const stored = id.safeParse(earlier?.['runId'])
  if (!stored.success || earlier?.['address'] !== server.address) return null
  const response = await ask(server, 'GET', 'runs/get', { run_id: stored.data }, signal)
  if (response.status === 404) return null
  const { run } = answer(response, runAnswer)
  return run.info.lifecycle_stage === 'deleted' ? null : run
}

const newRun = async (server: Server, { name }: RunDescription, signal: AbortSignal): Promise<Run> => {
  const experiment_id = await experimentId(server, signal)
  const tags = [{ key: 'mlflow.source.name', value: 'salora train' }]
  const request = { experiment_id, run_name: cut(name, limits.key), start_time: Date.now(), tags }
  return answer(await ask(server, 'POST', 'runs/create', request, signal), runAnswer).run
}

/** The experiment by its name; it is created if there is none. Another process may create it at the same moment. */
const experimentId = async (server: Server, signal: AbortSignal): Promise<string> => {
  const found = await namedExperiment(server, signal)
  if (found !== null) return found
  const created = await ask(server, 'POST', 'experiments/create', { name: server.experiment }, signal)
  if (errorCode(created) === 'RESOURCE_ALREADY_EXISTS') {
    const foundNow = await namedExperiment(server, signal)
    if (foundNow !== null) return foundNow
  }
  return answer(created, newExperimentAnswer).experiment_id
}

const namedExperiment = async (server: Server, signal: AbortSignal): Promise<string | null> => {
  const response = await ask(server, 'GET', 'experiments/get-by-name', { experiment_name: server.experiment }, signal)
  if (response.status === 404 && errorCode(response) === 'RESOURCE_DOES_NOT_EXIST') return null
  const { experiment } = answer(response, experimentAnswer)
  if (experiment.lifecycle_stage === 'deleted')
    throw new TrackerError('a deleted experiment (restore it, or name another in MLFLOW_EXPERIMENT_NAME)', false)
  return experiment.experiment_id
}

const toMetric = ({ key, ...point }: Point): Point => ({ key: validKey(key), ...point })

/** Names may hold letters, digits, `_`, `-`, `.`, spaces and slashes, and no part of a path that leads elsewhere. */
const validKey = (key: string): string =>
  key
    .slice(0, limits.key / 2) // an empty part gets a character below
    .replace(/[^/\p{L}\p{N}_.\- ]/gu, '_')
    .split('/')
    .map((part) => (/^\.{0,2}$/.test(part) ? '_' : part))
    .join('/')

/** At most `limit` characters, and no half of a surrogate pair. */
const cut = (text: string, limit: number): string =>
  text.length > limit ? `${text.slice(0, limit - 1).replace(/[\uD800-\uDBFF]$/, '')}…` : text

const ask = (
  { address, authorization, fetch }: Server,
  method: 'GET' | 'POST',
  path: string,
  body: Readonly<Record<string, unknown>>,
  signal: AbortSignal,
): Promise<JsonResponse> => {
  const url = new URL(`${address}/api/2.0/mlflow/${path}`)
  if (method === 'GET') for (const [name, value] of Object.entries(body)) url.searchParams.set(name, String(value))
  return jsonRequest(url, {
    fetch,
    method,
    headers: { 'content-type': 'application/json', ...(authorization === undefined ? {} : { authorization }) },
    ...(method === 'GET' ? {} : { body: JSON.stringify(body) }),
    signal,
  })
}

const post = async (server: Server, path: string, body: Readonly<Record<string, unknown>>, signal: AbortSignal): Promise<void> => {
  answer(await ask(server, 'POST', path, body, signal), z.looseObject({}))
}

/** The answer of a request that succeeded. The server's own words are not shown: they may repeat a secret. @throws TrackerError */
const answer = <T>(response: JsonResponse, schema: z.ZodType<T>): T => {
  const { status, json } = response
  if (status >= 300 && status < 400) throw new TrackerError('a redirect (set MLFLOW_TRACKING_URI to where it leads)', false)
  if (status !== 200)
    throw new TrackerError(`HTTP ${status}${suffix(errorCode(response))}`, status === 408 || status === 429 || status >= 500)
  const { success, data } = schema.safeParse(json)
  if (!success) throw new TrackerError("an answer that is not MLflow's", false)
  return data
}

const errorAnswer = z.looseObject({ error_code: z.string().regex(/^[A-Z_]{1,60}$/) })

const errorCode = ({ json }: JsonResponse): string | null => {
  const { success, data } = errorAnswer.safeParse(json)
  return success ? data.error_code : null
}

const suffix = (code: string | null): string => (code === null ? '' : ` ${code}`)

/** One request to a tracker's server, bounded in time and in memory: a hostile server can only fail. */
type JsonRequest = {
  readonly fetch: Fetch
  readonly method: 'GET' | 'POST'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string
  readonly signal: AbortSignal
}

type JsonResponse = { readonly status: number; readonly json: unknown }

/** The run of a long training has a few hundred settings and metrics: some 100 kB. */
const bodyLimit = 4_000_000

/** The status and the JSON of the answer; a body that is no JSON is `undefined`. @throws TrackerError without an answer */
const jsonRequest = async (url: URL, { fetch, signal, ...request }: JsonRequest): Promise<JsonResponse> => {
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
