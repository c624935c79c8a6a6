/** salora push: the hub gets an adapter's bytes, its card and nothing else, and gives them back. Each error is one line without the token. */
import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { resolveModel } from '../../accelerated/checkpoints/hub/hub.js'
import { uploadFiles } from '../../accelerated/checkpoints/hub/hubUpload.js'
import { publishableFiles } from '../../finetuning/use/publishableFiles.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { saloraHere, type Output } from './inProcess.js'
import { commitLines, filesOf, hub, lines, sha256, token, useUploadHub } from './push/uploadHub.js'
import { writeAdapter, writeFamily } from './tinyAdapter.js'
import { writeTinyModel } from './tinyModel.js'

const { folder } = temporaryFolder('push')
const at = (...path: readonly string[]): string => join(folder, ...path)
const [run, adapterFiles] = [at('run'), ['README.md', 'adapter_config.json', 'adapter_model.safetensors', 'salora.json']]
const card = '---\nlibrary_name: peft\ntags:\n- "salora"\n---\n\n# A card\n'

/** A run as salora leaves it, with files that are nobody else's business. */
beforeAll(async () => {
  await writeFamily(at('bert'), 'bert')
  await writeAdapter(at('run', 'adapter'), at('bert'))
  const config = await readFile(at('run', 'adapter', 'adapter_config.json'), 'utf8')
  await writeFile(
    at('run', 'adapter', 'adapter_config.json'),
    config.replace(JSON.stringify(at('bert')), '"google-bert/bert-base-uncased"'),
  )
  await writeFile(at('run', 'adapter', 'README.md'), card)
  await writeFile(at('run', 'adapter', 'optimizer.pt'), 'moments')
  await mkdir(at('run', 'checkpoints'))
  for (const name of ['rows.json', 'metrics.jsonl', 'checkpoints/step-8.bin']) await writeFile(at('run', name), 'private')
})

useUploadHub()

const environment = (more: Readonly<Record<string, string>> = {}): Readonly<Record<string, string>> => ({
  HF_ENDPOINT: hub.url,
  HF_HOME: at('home'),
  HF_HUB_OFFLINE: '',
  HF_TOKEN: token,
  ...more,
})
const before = { ...process.env }
afterAll(() => Object.assign(process.env, before))
const push = async (...args: readonly string[]): Promise<Output> => {
  Object.assign(process.env, environment())
  return saloraHere('push', ...args)
}

/** The files of the run, or of a folder, to the hub without waiting between attempts. */
const upload = async (source = run, more: Partial<Parameters<typeof uploadFiles>[1]> = {}) =>
  uploadFiles((await publishableFiles(source, null)).files, {
    ...{ repository: 'me/reviews', message: 'Upload', isPrivate: false, environment: environment(), firstDelay: 1, timeout: 2_000 },
    ...more,
  })
const refusal = async (more: Partial<Parameters<typeof uploadFiles>[1]> = {}): Promise<string> => {
  const line = await upload(run, more).then(
    () => 'no error',
    (thrown: unknown) => (thrown as Error).message,
  )
  expect(line).not.toContain(token)
  expect(line).not.toContain('\n')
  return line.replaceAll(hub.url, 'HUB').replaceAll(folder, '@')
}

