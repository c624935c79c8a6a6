/** salora train --report-to: what MLflow gets of a real run is what its folder has, also after a resume, and no secret is written. */
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { startMlflow, type MlflowServer, type StoredRun } from '../support/mlflowServer.js'
import { jsonLines } from '../support/jsonLines.js'
import { saloraIn, type Output } from './inProcess.js'
import { toyFolder, toyTrain } from './toyFolder.js'

const cwd = toyFolder('report-to')
const secret = 'tok_0123456789abcdef'
let server: MlflowServer
beforeAll(async () => {
  server = await startMlflow()
  vi.stubEnv('MLFLOW_TRACKING_URI', server.address)
  vi.stubEnv('MLFLOW_TRACKING_TOKEN', secret)
  vi.stubEnv('MLFLOW_EXPERIMENT_NAME', 'toys')
})
afterAll(() => server.close())

const train = (output: string, ...flags: readonly string[]): Promise<Output> =>
  saloraIn([...toyTrain, '--batch-size', '8', '--max-steps', '12', '--eval-steps', '4', '--output', output, ...flags], { cwd })

const runOf = async (output: string): Promise<StoredRun> => {
  const { runId } = JSON.parse(await readFile(join(cwd, output, 'mlflow.json'), 'utf8')) as { readonly runId: string }
  return server.runs.get(runId) as StoredRun
}

type Line = Readonly<Record<string, unknown>> & { readonly kind: string; readonly step: number; readonly scores?: object }
/** `STEP train/loss VALUE` of each finite number in metrics.jsonl. */
const inFolder = async (output: string): Promise<readonly string[]> =>
  jsonLines<Line>(await readFile(join(cwd, output, 'metrics.jsonl'), 'utf8')).flatMap(({ kind, step, scores = {}, ...columns }) =>
    Object.entries(kind === 'step' ? columns : kind === 'evaluation' ? scores : {}).flatMap(([name, value]) =>
      typeof value === 'number' ? [`${step} ${kind === 'step' ? 'train' : kind}/${name} ${value}`] : [],
    ),
  )
const atServer = ({ metrics }: StoredRun): readonly string[] =>
  metrics.filter(({ key }) => /^(train|evaluation)\//.test(key)).map(({ key, value, step }) => `${step} ${key} ${value}`)

const textIn = async (folder: string): Promise<string> => {
  const names = await readdir(folder, { recursive: true })
  const texts = names.map(async (name) => ((await stat(join(folder, name))).isFile() ? readFile(join(folder, name), 'latin1') : name))
  return (await Promise.all(texts)).join('\n')
}

describe('salora train --report-to mlflow', () => {
  it('records settings, losses, rates, norms, density and scores of the run, and prints its address once', async () => {
    const { code, stderr } = await train('whole', '--report-to', 'mlflow')
    expect(code, stderr).toBe(0)
    const run = await runOf('whole')
    expect(atServer(run)).toEqual(await inFolder('whole'))
    for (const key of 'train/taskLoss train/learningRate train/gradientNorm train/density evaluation/accuracy best/accuracy'.split(' '))
      expect(
        run.metrics.map((metric) => metric.key),
        key,
      ).toContain(key)
    const result = JSON.parse(await readFile(join(cwd, 'whole', 'result.json'), 'utf8')) as { readonly retainedDensity: number }
    expect(run.metrics.at(-1)).toMatchObject({ key: 'result/retainedDensity', value: result.retainedDensity, step: 12 })
    expect(Object.fromEntries(run.params)).toMatchObject({
      model: join(cwd, 'tiny'),
      method: 'salora',
      maxSteps: '12',
      rank: '8',
      device: 'cpu',
    })
    expect(run.statuses.at(-1)).toBe('FINISHED')
    expect(run.run_name).toBe('whole')
    expect(stderr.split(`mlflow: ${server.address}/#/experiments/${server.experiments.get('toys')}/runs/${run.run_id}\n`).length).toBe(2)
    expect(stderr.split(server.address).length).toBe(2)
  })

  it('shows its token to the server alone', async () => {
    expect(new Set(server.requests.map(({ authorization }) => authorization))).toEqual(new Set([`Bearer ${secret}`]))
    expect(server.requests.map(({ body }) => body).join()).not.toContain(secret)
    const { stdout, stderr } = await saloraIn(['train', '--resume', '--output', 'whole'], { cwd })
    expect(stdout + stderr + (await textIn(join(cwd, 'whole')))).not.toContain(secret)
  })

  it('needs a server, before anything is written; a finished run and an unknown name are refused', async () => {
    vi.stubEnv('MLFLOW_TRACKING_URI', '')
    expect(await train('none', '--report-to', 'mlflow')).toEqual({
      ...{ code: 1, stdout: '' },
      stderr: 'MLFLOW_TRACKING_URI: expected the address of an MLflow server, as http://localhost:5000, got nothing\n',
    })
    expect(await readdir(cwd)).not.toContain('none')
    vi.stubEnv('MLFLOW_TRACKING_URI', server.address)
    expect(await saloraIn(['train', '--resume', '--output', 'whole', '--report-to', 'mlflow'], { cwd })).toMatchObject({
      code: 2,
      stderr: '--report-to: expected an unfinished run, whose events it can still record, got a finished one in whole\n',
    })
  })

  it('trains to its end without the server, and writes a TensorBoard file beside it', async () => {
    server.fault = () => 503
    vi.stubEnv('MLFLOW_EXPERIMENT_NAME', '')
    const { code, stderr } = await train('alone', '--method', 'lora', '--report-to', 'mlflow,tensorboard')
    server.fault = () => undefined
    expect(code).toBe(0)
    expect(stderr.match(/^warning: .*expected the tracker to record the run, got HTTP 503; training continues$/gm)?.length).toBe(1)
    expect(stderr.match(/^warning: .*: \d+ points of the run were not recorded; metrics\.jsonl has all of them$/gm)?.length).toBe(1)
    expect((await readdir(join(cwd, 'alone'))).filter((name) => /mlflow|tfevents/.test(name))).toEqual([expect.stringMatching(/tfevents/)])
  })
})
