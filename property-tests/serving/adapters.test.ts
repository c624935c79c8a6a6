/** One base with adapters: each answers as it does alone, the base is opened once, and adapters come and go while requests run. */
import { cp, mkdir, readFile, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cpu } from '../../accelerated/engines/devices/device.js'
import { withSharedSessions } from '../../accelerated/engines/sharedSessions.js'
import { finetuneJob, openGenerator, openRun, type TaskOptions } from '../../index.js'
import { openBase, type Opened } from '../../finetuning/use/serving/openServed.js'
import { startRunServer, type RunServer } from '../../finetuning/use/serving/http/server.js'
import { writeTinyModel } from '../cli/tinyModel.js'
import { toyFile, toyInstructions } from '../cli/toyTask.js'
import { fixtures } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'

const { folder } = temporaryFolder('adapters')
const at = (...names: readonly string[]): string => join(folder, ...names)

/** Odd ranks on all matrices, even ranks on some. */
const train = async (output: string, model: string, task: TaskOptions, rank: number): Promise<void> => {
  const given = { method: 'lora', maxSteps: 3, batchSize: 4, maxLength: 32, device: 'cpu', learningRate: 0.1, seed: rank } as const
  const settings = { ...given, rank, targetModules: rank === 4 ? ['query'] : rank === 2 ? ['q_proj', 'up_proj'] : null }
  for await (const _ of finetuneJob({ model, task, output: at(output), settings }, new AbortController().signal));
}

let [words, classes]: RunServer[] = []
beforeAll(async () => {
  await writeTinyModel(at('tiny'))
  await writeFile(at('toy.tsv'), toyFile(40))
  await cp(join(fixtures, 'llama'), at('llama'), { recursive: true })
  await writeFile(at('instructions.jsonl'), toyInstructions())
  await mkdir(at('runs'))
  const [toy, alpaca] = [{ task: at('toy.tsv') }, { task: 'alpaca', data: at('instructions.jsonl') } as const]
  for (const rank of [1, 4]) await train(`runs/classes-${rank}`, at('tiny'), toy, rank)
  for (const rank of [2, 3]) await train(`runs/words-${rank}`, at('llama'), alpaca, rank)
  await cp(at('runs/words-3'), at('outside'), { recursive: true })
  await symlink(at('outside'), at('runs/link'))
  const options = { runs: [], machine: { threads: 1 } } as const
  const common = { maxRank: null, most: 2, root: at('runs') } as const
  classes = await startRunServer({ ...options, base: { ...common, model: at('tiny'), adapters: { one: at('runs/classes-1') } } })
  words = await startRunServer({ ...options, base: { ...common, maxRank: 2, model: at('llama'), adapters: { two: at('runs/words-2') } } })
})
afterAll(async () => {
  await classes?.close()
  await words?.close()
})

const send = async (to: RunServer | undefined, method: string, path: string, body?: object) => {
  const init = body === undefined ? { method } : { method, body: JSON.stringify(body) }
  const response = await fetch(`${to?.url}${path}`, init)
  return { status: response.status, json: JSON.parse(await response.text()) as never }
}
const post = (to: RunServer | undefined, path: string, body: object) => send(to, 'POST', path, body)
type Classified = { readonly label: string; readonly score: number }
const classify = async (model: string): Promise<Classified> => (await post(classes, '/classify', { model, text: 'good film' })).json
const question = { messages: [{ role: 'user', content: 'w5 w8' }] }
const chat = (model: string) => post(words, '/v1/chat/completions', { ...question, model, max_tokens: 12 })
const contentOf = ({ json }: { readonly json: never }): string =>
  (json as { readonly choices: readonly { readonly message: { readonly content: string } }[] }).choices[0]?.message.content ?? ''

const generate = async (adapter: string | null): Promise<string> => {
  const generator = await openGenerator({ model: at('llama'), adapter, device: 'cpu' })
  const ids = generator.encode({ template: 'paper', instruction: 'w5 w8' })
  let text = ''
  for await (const event of generator.answers([ids], { maxNewTokens: 12 })) if (event.kind === 'answer') text = event.text
  await generator.release()
  return text
}

/** Writes a number at the start of the last tensor, a B. */
const spoil = async (adapter: string, value: number): Promise<void> => {
  const file = join(adapter, 'adapter_model.safetensors')
  const bytes = await readFile(file)
  const header = JSON.parse(bytes.toString('utf8', 8, 8 + bytes.readUInt32LE(0))) as Readonly<Record<string, { data_offsets?: number[] }>>
  const [key = ''] = Object.keys(header).filter((name) => name.includes('lora_B'))
  bytes.writeFloatLE(value, 8 + bytes.readUInt32LE(0) + (header[key]?.data_offsets?.[0] ?? 0))
  await writeFile(file, bytes)
}

