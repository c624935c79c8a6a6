/** Training on a file of a dataset on the hub: its address, its cache, its errors, and the model card. */
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile } from 'node:fs/promises'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { parseDatasetAddress, type DatasetAddress } from '../../../accelerated/checkpoints/hub/hubRules.js'
import { embeddedModel } from '../../../finetuning/embedded/quickstart.js'
import { finetune } from '../../../finetuning/finetune.js'
import { inspectData } from '../../../finetuning/inspection/inspectData.js'
import { loadEvaluation, loadTask } from '../../../finetuning/tasks/index.js'
import { fileTexts } from '../../../cli/input/textInput.js'
import { toyFile } from '../../cli/toyTask.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'
import { lineInFlags } from '../../../finetuning/commandLine/optionNames.js'

const { folder } = temporaryFolder('hub-file')
const commits = { main: '0'.repeat(40), old: '1'.repeat(40), 'refs/convert/parquet': '2'.repeat(40) } as const

/** The files of owner/reviews, of any revision. */
const reviews: Readonly<Record<string, string>> = {
  '.gitattributes': '',
  'README.md': '# Reviews',
  'data/train.tsv': toyFile(40),
  'data/test.tsv': toyFile(12),
  'data/more.tsv': toyFile(8),
  'data/page.tsv': '<!DOCTYPE html><p>log in</p>',
  'data/marked.txt': '<b>A good film.</b>\n',
}
let requests: string[] = []
let status = 200

