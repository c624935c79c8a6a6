/**
 * An MLflow tracking server in this process: the endpoints that a run needs, as MLflow's REST documentation has them, with the checks of its
 * mlflow/utils/validation.py. A fault replaces the answer to a request.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { posix } from 'node:path'

export type Metric = { readonly key: string; readonly value: number; readonly timestamp: number; readonly step: number }
export type Fault = 'silent' | 'endless' | 'slow' | 'malformed' | 'hang-up' | 'redirect' | 'foreign' | number
export type StoredRun = {
  readonly run_id: string
  readonly experiment_id: string
  readonly run_name: string
  readonly metrics: Metric[]
  readonly params: Map<string, string>
  readonly statuses: string[]
  end_time: number | null
}

type Body = Readonly<Record<string, unknown>>
type Answer = readonly [status: number, body: unknown]

export type MlflowServer = {
  readonly address: string
  readonly runs: ReadonlyMap<string, StoredRun>
  readonly experiments: Map<string, string>
  /** path, body and authorization of each request */
  readonly requests: readonly { readonly path: string; readonly body: string; readonly authorization: string | undefined }[]
  /** the fault of a request; undefined: none */
  fault: (path: string, count: number) => Fault | undefined
  readonly close: () => Promise<void>
}

const refused = (code: string, status = 400): Answer => [status, { error_code: code, message: 'as the server words it' }]

/** mlflow/utils/validation.py: _validate_metric_name, path_not_unique, _validate_length_limit. */
const isName = (name: unknown): boolean =>
  typeof name === 'string' &&
  /^[/\p{L}\p{N}_.\- ]+$/u.test(name) &&
  [...name].length <= 250 &&
  posix.normalize(name) === name &&
  !/^(\.|\/|\.\.)/.test(name.replace(/^\.(?=[^./])/, '')) &&
  !name.endsWith('/')

const isMetric = (metric: unknown): metric is Metric => {
  const { key, value, timestamp, step } = metric as Metric
  return isName(key) && typeof value === 'number' && Number.isInteger(timestamp) && timestamp >= 0 && Number.isInteger(step)
}

