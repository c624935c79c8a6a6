/** Reporting to MLflow, against a server in this process that checks what MLflow checks: content, faults, bounds and status. */
import { mkdtempSync, writeFileSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { FinetuneEvent, FinetuneOptions, RunResult } from '../../finetuning/run/run.js'
import { mlflowService } from '../../finetuning/run/tracking/mlflow.js'
import { reportRun } from '../../finetuning/run/tracking/reportRun.js'
import type { SenderLimits } from '../../finetuning/run/tracking/sender.js'
import { startMlflow, type Fault, type MlflowServer, type StoredRun } from '../support/mlflowServer.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { SEED } from '../support/seed.js'

const { folder } = temporaryFolder('report-run')
/** For servers that fail; those that do not have the time that they need. */
const limits: SenderLimits = { queue: 20_000, request: 200, gather: 5, retry: [10, 40], flush: 600 }
const healthy = { request: 10_000, flush: 10_000 }
const config = {
  formatVersion: 2,
  model: 'm',
  task: { task: 'sentiment' },
  settings: { rank: 8, targetModules: ['query', 'value'], density: null },
}
const tracking = (): FinetuneOptions => {
  const output = mkdtempSync(join(folder, 'run-'))
  writeFileSync(join(output, 'config.json'), JSON.stringify(config)) // as at the event `start`
  return { model: 'm', task: { task: 'sentiment' }, output, reportTo: ['mlflow'] }
}

let server: MlflowServer
beforeAll(async () => {
  server = await startMlflow()
})
afterEach(() => {
  server.fault = () => undefined
})
afterAll(() => server.close())

const environment = (more: Readonly<Record<string, string>> = {}) => ({ MLFLOW_TRACKING_URI: `${server.address}/`, ...more })

const start = {
  kind: 'start',
  ...{ steps: 9, stepsPerEpoch: 9, resumedAt: 0, evalSteps: 9, chosenEpochs: null, stage: null, announcement: null },
} as const
const step = (at: number): FinetuneEvent => ({
  ...{ kind: 'step', step: at, epoch: at / 10, loss: 2 / at, taskLoss: 1 / at, columns: { density: 0.5, lambda: null } },
  ...{ learningRate: 1e-3, gradientNorm: NaN, tokens: 7, tokensPerSecond: 100 },
})
const result = { kind: 'result', result: { interrupted: false, best: null, steps: 9, stepsDone: 9 } as object as RunResult } as const
const pointsPerStep = 7 // of the numbers above, NaN and null have no point

async function* eventsOf(steps: number, before: () => Promise<void> = async () => undefined): AsyncGenerator<FinetuneEvent, void> {
  yield start
  for (let at = 1; at <= steps; at++) yield step(at)
  await before()
  yield result
}

type Told = { readonly events: readonly FinetuneEvent[]; readonly warnings: readonly string[]; readonly milliseconds: number }
const told = async (
  options: FinetuneOptions,
  events: AsyncGenerator<FinetuneEvent, void>,
  more: Partial<SenderLimits> = healthy,
  variables = environment(),
): Promise<Told> => {
  const [began, all]: [number, FinetuneEvent[]] = [performance.now(), []]
  for await (const event of reportRun(options, events, variables, { ...limits, ...more })) all.push(event)
  const warnings = all.flatMap((event) => (event.kind === 'warning' ? [event.message] : []))
  return { events: all, warnings, milliseconds: performance.now() - began }
}
const storedRun = async ({ output }: FinetuneOptions): Promise<StoredRun> => {
  const { runId } = JSON.parse(await readFile(join(output, 'mlflow.json'), 'utf8')) as { readonly runId: string }
  const run = server.runs.get(runId)
  if (run === undefined) throw new Error(`the server has no run ${runId}`)
  return run
}

describe('a run that reports to MLflow', () => {
  it('sends every finite number of every step once, in order, in requests that MLflow accepts', async () => {
    const options = tracking()
    const { events, warnings } = await told(options, eventsOf(700))
    const { metrics, params, statuses, end_time, run_name } = await storedRun(options)
    expect(warnings).toEqual([])
    expect(metrics.filter(({ key }) => key === 'train/taskLoss').map(({ step, value }) => [step, value])).toEqual(
      Array.from({ length: 700 }, (_, i) => [i + 1, 1 / (i + 1)]),
    )
    expect(metrics.length).toBe(700 * pointsPerStep)
    expect(metrics.some(({ key }) => /gradientNorm|lambda/.test(key))).toBe(false)
    expect(metrics.every(({ timestamp }) => Math.abs(Date.now() - timestamp) < 60_000)).toBe(true)
    expect(statuses).toEqual(['RUNNING', 'FINISHED'])
    expect(Math.abs(Date.now() - (end_time ?? 0))).toBeLessThan(60_000)
    expect(options.output.endsWith(run_name)).toBe(true)
    expect(Object.fromEntries(params)).toEqual({ model: 'm', task: 'sentiment', rank: '8', targetModules: '["query","value"]' })
    expect(events.filter(({ kind }) => kind === 'tracking').length).toBe(1)
    expect(events.at(-1)).toBe(result)
  })

  it('ends as FAILED after an error, and as KILLED after an interruption or a loop that is left', async () => {
    const [failed, stopped, left] = [tracking(), tracking(), tracking()]
    const failing = async function* (): AsyncGenerator<FinetuneEvent, void> {
      yield start
      yield step(1)
      throw new Error('the loss is NaN')
    }
    await expect(told(failed, failing())).rejects.toThrow('the loss is NaN')
    const interrupted = async function* (): AsyncGenerator<FinetuneEvent, void> {
      yield start
      yield step(1)
      yield { kind: 'result', result: { ...result.result, interrupted: true } }
    }
    await told(stopped, interrupted())
    for await (const { kind } of reportRun(left, eventsOf(5), environment(), { ...limits, ...healthy })) if (kind === 'step') break
    for (const [options, status] of [
      [failed, 'FAILED'],
      [stopped, 'KILLED'],
      [left, 'KILLED'],
    ] as const)
      expect([(await storedRun(options)).statuses.at(-1), (await storedRun(options)).metrics.length]).toEqual([status, pointsPerStep])
  })

  it('continues its MLflow run after a resume, without a doubled point, and starts a new one on another server', async () => {
    const options = tracking()
    await told(options, eventsOf(6))
    const { run_id } = await storedRun(options)
    const resumed = { ...options, reportTo: [], resume: true }
    await told(resumed, eventsOf(9))
    const { metrics, statuses } = await storedRun(options)
    expect((await storedRun(options)).run_id).toBe(run_id)
    expect(statuses).toEqual(['RUNNING', 'FINISHED', 'RUNNING', 'FINISHED'])
    expect(metrics.filter(({ key }) => key === 'train/loss').map(({ step }) => step)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    const other = await startMlflow()
    const there = { MLFLOW_TRACKING_URI: other.address }
    while (!other.runs.has(run_id)) await told(tracking(), eventsOf(1), healthy, there) // a run of the same id
    const before = other.runs.size
    await told(resumed, eventsOf(9), healthy, there)
    await other.close()
    expect([other.runs.size, [...other.runs.values()].at(-1)?.metrics.length]).toEqual([before + 1, 9 * pointsPerStep])
    const { warnings } = await told(resumed, eventsOf(9), healthy, {} as ReturnType<typeof environment>)
    expect(warnings).toEqual([expect.stringMatching(/^MLFLOW_TRACKING_URI: .*; the run is no longer reported to mlflow$/)])
  })

  it('never sends to the address in the run folder, and refuses an id that is no id', async () => {
    const options = { ...tracking(), resume: true }
    await writeFile(
      join(options.output, 'mlflow.json'),
      JSON.stringify({ address: 'http://127.0.0.1:1', runId: '../../etc', experimentId: 'x' }),
    )
    const { warnings } = await told(options, eventsOf(2))
    expect(warnings).toEqual([])
    expect((await storedRun(options)).metrics.length).toBe(2 * pointsPerStep)
  })

  it('creates the experiment of MLFLOW_EXPERIMENT_NAME, also when another process creates it at the same moment', async () => {
    const options = tracking()
    await told(options, eventsOf(1), healthy, environment({ MLFLOW_EXPERIMENT_NAME: 'reviews' }))
    expect((await storedRun(options)).experiment_id).toBe(server.experiments.get('reviews'))
    server.fault = (path) => {
      if (path === 'experiments/create') server.experiments.set('raced', '77') // answered below: it exists
      return undefined
    }
    const raced = tracking()
    expect((await told(raced, eventsOf(1), healthy, environment({ MLFLOW_EXPERIMENT_NAME: 'raced' }))).warnings).toEqual([])
    expect((await storedRun(raced)).experiment_id).toBe('77')
  })

  it('sends the token or the password in the header only', async () => {
    const secrets = { MLFLOW_TRACKING_USERNAME: 'ada', MLFLOW_TRACKING_PASSWORD: 'hunter22hunter' }
    const from = server.requests.length
    const options = tracking()
    await told(options, eventsOf(1), healthy, environment(secrets))
    await told(tracking(), eventsOf(1), healthy, environment({ ...secrets, MLFLOW_TRACKING_TOKEN: 'tok_12345678' }))
    const sent = server.requests.slice(from)
    expect([...new Set(sent.map(({ authorization }) => authorization))]).toEqual([
      `Basic ${Buffer.from('ada:hunter22hunter').toString('base64')}`,
      'Bearer tok_12345678',
    ])
    expect(sent.map(({ path, body }) => path + body).join()).not.toMatch(/hunter22|tok_12345678/)
    expect(await readFile(join(options.output, 'mlflow.json'), 'utf8')).not.toMatch(/hunter22|ada/)
  })

  it.each([
    [
      'http://ada:hunter22@host',
      /^MLFLOW_TRACKING_URI: expected an address without user and password \(they go into MLFLOW_TRACKING_USERNAME/,
    ],
    ['sqlite:///mlflow.db', /^MLFLOW_TRACKING_URI: expected an http or https address, got "sqlite:/],
    ['', /^MLFLOW_TRACKING_URI: expected the address of an MLflow server, as http:\/\/localhost:5000, got nothing$/],
  ])('is refused before it begins if MLFLOW_TRACKING_URI is %j', async (MLFLOW_TRACKING_URI, message) => {
    const first = told(tracking(), eventsOf(1), healthy, { MLFLOW_TRACKING_URI })
    await expect(first).rejects.toThrow(message)
    await expect(first).rejects.not.toThrow(/hunter22/)
  })

  it('gives any name and any long value a form that MLflow accepts', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.string({ unit: 'binary', maxLength: 400 }), { maxLength: 4 }),
        fc.string({ unit: 'grapheme', maxLength: 900 }),
        async (keys, value) => {
          const names = [...keys, '../a', '/a//b/', 'ok/name', '😀'.repeat(200)]
          const run = await mlflowService(environment()).open(
            { name: value, params: { long: `${'x'.repeat(498)}😀${value}` }, earlier: null, store: async () => undefined },
            AbortSignal.timeout(5000),
          )
          await run.log(
            names.map((key) => ({ key, value: 1, step: 1, timestamp: 1 })),
            AbortSignal.timeout(5000),
          )
        },
      ),
      { numRuns: 10, seed: SEED },
    )
  })
})

