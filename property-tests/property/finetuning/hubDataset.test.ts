/** GLUE from a local hub: which files are requested, cached and refused. */
import { createHash } from 'node:crypto'
import { lineInFlags } from '../../../finetuning/commandLine/optionNames.js'
import { readFileSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { resolveDataset } from '../../../accelerated/checkpoints/hub/hub.js'
import { loadEvaluation, loadTask } from '../../../finetuning/tasks/index.js'

const commit = '0123456789abcdef0123456789abcdef01234567'
const stored = join(import.meta.dirname, 'fixtures/glue-parquet')
const inRepository = [
  'README.md',
  'mrpc/test-00000-of-00001.parquet',
  'mrpc/train-00000-of-00002.parquet',
  'mrpc/train-00001-of-00002.parquet',
  'mrpc/validation-00000-of-00001.parquet',
  'mnli/train-00000-of-00001.parquet',
  'mnli/validation_matched-00000-of-00001.parquet',
  'mnli/validation_mismatched-00000-of-00001.parquet',
  'mnli/test_matched-00000-of-00002.parquet',
  'mnli/test_matched-00001-of-00002.parquet',
  'mnli/test_mismatched-00000-of-00001.parquet',
  'ax/test-00000-of-00001.parquet',
]

let root = ''
let server: Server
let requests: string[] = []
/** Answers by the end of the address, before those of the repository. */
let instead: Readonly<
  Record<string, { readonly status?: number; readonly headers?: Record<string, string>; readonly body: string | Buffer }>
> = {}

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-hub-data-'))
  server = createServer((request, response) => {
    const url = request.url ?? ''
    requests.push(url)
    const given = Object.entries(instead).find(([end]) => url.endsWith(end))?.[1]
    if (given !== undefined) return void response.writeHead(given.status ?? 200, given.headers).end(given.body)
    if (url === '/api/datasets/nyu-mll/glue/revision/main')
      return void response.end(JSON.stringify({ sha: commit, siblings: inRepository.map((rfilename) => ({ rfilename })) }))
    const file = url.replace(`/datasets/nyu-mll/glue/resolve/${commit}/`, '')
    if (!inRepository.includes(file)) return void response.writeHead(404).end()
    const bytes = readFileSync(join(stored, file))
    response.writeHead(200, { etag: `"${createHash('sha256').update(bytes).digest('hex')}"` }).end(bytes)
  })
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening)
  })
})
beforeEach(async () => {
  requests = []
  instead = {}
  vi.stubEnv('HF_ENDPOINT', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  vi.stubEnv('SALORA_CACHE', await mkdtemp(join(root, 'cache-')))
  vi.stubEnv('HF_HUB_OFFLINE', '')
})
afterAll(async () => {
  vi.unstubAllEnvs()
  server.closeAllConnections()
  await new Promise((closed) => server.close(closed))
  await rm(root, { recursive: true })
})

const data = 'hf://datasets/nyu-mll/glue'
const load = (task: string, from = data) => loadTask({ task, data: from })
const refusal = (task: string, from = data): Promise<string> =>
  load(task, from).then(
    () => 'none',
    (thrown: unknown) => lineInFlags(thrown).replaceAll(process.env['SALORA_CACHE'] ?? '', 'CACHE'),
  )

describe('GLUE on the hub', () => {
  it('downloads the labeled files of a task at one commit, and reads them from the cache afterwards', async () => {
    const { train, evaluation } = await load('mrpc')
    const local = await load('mrpc', stored)
    expect(train.examples).toEqual(local.train.examples)
    expect(evaluation.examples).toEqual(local.evaluation.examples)
    const files = inRepository.filter((path) => /^mrpc\/(train|validation)/.test(path))
    expect(requests).toEqual([
      '/api/datasets/nyu-mll/glue/revision/main',
      ...files.map((path) => `/datasets/nyu-mll/glue/resolve/${commit}/${path}`),
    ])
    requests = []
    await load('mrpc')
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect((await loadEvaluation({ task: 'mrpc', data: `${data}@${commit}` })).evaluation.examples.length).toBeGreaterThan(0)
    expect(requests).toEqual([])
    expect(await refusal('mnli')).toBe(
      'hf://datasets/nyu-mll/glue: expected its files in CACHE/datasets--nyu-mll--glue (offline, by --offline or HF_HUB_OFFLINE), got no complete copy there',
    )
    vi.stubEnv('HF_HUB_OFFLINE', '')
    expect((await load('mnli')).evaluation.second?.name).toBe('mismatched') // of the same commit, beside what is there
  })

  it('resumes an interrupted download with only the missing files', async () => {
    instead = { 'validation-00000-of-00001.parquet': { status: 503, headers: { 'retry-after': '301' }, body: '' } }
    expect(await refusal('mrpc')).toMatch(/validation-00000-of-00001\.parquet: expected status 200, got 503/)
    instead = {}
    requests = []
    await load('mrpc')
    expect(requests.filter((url) => url.includes('resolve'))).toEqual([expect.stringContaining('validation-00000')])
  })

  it.each([
    ['a page', '<html>log in</html>', /expected a Parquet file, got a web page/],
    [
      'a file without its end',
      readFileSync(join(stored, 'mrpc/validation-00000-of-00001.parquet')).subarray(0, -1),
      /begins and ends with PAR1, got/,
    ],
    ['an empty file', '', /begins and ends with PAR1, got 0 bytes/],
  ])('keeps nothing of %s', async (_, body, message) => {
    instead = { 'validation-00000-of-00001.parquet': { body } }
    expect(await refusal('mrpc')).toMatch(message)
    const left = await readdir(join(process.env['SALORA_CACHE'] ?? '', 'datasets--nyu-mll--glue'), { recursive: true })
    expect(left.filter((name) => name.includes('validation'))).toEqual([])
  })

  it.each([
    ['hf://nyu-mll/glue', '--data: expected hf://datasets/OWNER/NAME, perhaps with @REVISION, got "hf://nyu-mll/glue"'],
    ['hf://datasets/../x', '--data: expected hf://datasets/OWNER/NAME, perhaps with @REVISION, got "hf://datasets/../x"'],
    ['hf://datasets/a/b@..', '--data: expected hf://datasets/OWNER/NAME, perhaps with @REVISION, got "hf://datasets/a/b@.."'],
  ])('is not %s', async (address, message) => {
    expect(await refusal('mrpc', address)).toBe(message)
    expect(requests).toEqual([])
  })

  it('requests no path outside the cache, even for all files', async () => {
    const paths = ['../../../evil', '/etc/passwd', 'a/../../evil', '.ssh/keys', 'a//b', '..\\evil', 'a/b.parquet']
    instead = {
      'revision/main': { body: JSON.stringify({ sha: commit, siblings: paths.map((rfilename) => ({ rfilename })) }) },
      'a/b.parquet': { body: 'PAR1PAR1' },
    }
    await resolveDataset(data, { wants: () => true, isIn: () => requests.length > 1 })
    expect(requests.slice(1)).toEqual([`/datasets/nyu-mll/glue/resolve/${commit}/a/b.parquet`])
  })

  it('is refused if the file list has more than 16 MB', async () => {
    instead = { 'revision/main': { body: Buffer.alloc(16_000_001, ' ') } }
    expect(await refusal('mrpc')).toMatch(/revision\/main: expected an answer of at most 16000000 bytes, got more$/)
  })

  it('is refused in one line if the file list is invalid, has paths outside the dataset, or lacks the task', async () => {
    const list = (siblings: readonly string[], sha = commit): Buffer =>
      Buffer.from(JSON.stringify({ sha, siblings: siblings.map((rfilename) => ({ rfilename })) }))
    const cases: readonly (readonly [Buffer | string, RegExp])[] = [
      ['<html>', /revision\/main: expected /],
      [list([], '../../..'), /expected the hub's list of a dataset's files whose sha/],
      [list(['README.md']), /^hf:\/\/datasets\/nyu-mll\/glue: expected the files of this task, got none, or not all of them$/],
      [list(['mrpc/train-00000-of-00002.parquet', 'mrpc/validation-00000-of-00001.parquet']), /got none, or not all of them$/],
      [list(['mrpc/../mrpc/train-00000-of-00001.parquet', 'mrpc/..%2f/train-00000-of-00001.parquet']), /got none, or not all of them$/],
    ]
    for (const [body, message] of cases) {
      instead = { 'revision/main': { body } }
      const refused = await refusal('mrpc')
      expect(refused).toMatch(message)
      expect(refused).not.toContain('\n')
    }
    instead = { 'revision/main': { status: 404, body: '' } }
    expect(await refusal('mrpc')).toMatch(/expected status 200, got 404 \(no such dataset or revision, or one that needs HF_TOKEN\)$/)
    expect(await refusal('yelp')).toMatch(/^--data: expected a file or folder on this machine, for /)
  })
})