export const startMlflow = async (): Promise<MlflowServer> => {
  const runs = new Map<string, StoredRun>()
  const experiments = new Map([['Default', '0']])
  const requests: { path: string; body: string; authorization: string | undefined }[] = []

  const endpoints: Readonly<Record<string, (body: Body) => Answer>> = {
    'GET experiments/get-by-name': ({ experiment_name: name }) => {
      const id = experiments.get(String(name))
      return id === undefined
        ? refused('RESOURCE_DOES_NOT_EXIST', 404)
        : [200, { experiment: { experiment_id: id, name, lifecycle_stage: 'active' } }]
    },
    'POST experiments/create': ({ name }) => {
      if (typeof name !== 'string' || name === '') return refused('INVALID_PARAMETER_VALUE')
      if (experiments.has(name)) return refused('RESOURCE_ALREADY_EXISTS')
      experiments.set(name, String(experiments.size))
      return [200, { experiment_id: experiments.get(name) }]
    },
    'POST runs/create': ({ experiment_id, run_name }) => {
      if (![...experiments.values()].includes(String(experiment_id))) return refused('RESOURCE_DOES_NOT_EXIST', 404)
      const run_id = `${runs.size}`.padStart(32, 'a')
      const run = { run_id, experiment_id: String(experiment_id), run_name: String(run_name) }
      runs.set(run_id, { ...run, metrics: [], params: new Map(), statuses: ['RUNNING'], end_time: null })
      return [200, { run: { info: { ...run, run_uuid: run_id, status: 'RUNNING', lifecycle_stage: 'active' }, data: {} } }]
    },
    'GET runs/get': ({ run_id }) => {
      const run = runs.get(String(run_id))
      if (run === undefined) return refused('RESOURCE_DOES_NOT_EXIST', 404)
      const { metrics, params, statuses, ...info } = run
      const latest = new Map(metrics.map((metric) => [metric.key, metric]))
      const data = { metrics: [...latest.values()], params: [...params].map(([key, value]) => ({ key, value })) }
      return [200, { run: { info: { ...info, status: statuses.at(-1), lifecycle_stage: 'active' }, data } }]
    },
    'POST runs/update': ({ run_id, status, end_time }) => {
      const run = runs.get(String(run_id))
      if (run === undefined) return refused('RESOURCE_DOES_NOT_EXIST', 404)
      if (!['RUNNING', 'FINISHED', 'FAILED', 'KILLED'].includes(String(status))) return refused('BAD_REQUEST')
      run.statuses.push(String(status))
      run.end_time = end_time === undefined ? null : Number(end_time)
      return [200, { run_info: {} }]
    },
    'POST runs/log-batch': ({ run_id, metrics = [], params = [], tags = [] }) => {
      const run = runs.get(String(run_id))
      if (run === undefined) return refused('RESOURCE_DOES_NOT_EXIST', 404)
      if (!Array.isArray(metrics) || !Array.isArray(params) || !Array.isArray(tags)) return refused('BAD_REQUEST')
      if (metrics.length > 1000 || params.length > 100 || tags.length > 100 || metrics.length + params.length + tags.length > 1000)
        return refused('INVALID_PARAMETER_VALUE')
      if (!metrics.every(isMetric)) return refused('INVALID_PARAMETER_VALUE')
      for (const { key, value } of params as readonly { key: string; value: unknown }[]) {
        if (!isName(key) || typeof value !== 'string' || value.length > 500) return refused('INVALID_PARAMETER_VALUE')
        if ((run.params.get(key) ?? value) !== value) return refused('INVALID_PARAMETER_VALUE')
        run.params.set(key, value)
      }
      run.metrics.push(...metrics)
      return [200, {}]
    },
  }

  const counts = new Map<string, number>()
  const server = createServer((request, response) => {
    void handle(request, response).catch(() => response.destroy())
  })
  const handle = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '', 'http://server')
    const path = url.pathname.replace('/api/2.0/mlflow/', '')
    let body = ''
    for await (const chunk of request) body += String(chunk)
    requests.push({ path, body: body + url.search, authorization: request.headers.authorization })
    const count = (counts.get(path) ?? 0) + 1
    counts.set(path, count)
    const fault = mlflow.fault(path, count)
    if (fault !== undefined) return fail(fault, response)
    const endpoint = endpoints[`${request.method} ${path}`]
    const parsed = request.method === 'GET' ? Object.fromEntries(url.searchParams) : (JSON.parse(body) as Body)
    const isJson = request.method === 'GET' || request.headers['content-type'] === 'application/json'
    const [status, answer] = endpoint === undefined || !isJson ? refused('ENDPOINT_NOT_FOUND', 404) : endpoint(parsed)
    response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(answer))
  }
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const mlflow: MlflowServer = {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    ...{ runs, experiments, requests },
    fault: () => undefined,
    close: async () => {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return mlflow
}

const fail = async (fault: Fault, response: ServerResponse): Promise<void> => {
  if (fault === 'silent') return
  if (fault === 'hang-up') return void response.destroy()
  if (fault === 'redirect') return void response.writeHead(302, { location: 'http://127.0.0.1:1/' }).end()
  if (fault === 'malformed') return void response.end('{"run": {"info": ')
  if (fault === 'foreign') return void response.end(JSON.stringify({ run: { info: { run_id: '../../x', experiment_id: '<b>' } } }))
  if (typeof fault === 'number') return void response.writeHead(fault).end(JSON.stringify({ error_code: 'OOPS\u001b[31m', message: 'no' }))
  response.writeHead(200, { 'content-type': 'application/json' })
  const [chunk, pause] = fault === 'endless' ? [Buffer.alloc(1 << 20, ' '), 1] : [Buffer.from(' '), 20]
  let isOpen = true
  response.once('close', () => {
    isOpen = false
  })
  while (isOpen) {
    response.write(chunk)
    await new Promise((resolve) => setTimeout(resolve, pause))
  }
}