describe('a tracker that fails', () => {
  const faults: readonly Fault[] = ['silent', 'endless', 'slow', 'malformed', 'hang-up', 'redirect', 'foreign', 500, 403, 429]

  it.each(faults)('never breaks a run and delays it by the bound at most: each answer is %j', async (fault) => {
    server.fault = () => fault
    const before = process.memoryUsage().rss
    const { events, warnings, milliseconds } = await told(tracking(), eventsOf(300), limits)
    expect(milliseconds).toBeLessThan(limits.flush + 900) // 900: the machine's noise
    expect(events.filter(({ kind }) => kind === 'step').length).toBe(300)
    expect(warnings).toEqual([
      expect.stringMatching(/^http:\/\/127\.0\.0\.1:\d+: expected the tracker to record the run, got .*; training continues$/),
      `${server.address}: ${300 * pointsPerStep} points of the run were not recorded; metrics.jsonl has all of them`,
    ])
    expect(warnings.join()).not.toContain('\u001b')
    expect(process.memoryUsage().rss - before).toBeLessThan(200e6)
  })

  it('writes no id of the server that is none, and shows no address with it', async () => {
    server.fault = (path) => (path === 'runs/create' ? 'foreign' : undefined)
    const options = tracking()
    const { events, warnings } = await told(options, eventsOf(1), healthy)
    expect(warnings[0]).toContain("got an answer that is not MLflow's")
    expect([await readdir(options.output), events.filter(({ kind }) => kind === 'tracking')]).toEqual([['config.json'], []])
  })

  it('reads at most a few megabytes of an answer', async () => {
    server.fault = () => 'endless'
    const { warnings, milliseconds } = await told(tracking(), eventsOf(1), { request: 60_000, flush: 60_000 })
    expect(warnings[0]).toContain('got an answer of more than 4 MB')
    expect(milliseconds).toBeLessThan(10_000)
  })

  it.each(faults)('never delays a step: %j after the run was opened', async (fault) => {
    server.fault = (path) => (path === 'runs/log-batch' ? fault : undefined)
    const slowest: number[] = []
    const timed = async function* (): AsyncGenerator<FinetuneEvent, void> {
      yield start
      await new Promise((resolve) => setTimeout(resolve, 100))
      for (let at = 1; at <= 200; at++) {
        const began = performance.now()
        yield step(at)
        slowest.push(performance.now() - began)
      }
      yield result
    }
    const { warnings, milliseconds } = await told(tracking(), timed(), limits)
    expect(Math.max(...slowest)).toBeLessThan(150)
    expect(milliseconds).toBeLessThan(limits.flush + 1000)
    expect(warnings.length).toBe(fault === 'foreign' ? 0 : 2) // any object is MLflow's answer there
  })

  it('loses nothing in an outage that is shorter than the run, and warns once', async () => {
    server.fault = (path, count) =>
      path === 'runs/log-batch' && count % 3 !== 0 ? 503 : path === 'runs/create' && count % 2 === 1 ? 'hang-up' : undefined
    const options = tracking()
    const before = server.runs.size
    const { warnings } = await told(options, eventsOf(500), { flush: 10_000 })
    expect(warnings).toEqual([expect.stringMatching(/; training continues$/)])
    expect(server.runs.size).toBe(before + 1) // though its params were refused at first
    const { metrics, statuses } = await storedRun(options)
    expect(new Set(metrics.map(({ key, step }) => `${key} ${step}`)).size).toBe(500 * pointsPerStep)
    expect(statuses.at(-1)).toBe('FINISHED')
  })

  it('keeps at most a bounded number of points, and the newest of them', async () => {
    let isDown = true
    server.fault = () => (isDown ? 503 : undefined)
    const options = tracking()
    const back = async (): Promise<void> => {
      isDown = false
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
    const { warnings } = await told(options, eventsOf(100, back), { queue: 10 * pointsPerStep, flush: 10_000 })
    expect(warnings.at(-1)).toContain(`: ${90 * pointsPerStep} points of the run were not recorded`)
    const { metrics } = await storedRun(options)
    expect([...new Set(metrics.map(({ step }) => step))]).toEqual([91, 92, 93, 94, 95, 96, 97, 98, 99, 100])
  })
})