let server: Server
beforeAll(async () => {
  server = createServer(({ url = '', method = '' }, response) => {
    requests.push(`${method} ${url}`)
    if (status !== 200) return void response.writeHead(status, { 'retry-after': '301' }).end()
    const [, revision = ''] = /^\/api\/datasets\/owner\/reviews\/revision\/(.+)$/.exec(url) ?? []
    const sha = commits[decodeURIComponent(revision) as keyof typeof commits]
    if (sha !== undefined)
      return void response.end(JSON.stringify({ sha, siblings: Object.keys(reviews).map((rfilename) => ({ rfilename })) }))
    const [, at = '', file = ''] = /^\/datasets\/owner\/reviews\/resolve\/([^/]+)\/(.+)$/.exec(url) ?? []
    const commit = commits[decodeURIComponent(at) as keyof typeof commits] ?? at
    const content = reviews[file]
    if (content === undefined) return void response.writeHead(404).end()
    response.writeHead(200, { 'x-repo-commit': commit, etag: `"${createHash('sha256').update(content).digest('hex')}"` }).end(content)
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
})
beforeEach(async () => {
  requests = []
  status = 200
  vi.stubEnv('HF_ENDPOINT', `http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  vi.stubEnv('SALORA_CACHE', await mkdtemp(join(folder, 'cache-')))
  vi.stubEnv('HF_HUB_OFFLINE', '')
})
afterAll(async () => {
  vi.unstubAllEnvs()
  server.closeAllConnections()
  await new Promise((closed) => server.close(closed))
})

const dataset = 'hf://datasets/owner/reviews'
const address = `${dataset}/data/train.tsv`
const messageOf = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => 'none',
    (thrown: unknown) => lineInFlags(thrown).replaceAll(process.env['SALORA_CACHE'] ?? '', 'CACHE'),
  )

describe('an address', () => {
  it.each<readonly [string, DatasetAddress | null]>([
    ['hf://datasets/a/b', { id: 'a/b', revision: 'main', path: null }],
    ['hf://datasets/a/b/c/d.csv', { id: 'a/b', revision: 'main', path: 'c/d.csv' }],
    ['hf://datasets/a/b@v1.0/c.csv', { id: 'a/b', revision: 'v1.0', path: 'c.csv' }],
    [
      'hf://datasets/a/b@~parquet/default/train/0000.parquet',
      { id: 'a/b', revision: 'refs/convert/parquet', path: 'default/train/0000.parquet' },
    ],
    ['hf://datasets/a/b@refs%2Fconvert%2Fparquet/x.parquet', { id: 'a/b', revision: 'refs/convert/parquet', path: 'x.parquet' }],
    ...'hf://a/b/c.csv hf://datasets/a hf://datasets/a/b/ hf://datasets/a/b/../c hf://datasets/a/b@../c hf://datasets/../b/c'
      .split(' ')
      .map((text) => [text, null] as const),
    ['hf://datasets/a/b/c//d', null],
    ['hf://datasets/a/b@~other/c', null],
    ['a/b/c.csv', null],
  ])('%s', (text, expected) => expect(parseDatasetAddress(text)).toEqual(expected))
})

describe('a file on the hub', () => {
  it('is downloaded once, at the commit of its branch, and then needs no connection', async () => {
    const { train, evaluation } = await loadTask({ task: address })
    expect(train.examples.length + evaluation.examples.length).toBe(40)
    const ofFile = (revision: string): string => `/datasets/owner/reviews/resolve/${revision}/data/train.tsv`
    expect(requests).toEqual([`HEAD ${ofFile('main')}`, `GET ${ofFile(commits.main)}`])
    requests = []
    vi.stubEnv('HF_HUB_OFFLINE', '1')
    expect((await loadEvaluation({ task: address })).evaluation.examples).toHaveLength(40)
    expect((await loadTask({ task: `${dataset}@${commits.main}/data/train.tsv` })).train.examples).toEqual(train.examples)
    expect(requests).toEqual([])
    const missing =
      'expected this file in CACHE/datasets--owner--reviews (offline, by --offline or HF_HUB_OFFLINE), got no complete copy there'
    expect(await messageOf(loadTask({ task: `${dataset}/data/test.tsv` }))).toBe(`${dataset}/data/test.tsv: ${missing}`)
    expect(await messageOf(loadTask({ task: `${dataset}@old/data/train.tsv` }))).toContain(missing)
  })

  it('may be of another revision, and of the Parquet files that the hub makes', async () => {
    for (const [name, commit] of [
      ['old', commits.old],
      ['~parquet', commits['refs/convert/parquet']],
    ] as const) {
      await loadTask({ task: `${dataset}@${name}/data/train.tsv` })
      expect(requests.at(-1)).toBe(`GET /datasets/owner/reviews/resolve/${commit}/data/train.tsv`)
      requests = []
      await loadTask({ task: `${dataset}@${name}/data/train.tsv` })
      expect(requests).toEqual([])
    }
  })

  it('is evaluated on, tested on, mixed in, inspected and predicted, too', async () => {
    const [test, more] = [`${dataset}/data/test.tsv`, `${dataset}/data/more.tsv`]
    const task = await loadTask({ task: address, evalData: test, testData: test, mixData: `${more},${more}` })
    expect([task.train, task.evaluation, task.test].map((set) => set?.examples.length)).toEqual([56, 12, 12])
    expect((await inspectData({ task: { task: more }, maxLength: 16, classWeights: null, examples: 0 })).sets[0]?.rows).toBe(8)
    expect(
      (await loadTask({ task: 'text', data: `${dataset}/data/marked.txt`, evalData: `${dataset}/data/marked.txt` })).train.examples,
    ).toHaveLength(1)
    const lines = await fileTexts(test, {}).next()
    expect(lines.value).toHaveLength(12)
  })

  it('is named in the card of a run, whose config keeps the address', async () => {
    const output = join(folder, 'run')
    const settings = { method: 'lora', maxSteps: 1, maxLength: 16, device: 'cpu' } as const
    for await (const _ of finetune({ model: embeddedModel, task: { task: address }, output, settings }));
    expect(JSON.parse(await readFile(join(output, 'config.json'), 'utf8'))).toMatchObject({ task: { task: address } })
    const card = await readFile(join(output, 'adapter', 'README.md'), 'utf8')
    expect(card).toContain('datasets:\n- "owner/reviews"\n')
    expect(card).toContain(`--task ${address} `)
    expect(card).not.toContain(process.env['SALORA_CACHE'] ?? '')
  })
})

describe('what is no file of a dataset is refused in one line', () => {
  it.each([
    [dataset, `${dataset}: expected a file of the dataset, got no path in it (it has data/train.tsv, data/test.tsv, data/more.tsv, …)`],
    [
      `${dataset}/data/tran.tsv`,
      `${dataset}/data/tran.tsv: expected a file of the dataset, got none of this name (it has data/train.tsv, …)`,
    ],
    [
      `${dataset}/README.csv`,
      `${dataset}/README.csv: expected a file of the dataset, got none of this name (it has data/train.tsv, data/test.tsv, data/more.tsv, …)`,
    ],
    [
      'hf://owner/reviews/train.tsv',
      '--task: expected hf://datasets/OWNER/NAME/FILE, perhaps with @REVISION after NAME, got "hf://owner/reviews/train.tsv"',
    ],
    [
      'https://example.com/a.csv',
      '--task: expected a file on this machine, or hf://datasets/OWNER/NAME/FILE, got "https://example.com/a.csv" (download it first)',
    ],
    ...(['blob', 'resolve', 'raw'] as const).map((kind) => [
      `https://huggingface.co/datasets/owner/reviews/${kind}/main/data/train.tsv?download=true`,
      `(use ${address})`,
    ]),
    ['https://huggingface.co/datasets/owner/reviews/blob/v1/a.csv', '(use hf://datasets/owner/reviews@v1/a.csv)'],
  ])('%s', async (task, expected) => {
    const message = await messageOf(loadTask({ task }))
    expect(message).toContain(expected)
    expect(message).not.toContain('\n')
  })

  it('a page in its place, and a hub that says no, leave nothing in the cache', async () => {
    expect(await messageOf(loadTask({ task: `${dataset}/data/page.tsv` }))).toMatch(/page\.tsv: expected rows, got a web page/)
    status = 404
    expect(await messageOf(loadTask({ task: address }))).toMatch(
      /expected status 200, got 404 \(no such dataset or revision, or one that needs HF_TOKEN\)$/,
    )
    status = 429
    expect(await messageOf(loadTask({ task: address }))).toMatch(/429 \(too many requests/)
    const cache = process.env['SALORA_CACHE'] ?? ''
    expect(existsSync(cache) ? (await readdir(cache, { recursive: true })).filter((name) => name.endsWith('.tsv')) : []).toEqual([])
  })
})
