/** A run records the commit of its hub model and keeps it when it resumes, as its workers do; --offline sends no request. */
import { spawn } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { writeSafetensors } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { adapterRequest } from '../../cli/options/adapterRequest.js'
import { runProgram } from '../../cli/program.js'
import type { ExportReport } from '../../finetuning/use/exportAdapter.js'
import { openRedis } from '../../finetuning/machines/redis.js'
import { makeRunKeys, hashRunId } from '../../finetuning/machines/runKeys.js'
import { finetuneJob, nodeMachine } from '../../finetuning/nodeMachine.js'
import { joinRun } from '../../finetuning/joinRun.js'
import { prepareRun } from '../../finetuning/recipe.js'
import { describeRemoteRun } from '../../finetuning/run/remoteRun.js'
import type { RunOptions, RunResult } from '../../finetuning/run/run.js'
import { loadTrainedModel } from '../../finetuning/use/openModel.js'
import { tinyConfig, tinyTensors, writeTinyModel } from '../cli/tinyModel.js'
import { toyFile } from '../cli/toyTask.js'
import { program } from '../cli/spawnSalora.js'
import { hasRedis, startRedis } from '../support/redisServer.js'

const commit = 'fedcba9876543210fedcba9876543210fedcba98'
const other = '1'.repeat(40)
let root = ''
let server: Server
const before = { ...process.env }

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-pinned-'))
  await writeTinyModel(join(root, 'model'))
  await writeFile(join(root, 'toy.tsv'), toyFile(40))
  server = createServer((request, response) => {
    readFile(join(root, 'model', request.url?.split('/').at(-1) ?? '')).then(
      (content) =>
        response
          .writeHead(200, { 'x-repo-commit': commit, 'content-length': content.length })
          .end(request.method === 'HEAD' ? undefined : content),
      () => response.writeHead(404, { 'x-repo-commit': commit }).end(),
    )
  })
  await new Promise<void>((ready) => {
    server.listen(0, '127.0.0.1', ready)
  })
  Object.assign(process.env, {
    HF_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    SALORA_CACHE: join(root, 'cache'),
  })
})
afterAll(async () => {
  server.closeAllConnections()
  server.close()
  for (const name of ['HF_ENDPOINT', 'SALORA_CACHE']) {
    if (before[name] === undefined) delete process.env[name]
    else process.env[name] = before[name]
  }
  await rm(root, { recursive: true })
})

const run = async (options: Partial<RunOptions>): Promise<RunResult> => {
  const settings = resolveSettings({ maxSteps: 4, maxLength: 16, batchSize: 4, device: 'cpu', threads: 1 })
  const events = finetuneJob(
    { model: 'me/tiny', task: { task: join(root, 'toy.tsv') }, output: join(root, 'run'), resume: false, settings, ...options },
    new AbortController().signal,
  )
  for (;;) {
    const next = await events.next()
    if (next.done === true) return next.value
  }
}
const json = async (name: string): Promise<unknown> => JSON.parse(await readFile(join(root, 'run', name), 'utf8'))

it('result.json and config.json name the commit', async () => {
  expect((await run({})).revision).toBe(commit)
  expect(await json('result.json')).toMatchObject({ revision: commit })
  expect(await json('config.json')).toMatchObject({ model: 'me/tiny', revision: commit })
})

it('a resumed run uses the commit that it started with, although the branch has moved', async () => {
  const cache = join(root, 'cache', 'models--me--tiny')
  const weights = new Map(
    [...tinyTensors()].map(([name, { shape, data }]) => [name, { shape, data: Float32Array.from(data, (x) => 2 * x) }]),
  )
  await writeTinyModel(join(cache, 'snapshots', other), {
    'config.json': JSON.stringify({ ...tinyConfig, moved: true }),
    'model.safetensors': writeSafetensors(weights),
  })
  await writeFile(join(cache, 'refs', 'main'), other)
  expect((await run({ output: join(root, 'later') })).revision).toBe(other)
  expect((await run({ resume: true })).revision).toBe(commit)
})