// The package is optional: without it, only its error is tested (in optionalPackages.test.ts).
describe.skipIf(!existsSync(resolve('node_modules/@huggingface/hub')))('salora push', () => {
  it('creates the repository in the account of the token, and sends the adapter and its card with the same bytes, and nothing else', async () => {
    const { code, stdout, stderr } = await push(run, 'reviews', '--message', 'The first one')
    expect(stderr).toBe(
      `warning: the run has not finished: its adapter is the best one so far\nnot uploaded from ${run}/adapter: optimizer.pt\ncreated the repository me/reviews\n`,
    )
    expect(code).toBe(0)
    expect(stdout).toBe(`${adapterFiles.map((name) => `  ${name}\n`).join('')}${hub.url}/me/reviews\n`)
    expect([...filesOf('me/reviews').keys()].sort()).toEqual(adapterFiles)
    for (const name of adapterFiles) expect(filesOf('me/reviews').get(name), name).toEqual(await readFile(join(run, 'adapter', name)))
    expect(hub.repositories.get('me/reviews')?.isPrivate).toBe(false)
    const weights = await readFile(join(run, 'adapter', 'adapter_model.safetensors'))
    const commit = hub.arrived.find(({ line }) => line.startsWith('POST /api/models/me/reviews/commit/main'))!
    expect(commit.headers['content-type']).toBe('application/x-ndjson')
    const [header, ...operations] = commitLines(commit)
    expect(header).toEqual({ key: 'header', value: { summary: 'The first one' } })
    expect(operations.find(({ key }) => key === 'lfsFile')?.value).toEqual({
      path: 'adapter_model.safetensors',
      algo: 'sha256',
      size: weights.length,
      oid: sha256(weights),
    })
    expect(operations.map(({ value }) => value['path']).sort()).toEqual(adapterFiles)
  })

  it('sends the token to the hub and never to the storage, which gets the length of each body', async () => {
    await upload()
    for (const { line, headers } of hub.arrived)
      expect(headers.authorization, line).toBe(line.includes('/storage/') ? undefined : `Bearer ${token}`)
    const [sent] = hub.arrived.filter(({ line }) => line.startsWith('PUT /storage/'))
    expect(sent?.headers['content-length']).toBe(String((await readFile(join(run, 'adapter', 'adapter_model.safetensors'))).length))
    expect(sent?.headers['transfer-encoding']).toBeUndefined()
  })

  it('sends nothing that the hub has already, and only the file that changed', async () => {
    await upload()
    hub.arrived.length = 0
    const { code, stdout } = await push(run, 'me/reviews')
    expect(code).toBe(0)
    expect(stdout).toBe(`4 files the hub had already\nnothing to send: ${hub.url}/me/reviews has these files\n`)
    expect(lines().filter((line) => /^(PUT|POST)/.test(line))).toEqual([])
    await writeFile(join(run, 'adapter', 'README.md'), `${card}More.\n`)
    const result = await upload()
    await writeFile(join(run, 'adapter', 'README.md'), card)
    expect(result).toMatchObject({ uploaded: ['README.md'], unchanged: adapterFiles.slice(1) })
    expect(String(filesOf('me/reviews').get('README.md'))).toContain('More.')
  })

  it('refuses a repository whose list of files never ends', async () => {
    await upload()
    let pages = 0
    hub.intercept = ({ line }, response) => {
      if (!line.startsWith('GET /api/models/me/reviews/tree/')) return false
      const page = Array.from({ length: 10_000 }, (_, i) => ({ type: 'file', path: `${pages}-${i}`, size: 1, oid: 'a' }))
      pages++
      const link = `<${hub.url}/api/models/me/reviews/tree/main?cursor=${pages}>; rel="next"`
      response.writeHead(200, { 'content-type': 'application/json', link }).end(JSON.stringify(page))
      return true
    }
    expect(await refusal()).toBe('me/reviews: expected at most 100000 files in the repository, got more')
    expect(pages).toBeLessThan(20)
  })

  it('refuses an answer of more than 64 MB', async () => {
    hub.intercept = ({ line }, response) => {
      if (!line.startsWith('GET /api/models/me/reviews')) return false
      response.writeHead(200, { 'content-type': 'application/json' }).end(Buffer.alloc(64_000_001, ' '))
      return true
    }
    expect(await refusal()).toMatch(/: expected an answer of at most 64000000 bytes, got more$/)
  })

  it('resumes after a lost connection: weights that the storage has are not sent again', async () => {
    hub.intercept = ({ line }, response) => line.includes('/commit/') && void response.destroy() === undefined
    expect(await refusal()).toBe('HUB/api/models/me/reviews/commit/main: expected an answer, got fetch failed: other side closed')
    expect(lines().filter((line) => line.includes('/commit/'))).toHaveLength(5)
    expect(lines().filter((line) => line.startsWith('PUT /storage'))).toHaveLength(1)
    hub.intercept = () => false
    await upload()
    expect(lines().filter((line) => line.startsWith('PUT /storage'))).toHaveLength(1)
    expect([...filesOf('me/reviews').keys()].sort()).toEqual(adapterFiles)
  })

  it('sends a file in the parts that the storage asks for, and counts every byte once, also when a part is sent twice', async () => {
    hub.partBytes = 3_000
    let failing = true
    hub.intercept = ({ line }, response) => {
      if (!failing || !line.includes('/2?signed')) return false
      failing = false
      response.writeHead(503).end()
      return true
    }
    let sent = 0
    await upload(run, {
      onEvent: (event) => {
        if (event.kind === 'sent') sent += event.bytes
      },
    })
    const weights = await readFile(join(run, 'adapter', 'adapter_model.safetensors'))
    expect(filesOf('me/reviews').get('adapter_model.safetensors')).toEqual(weights)
    expect(hub.parts.size).toBe(Math.ceil(weights.length / 3_000))
    expect(sent).toBe(weights.length)
  })

  it('makes a private repository, and a branch beside main', async () => {
    const { stdout, code } = await push(run, 'me/mine', '--private', '--revision', 'v2')
    expect(code).toBe(0)
    expect(stdout).toContain(`${hub.url}/me/mine/tree/v2\n`)
    expect(hub.repositories.get('me/mine')?.isPrivate).toBe(true)
    expect(filesOf('me/mine').size).toBe(0)
    expect([...filesOf('me/mine', 'v2').keys()].sort()).toEqual(adapterFiles)
    expect((await upload(run, { repository: 'me/mine', revision: 'v2' })).commit).toBeNull()
  })

  it('gives back what it sent: the hub id of a pushed model opens as a model, with the same bytes', async () => {
    const model = await writeTinyModel(at('model'))
    await upload(model, { repository: 'me/whole' })
    const { folder: downloaded } = await resolveModel('me/whole', { environment: environment({ SALORA_CACHE: at('cache') }) })
    for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'])
      expect(sha256(await readFile(join(downloaded, name))), name).toBe(sha256(await readFile(join(model, name))))
  })

  it('gives back the adapter by its hub id: --adapter OWNER/NAME answers as the folder does, also offline then', async () => {
    await upload()
    Object.assign(process.env, environment({ SALORA_CACHE: at('cache') }))
    await writeFile(at('texts.csv'), 'text\na good film\nbad\n')
    const predict = (adapter: string) =>
      saloraHere('predict', '--model', at('bert'), '--adapter', adapter, '--input', at('texts.csv'), '--device', 'cpu', '--quiet')
    const [folder, remote] = [await predict(join(run, 'adapter')), await predict('me/reviews')]
    expect(remote).toEqual(folder)
    expect(remote.code).toBe(0)
    hub.arrived.length = 0
    process.env['HF_HUB_OFFLINE'] = '1'
    expect(await predict('me/reviews')).toEqual(folder)
    expect((await predict('me/others')).stderr).toMatch(
      /^me\/others: expected the adapter in .*models--me--others \(offline, .*\), got no complete copy there, and no folder me\/others here\n$/,
    )
    expect(hub.arrived).toEqual([])
  })

  it('reads the token that hf auth login stored', async () => {
    await mkdir(at('login'), { recursive: true })
    await writeFile(at('login', 'token'), `${token}\n`)
    await upload(run, { environment: { ...environment({ HF_HOME: at('login') }), HF_TOKEN: '' } })
    expect([...filesOf('me/reviews').keys()].sort()).toEqual(adapterFiles)
  })

  it('waits as long as the hub asks, and reports it', async () => {
    let refused = 0
    hub.intercept = ({ line }, response) => {
      if (!line.includes('/preupload/') || refused++ > 0) return false
      response.writeHead(429, { 'retry-after': '1' }).end()
      return true
    }
    const events: unknown[] = []
    const began = performance.now()
    await upload(run, { onEvent: (event) => events.push(event) })
    expect(performance.now() - began).toBeGreaterThanOrEqual(990)
    expect(events).toContainEqual({ kind: 'waiting', reason: `status 429 from ${new URL(hub.url).host}`, seconds: 1 })
  })

  it.each<readonly [number, string]>([
    [
      401,
      'me/reviews: expected a token that the hub accepts (in HF_TOKEN, or by hf auth login), got one that it refuses (status 401: Sorry)',
    ],
    [
      403,
      'me/reviews: expected a token with write access to it (https://huggingface.co/settings/tokens), got one without (status 403: Sorry)',
    ],
    [404, 'me/reviews: expected a repository and a branch that the token may see, got none (status 404: Sorry)'],
    [409, 'me/reviews: expected nobody else to change it at the same time (run the command again), got a conflict (status 409: Sorry)'],
    [
      429,
      'me/reviews: expected to send requests (wait a few minutes, and run the command again), got too many requests (status 429: Sorry)',
    ],
    [
      500,
      'me/reviews: expected the hub to accept the files (run the command again: it sends only what is missing), got an error (status 500: Sorry)',
    ],
  ])('says in one line what status %i means', async (status, line) => {
    hub.intercept = (request, response) => {
      if (!request.line.includes('/commit/')) return false
      response.writeHead(status, { 'content-type': 'application/json' }).end('{"error":"Sorry"}')
      return true
    }
    expect(await refusal()).toBe(line)
  })

  it('says in one line what is wrong with the token, the name, the branch and the network', async () => {
    expect(await refusal({ environment: { ...environment(), HF_TOKEN: '' } })).toBe(
      'HF_TOKEN: expected a token with write access, there or in @/home/token (make one at https://huggingface.co/settings/tokens), got none',
    )
    expect(await refusal({ environment: environment({ HF_TOKEN: 'hf_other' }) })).toContain(
      'one that it refuses (status 401: Invalid credentials)',
    )
    expect(await refusal({ environment: environment({ HF_HUB_OFFLINE: '1' }) })).toBe(
      'HF_HUB_OFFLINE: expected it unset, to reach the hub, got it set',
    )
    expect(await refusal({ repository: 'me/a/b' })).toBe('NAME: expected the name of a repository, as OWNER/NAME or NAME, got "me/a/b"')
    expect(await refusal({ revision: '../main' })).toContain('revision: expected a branch of letters')
    for (const [body, got] of [
      ['<html>Log in</html>', /Unexpected token '<'/],
      ['null', /null/],
      ['{"type":"user","auth":{}}', /^no name of an account$/],
    ] as const) {
      hub.intercept = (_, response) => Boolean(response.writeHead(200).end(body)) // the login page of a network, for one
      const [where, said = ''] = (await refusal({ repository: 'reviews' })).split(', got ')
      expect(where).toBe('HUB: expected the answers of a Hugging Face hub (check HF_ENDPOINT and the network)')
      expect(said).toMatch(got)
    }
    hub.intercept = () => true // and never an answer
    expect(await refusal({ timeout: 50 })).toBe('HUB/api/models/me/reviews: expected an answer, got silence for 0.05 s')
  })
})