describe('a base with adapters', () => {
  it('answers as each run does alone, whatever the rank, and lists what it serves', async () => {
    await post(classes, '/adapters', { name: 'four', path: 'classes-4' })
    for (const [name, run] of [
      ['one', 'runs/classes-1'],
      ['four', 'runs/classes-4'],
    ] as const) {
      const alone = await openRun(at(run), { taskType: 'classification' })
      const { label, score } = await alone.predict('good film')
      await alone.release()
      expect(await classify(name)).toMatchObject({ label, score: expect.closeTo(score, 5) as number })
    }
    const { json } = await send(classes, 'GET', '/v1/models')
    expect(json).toMatchObject({ data: [{ id: 'one', parent: 'tiny', scale: 1, created: expect.any(Number) as number }, { id: 'four' }] })
  })

  it('opens the base once for adapters of one kind', async () => {
    let sessions = 0
    const counting = withSharedSessions({
      ...cpu,
      engine: (settings) => ({
        ...cpu.engine(settings),
        open: (...given) => {
          sessions++
          return cpu.engine(settings).open(...given)
        },
      }),
    })
    const opened: (Opened | null)[] = []
    const options = { model: at('llama'), maxRank: null, adapters: [{ path: at('runs/words-2'), scale: 1 }] }
    const base = await openBase(
      () => undefined,
      options,
      { threads: 1 },
      async () => counting,
      (one) => opened.push(one),
    )
    opened.push(await base.attach({ path: at('outside'), scale: 0.5 }))
    expect([opened.length, sessions]).toEqual([3, 1])
    for (const one of opened) await one?.release()
    await base.release()
  })

  it('scales, swaps and unloads while requests run: each ends with the adapter it began with', async () => {
    const [base = '', two] = [await generate(null), await generate(at('runs/words-2/adapter'))]
    expect(two).not.toBe(base)
    expect(contentOf(await chat('two'))).toBe(two)
    const running = Array.from({ length: 6 }, () => chat('two'))
    const changes = [
      await post(words, '/adapters', { name: 'two', scale: 0 }),
      await post(words, '/adapters', { name: 'two', scale: 1 }),
      await post(words, '/adapters', { name: 'two', scale: 0 }),
    ]
    expect(changes.map(({ status }) => status)).toEqual([200, 200, 200])
    expect((await Promise.all(running)).map(contentOf)).toEqual(Array.from({ length: 6 }, () => two))
    expect(contentOf(await chat('two'))).toBe(base)
    await post(words, '/adapters', { name: 'two', scale: 1 })
    const body = JSON.stringify({ ...question, model: 'two', max_tokens: 40, stream: true })
    const stream = await fetch(`${words?.url}/v1/chat/completions`, { method: 'POST', body })
    expect((await send(words, 'DELETE', '/adapters/two')).status).toBe(200)
    const pieces = [...(await stream.text()).matchAll(/"delta":\{"content":("(?:[^"\\]|\\.)*")\}/g)]
    expect(pieces.map(([, piece = '""']) => JSON.parse(piece) as string).join('')).toSatisfy((text: string) => text.startsWith(two ?? '-'))
    expect(await chat('two')).toMatchObject({ status: 404, json: { error: { code: 'model_not_found' } } })
    await post(words, '/adapters', { name: 'two', path: 'words-2' })
    expect(contentOf(await chat('two'))).toBe(two)
  })

  it('refuses in one line what it cannot load, and keeps what it has', async () => {
    for (const name of ['nan', 'huge']) await cp(at('runs/classes-1/adapter'), at('runs', name), { recursive: true })
    await spoil(at('runs/nan'), NaN)
    await spoil(at('runs/huge'), 3e38)
    const refusal = async (body: object, to = classes) => {
      const { status, json } = await post(to, '/adapters', body)
      return `${status} ${(json as { readonly error: { readonly message: string } }).error.message}`
    }
    for (const path of ['../outside', at('outside'), 'link', '.', 'nothing', 'a\0b'])
      expect(await refusal({ name: 'x', path }), path).toMatch(/^400 expected a folder below the one of --adapter-root, got "/)
    expect(await refusal({ name: 'three', path: 'classes-1' })).toBe('409 expected at most 2 adapters (--max-adapters), got one more')
    expect((await send(classes, 'DELETE', '/adapters/four')).status).toBe(200)
    expect(await refusal({ name: 'x', path: 'words-2' })).toMatch(/^400 .*expected the model that .*words-2 was trained on/)
    expect(await refusal({ name: 'x', path: 'nan' })).toMatch(/^400 .*: expected finite numbers in .*, got NaN at 0$/)
    expect(await refusal({ name: 'x', path: 'huge', scale: 9 })).toMatch(
      /^400 scale: expected finite numbers in .*, got one that is not, by/,
    )
    expect(await refusal({ name: 'x', path: 'words-3' }, words)).toMatch(
      /^400 maxRank: expected at least 3, the adapter's largest rank, got 2$/,
    )
    expect(await refusal({ name: 'tiny', path: 'classes-1' })).toBe('400 the request: expected a name beside that of the base, got "tiny"')
    expect(await refusal({ name: '../x', path: 'classes-1' })).toMatch(
      /^400 the request: expected an adapter whose name is up to 100 letters/,
    )
    expect(await refusal({ name: 'one', path: 'classes-1', scale: 1e9 })).toMatch(/^400 the request: expected an adapter whose scale is/)
    expect(await refusal({ name: 'x' })).toBe('400 the request: expected "path", the folder of a run or an adapter, got none')
    expect((await send(classes, 'DELETE', '/adapters/tiny')).status).toBe(404)
    expect((await send(classes, 'GET', '/v1/models')).json).toMatchObject({ data: [{ id: 'one' }] })
  })
})
