/** The commit of a model on the hub is in the run's files, a resumed run stays with it, and --offline asks nobody. */
import { spawn } from 'node:child_process'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { resolveSettings } from '../../accelerated/settings.js'
import { finetuneJob } from '../../evaluation/finetuneJob.js'
import type { FinetuneOptions, RunResult } from '../../evaluation/run.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { toyFile } from '../cli/toyTask.js'
import { program } from '../cli/spawnSalora.js'

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
      (content) => response.writeHead(200, { 'x-repo-commit': commit, 'content-length': content.length }).end(request.method === 'HEAD' ? undefined : content),
      () => response.writeHead(404, { 'x-repo-commit': commit }).end())
  })
  await new Promise<void>((ready) => { server.listen(0, '127.0.0.1', ready) })
  Object.assign(process.env, { HF_ENDPOINT: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, SALORA_CACHE: join(root, 'cache') })
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

const run = async (options: Partial<FinetuneOptions>): Promise<RunResult> => {
  const settings = resolveSettings({ maxSteps: 2, maxLength: 16, batchSize: 4, device: 'cpu', threads: 1 })
  const events = finetuneJob({ model: 'me/tiny', task: { task: join(root, 'toy.tsv') }, output: join(root, 'run'), resume: false, settings, ...options }, new AbortController().signal)
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

it('a resumed run takes the commit it began with, though the branch has moved', async () => {
  const cache = join(root, 'cache', 'models--me--tiny')
  await cp(join(cache, 'snapshots', commit), join(cache, 'snapshots', other), { recursive: true })
  await writeFile(join(cache, 'refs', 'main'), other)
  expect((await run({ output: join(root, 'later') })).revision).toBe(other)
  expect((await run({ resume: true })).revision).toBe(commit)
})

it('a folder of its own has none', async () => {
  expect((await run({ model: join(root, 'model'), output: join(root, 'own') })).revision).toBeNull()
})

it('--offline asks nobody: what the cache lacks is told in one line', async () => {
  const words = ['train', '--model', 'me/absent', '--task', join(root, 'toy.tsv'), '--output', join(root, 'none'), '--max-steps', '1', '--device', 'cpu', '--offline', '--quiet']
  const child = spawn(process.execPath, [program, ...words], { env: { ...process.env, HF_HUB_OFFLINE: undefined } }) // the server would answer
  let stderr = ''
  child.stderr.on('data', (piece: Buffer) => { stderr += piece.toString() })
  const code = await new Promise((closed) => child.on('close', closed))
  expect(stderr.trim()).toMatch(/^me\/absent: expected the model in .*models--me--absent \(HF_HUB_OFFLINE is set\), found no complete copy there$/)
  expect(code).toBe(1)
})