it.skipIf(!hasRedis)('a worker opens the commit of its leader, although the branch has moved (skipped without redis-server)', async () => {
  const settings = resolveSettings({ method: 'lora', maxSteps: 4, maxLength: 16, batchSize: 4, device: 'cpu', threads: 1 })
  const options = { model: 'me/tiny', task: { task: join(root, 'toy.tsv') }, output: join(root, 'spread'), resume: false, settings }
  const preparing = prepareRun({ options: { ...options, revision: commit }, metric: null }, nodeMachine, new AbortController().signal)
  let next = await preparing.next()
  while (next.done !== true) next = await preparing.next()
  const { inputs, facts } = next.value
  expect(facts.revision).toBe(commit)
  await mkdir(join(root, 'redis'))
  const redis = await startRedis(join(root, 'redis'))
  const stop = new AbortController()
  const client = await openRedis(redis.url, { signal: stop.signal, onEvent: () => undefined })
  try {
    const setup = JSON.stringify(describeRemoteRun(options, { inputs, device: 'cpu', revision: commit, key: 'k' }))
    const id = hashRunId(setup)
    await client.set(makeRunKeys(id).setup, setup)
    const joined: string[] = []
    const onEvent = ({ kind }: { readonly kind: string }): void => {
      joined.push(kind)
      if (kind === 'joined') stop.abort()
    }
    await joinRun({ redis: redis.url, place: 'here', id, worker: 'a worker', root: null }, { signal: stop.signal, onEvent }) // another commit has other digests
    expect(joined).toEqual(['joining', 'joined', 'left'])
  } finally {
    client.disconnect()
    await redis.stop()
  }
})

it('commands on a finished run use its commit too', async () => {
  const printed: string[] = []
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    printed.push(String(text))
    return true
  })
  const { adapter } = await adapterRequest({ run: join(root, 'run') })
  expect(basename((await loadTrainedModel(adapter)).base.folder)).toBe(commit)
  for (const [name, moved] of [
    ['run', undefined],
    ['later', true],
  ] as const) {
    await runProgram(['export', '--run', join(root, name), '--format', 'merged', '--output', join(root, `${name}-merged`), '--quiet'])
    expect(process.exitCode).toBe(0)
    expect((JSON.parse(await readFile(join(root, `${name}-merged`, 'config.json'), 'utf8')) as { readonly moved?: boolean }).moved).toBe(
      moved,
    )
  }
  await runProgram(['export', '--run', join(root, 'run'), '--format', 'peft', '--output', join(root, 'run-peft'), '--quiet', '--json'])
  spy.mockRestore()
  expect((JSON.parse(printed.at(-1) ?? '') as ExportReport).comparison.largestLogitDifference).toBe(0)
})

it('a run without a recorded commit resumes with the current commit', async () => {
  const output = join(root, 'old')
  await cp(join(root, 'later'), output, { recursive: true })
  const { revision: _, ...config } = JSON.parse(await readFile(join(output, 'config.json'), 'utf8')) as { readonly revision: string }
  await writeFile(join(output, 'config.json'), JSON.stringify(config))
  expect((await run({ output, resume: true })).revision).toBe(other)
})

it('a run does not resume if a link now leads to another commit', async () => {
  const [model, output] = [join(root, 'current'), join(root, 'linked')]
  const pointTo = (revision: string): Promise<void> => symlink(join(root, 'cache', 'models--me--tiny', 'snapshots', revision), model)
  await pointTo(commit)
  expect((await run({ model, output })).revision).toBe(commit)
  await rm(model)
  await pointTo(other)
  await expect(run({ model, output, resume: true })).rejects.toThrow(
    `${output}/config.json: expected the settings that the run began with, got revision was "${commit}" and is "${other}"`,
  )
})

it('a plain folder has no commit', async () => {
  expect((await run({ model: join(root, 'model'), output: join(root, 'own') })).revision).toBeNull()
})

it('--offline sends no request and reports a model that is not in the cache in one line', async () => {
  const words = [
    ...'train --model me/absent --task'.split(' '),
    join(root, 'toy.tsv'),
    '--output',
    join(root, 'none'),
    ...'--max-steps 1 --device cpu --offline --quiet'.split(' '),
  ]
  const child = spawn(process.execPath, [program, ...words], { env: { ...process.env, HF_HUB_OFFLINE: undefined } }) // the server would answer
  let stderr = ''
  child.stderr.on('data', (piece: Buffer) => {
    stderr += piece.toString()
  })
  const code = await new Promise((closed) => child.on('close', closed))
  expect(stderr.trim()).toMatch(
    /^me\/absent: expected the model in .*models--me--absent \(offline, by --offline or HF_HUB_OFFLINE\), got no complete copy there$/,
  )
  expect(code).toBe(1)
})
