/** The server over real runs: its answers are those of the runs, several adapters share a server, and it stops after the requests that run. */
import { cp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { finetuneJob, openGenerator, openRun, type TaskOptions } from '../../index.js'
import { startRunServer, type RunServer } from '../../finetuning/use/serving/http/server.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { toyFile, toyInstructions } from '../cli/toyTask.js'
import { saloraIn } from '../cli/inProcess.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder } = temporaryFolder('serve')
const at = (name: string): string => join(folder, name)

const train = async (output: string, model: string, task: TaskOptions, seed = 0): Promise<void> => {
  const settings = { method: 'lora', maxSteps: 1, batchSize: 4, maxLength: 32, device: 'cpu', learningRate: 0.01, seed } as const
  for await (const _ of finetuneJob({ model, task, output: at(output), settings }, new AbortController().signal));
}

let server: RunServer
beforeAll(async () => {
  await writeTinyModel(at('tiny'))
  await writeFile(at('toy.tsv'), toyFile(40))
  await cp(join(fixtures, 'llama'), at('llama'), { recursive: true })
  await writeFile(at('instructions.jsonl'), toyInstructions())
  await train('one', at('tiny'), { task: at('toy.tsv') })
  await train('two', at('tiny'), { task: at('toy.tsv') }, 1)
  await train('words', at('llama'), { task: 'alpaca', data: at('instructions.jsonl') })
  server = await startRunServer({ runs: [at('one'), at('two'), at('words')], machine: { threads: 1 } })
})
afterAll(() => server.close())

const post = async (path: string, body: object, to: RunServer = server) => {
  const response = await fetch(`${to.url}${path}`, { method: 'POST', body: JSON.stringify(body) })
  return { status: response.status, text: await response.text() }
}
const classified = async (model: string, text: string): Promise<unknown> => JSON.parse((await post('/classify', { model, text })).text)

describe('salora serve', () => {
  it('answers for each run over one base as openRun does, also at once', async () => {
    for (const name of ['one', 'two']) {
      const run = await openRun(at(name), { taskType: 'classification' })
      const alone = await run.predict('good fine film')
      await run.release()
      expect(await classified(name, 'good fine film')).toEqual(alone)
      const together = (await Promise.all(Array.from({ length: 12 }, () => classified(name, 'good fine film')))) as (typeof alone)[]
      for (const { label, score } of together) expect([label, score]).toEqual([alone.label, expect.closeTo(alone.score, 5)])
    }
    expect(await classified('one', 'good fine film')).not.toEqual(await classified('two', 'good fine film'))
  })

  it('generates what openGenerator generates, whole and as a stream, alone and in a batch', async () => {
    const generator = await openGenerator({ model: at('llama'), adapter: join(at('words'), 'adapter') })
    const expected: string[] = []
    const instructions = ['w5 w8', 'w9', 'w14 w7 w6 w30', 'w11']
    for (const instruction of instructions) {
      const ids = generator.encode({ template: 'paper', instruction, input: '' }, 'prompt')
      for await (const event of generator.answers([ids], { maxNewTokens: 12 })) if (event.kind === 'answer') expected.push(event.text)
    }
    await generator.release()
    const request = (content: string) => ({ model: 'words', messages: [{ role: 'user', content }], max_tokens: 12 })
    const contentOf = ({ text }: { readonly text: string }): unknown =>
      (JSON.parse(text) as { readonly choices: readonly { readonly message: { readonly content: string } }[] }).choices[0]?.message.content
    expect(new Set(expected).size).toBeGreaterThan(1)
    expect((await Promise.all(instructions.map((one) => post('/v1/chat/completions', request(one))))).map(contentOf)).toEqual(expected)
    const { text } = await post('/v1/chat/completions', { ...request('w9'), stream: true })
    const pieces = [...text.matchAll(/"delta":\{"content":("(?:[^"\\]|\\.)*")\}/g)].map(([, piece = '""']) => JSON.parse(piece) as string)
    expect(pieces.join('')).toBe(expected[1])
  })

  it('serves the best adapter so far of a run that was interrupted, also of one that writes text', async () => {
    await Promise.all(['one', 'words'].map((name) => cp(at(name), at(`interrupted-${name}`), { recursive: true })))
    await Promise.all(['one', 'words'].map((name) => rm(at(`interrupted-${name}/result.json`))))
    const other = await startRunServer({ runs: [at('interrupted-one'), at('interrupted-words')], machine: { threads: 1 } })
    const messages = [{ role: 'user', content: 'w5 w8' }]
    const contents = await Promise.all(
      [server, other].map(async (to) => {
        const { text } = await post('/v1/chat/completions', { messages, max_tokens: 6 }, to)
        return (JSON.parse(text) as { readonly choices: unknown }).choices
      }),
    )
    expect(contents[1]).toEqual(contents[0])
    expect((await post('/classify', { text: 'good film' }, other)).status).toBe(200)
    await other.close()
  })

  it('counts the tokens of a prompt that is too long, and of one that is much too long only as many as it needs', async () => {
    const refusal = async (words: number): Promise<string> =>
      (await post('/v1/chat/completions', { messages: [{ role: 'user', content: 'w5 '.repeat(words) }] })).text
    expect(await refusal(70)).toMatch(/expected a prompt of at most 63 tokens \(there are 64 positions\), got \d{2,3}"/)
    expect(await refusal(20_000)).toMatch(/expected a prompt of at most 63 tokens \(there are 64 positions\), got at least 128"/)
  })

  it('also classifies beside a generation, and frees a client that leaves a stream', async () => {
    const leave = new AbortController()
    const body = JSON.stringify({ model: 'words', messages: [{ role: 'user', content: 'w5' }], max_tokens: 1_000, stream: true })
    const stream = await fetch(`${server.url}/v1/chat/completions`, { method: 'POST', body, signal: leave.signal })
    expect(stream.status).toBe(200)
    expect(await classified('one', 'good')).toMatchObject({ label: expect.any(String) as string })
    leave.abort()
    await expect.poll(async () => (await (await fetch(`${server.url}/metrics`)).text()).includes('salora_queue_texts 0')).toBe(true)
  })

  it('finishes the requests that run when it closes, and may be closed twice', async () => {
    const other = await startRunServer({ runs: [at('one')], machine: { threads: 1 } })
    const answers = Array.from({ length: 8 }, () => post('/classify', { text: 'good film' }, other))
    await expect.poll(async () => (await fetch(`${other.url}/metrics`)).text()).toContain('salora_texts_total{model="one"}')
    await Promise.all([other.close(), other.close()])
    expect((await Promise.all(answers)).map(({ status }) => status).filter((status) => status !== 200 && status !== 503)).toEqual([])
    await expect(fetch(`${other.url}/health`)).rejects.toThrow()
  })

  it('refuses runs of one name, a port in use, and a folder that is no run in one line', async () => {
    const port = new URL(server.url).port
    expect(await saloraIn(['serve', 'one', 'one'], { cwd: folder })).toMatchObject({
      code: 1,
      stderr: 'one: expected runs whose folders have different names, got two of this name\n',
    })
    expect(await saloraIn(['serve', 'one', '--port', port, '--threads', '1'], { cwd: folder })).toMatchObject({
      code: 1,
      stderr: `--port ${port}: expected a free port (--port 0 takes any), got one in use\n`,
    })
    for (const host of ['192.0.2.1', 'no-such-host.invalid']) // addresses that no machine has (RFC 5737, RFC 2606)
      expect((await saloraIn(['serve', 'one', '--host', host, '--port', '0', '--threads', '1'], { cwd: folder })).stderr).toBe(
        `--host ${host}: expected an address of this machine (127.0.0.1, or 0.0.0.0 for all of them), got another\n`,
      )
    expect(await saloraIn(['serve', 'one/adapter'], { cwd: folder })).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/^one\/adapter: expected the folder of a run of salora train, got an adapter \(.*\)\n$/) as string,
    })
    for (const [flags, line] of [
      [['one', 'two', '--adapter', 'a=two'], 'salora serve: expected one model for all adapters, got 2'],
      [['tiny', '--adapter', 'a'], '--adapter: expected name=folder, got a'],
      [['tiny', '--adapter', 'a=one', '--adapter', 'a=two'], '--adapter: expected different names, got a twice'],
      [['one', '--allow-origin', 'app.example'], '--allow-origin: expected an origin such as https://app.example, got app.example'],
    ] as const)
      expect((await saloraIn(['serve', ...flags], { cwd: folder })).stderr).toContain(`${line}\n`)
    expect((await saloraIn(['serve', 'one', '--precision', 'int9'], { cwd: folder })).stderr).toMatch(/^--precision: expected/)
  })
})