describe('the files of salora push', () => {
  it('are listed with their sizes by --dry-run, without a token or a request', async () => {
    Object.assign(process.env, environment({ HF_TOKEN: '' }))
    const { code, stdout } = await saloraHere('push', run, 'reviews', '--dry-run', '--quiet')
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /^ {2}README\.md +1 kB\n {2}adapter_config\.json +\d kB\n[\s\S]*4 files, \d+ kB, for reviews \(--dry-run: nothing was sent\)\n$/,
    )
    const { stderr } = await saloraHere('push', run, 'my reviews', '--dry-run', '--quiet')
    expect(stderr).toBe('NAME: expected the name of a repository, as OWNER/NAME or NAME, got "my reviews"\n')
    expect(hub.arrived).toEqual([])
  })

  it('are refused in one line where there is no adapter, a link leads out, or the base model is a folder of this machine', async () => {
    const refused = async (source: string, base: string | null = null): Promise<string> =>
      publishableFiles(source, base).then(
        () => 'no error',
        (thrown: unknown) => (thrown as Error).message.replaceAll(folder, '@'),
      )
    await mkdir(at('empty'))
    expect(await refused(at('empty'))).toBe(
      "@/empty: expected a run with an adapter, an adapter's folder or an export, got none of their files",
    )
    expect(await refused(at('nowhere'))).toMatch(/^@\/nowhere: expected the folder of a run or an export, got none there/)
    await writeAdapter(at('local'), at('bert'))
    expect(await refused(at('local'))).toBe(
      '@/local/adapter_config.json: expected the hub id of its base model, for others\' use (give it by baseModel, or export format merged), got "@/bert", which only this machine has',
    )
    expect(await refused(at('local'), '/tmp/x')).toBe('baseModel: expected a hub id like FacebookAI/roberta-base, got "/tmp/x"')
    await symlink(at('run', 'rows.json'), at('local', 'README.md'))
    expect(await refused(at('local'), 'me/bert')).toBe('@/local/README.md: expected a file within @/local, got a link to @/run/rows.json')
  })

  it('name the base model of --base-model in place of a folder, in the configuration and in the card', async () => {
    const source = await writeAdapter(at('renamed'), at('bert'))
    await writeFile(at('renamed', 'README.md'), card)
    const { files } = await publishableFiles(source, 'me/bert')
    const text = (path: string): string => {
      const content = files.find((file) => file.path === path)!.content
      return 'text' in content ? content.text : ''
    }
    const original = JSON.parse(await readFile(at('renamed', 'adapter_config.json'), 'utf8')) as object
    expect(JSON.parse(text('adapter_config.json'))).toEqual({ ...original, base_model_name_or_path: 'me/bert' })
    expect(text('README.md')).toBe(card.replace('peft\n', 'peft\nbase_model: "me/bert"\nbase_model_relation: adapter\n'))
    expect(JSON.stringify(files.map(({ content }) => content))).not.toContain(JSON.stringify(at('bert')))
  })

  it('are warned of where a text names a folder of this machine, and where there is no card', async () => {
    const source = await writeTinyModel(at('told'))
    expect((await publishableFiles(source, null)).warnings).toEqual(['there is no README.md: the page will have no model card'])
    await writeFile(at('told', 'README.md'), `Trained in ${at('told')}.\n`)
    expect((await publishableFiles(source, null)).warnings).toEqual(['README.md names a folder of this machine'])
    await rm(source, { recursive: true })
  })
})
