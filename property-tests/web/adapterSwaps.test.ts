/** Swaps of `salora/adapters`: in order, without waste, and harmless where the adapter is bad. */
import { cp, readFile } from 'node:fs/promises'
import { createServer, type ServerResponse } from 'node:http'
import { join } from 'node:path'
import { runInNewContext } from 'node:vm'
import { setTimeout as pause } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { env, pipeline } from '@huggingface/transformers'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeSafetensors, type WritableTensor } from '../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { AdapterError, withAdapter, type AdapterSource, type Pipeline, type Swap } from '../../web/adapters/index.js'
import { writeFamily } from '../cli/tinyAdapter.js'
import { folderOf } from '../golden/golden.js'
import { temporaryFolder } from '../support/temporaryFolder.js'
import { exportTo, fiveKinds, serveFiles, writeKind, type Files } from './swappedAdapters.js'

const { folder: root } = temporaryFolder('swaps')
const at = (...path: readonly string[]): string => join(root, ...path)
const options = { dtype: 'fp32', device: 'cpu', local_files_only: true } as const

const openBase = () => pipeline('text-classification', at('base'), options)
type Classifier = Awaited<ReturnType<typeof openBase>>
let classify: Classifier & Swap
let files: Files = { url: '', close: () => undefined }
const bytes: Record<string, Buffer> = {}
beforeAll(async () => {
  env.allowRemoteModels = false
  const model = await writeFamily(at('model'), 'bert')
  for (const [name, kind] of Object.entries({ ...fiveKinds, wide: { rank: 9, labels: ['a', 'b'] } })) {
    await writeKind(at(name), model, kind)
    bytes[name] = await readFile(join(await exportTo(at(`${name}-file`), model, at(name), { format: 'peft-file' }), 'adapter.safetensors'))
  }
  await exportTo(at('base'), model, at('spam'), { adapterInputs: { maxRank: 8 } })
  const roberta = await writeFamily(at('roberta'), 'roberta')
  bytes['roberta'] = await readFile(
    join(
      await exportTo(at('roberta-file'), roberta, await writeKind(at('roberta-spam'), roberta, fiveKinds['spam'] ?? { rank: 1 }), {
        format: 'peft-file',
      }),
      'adapter.safetensors',
    ),
  )
  files = await serveFiles(root, { 'huge.safetensors': Buffer.alloc(30_000_000, 0x20), 'page.safetensors': Buffer.from('<!doctype html>') })
  classify = await withAdapter(await openBase(), bytes['spam'] ?? null)
})
afterAll(async () => {
  files.close()
  await classify.dispose()
})

const answer = async (by = classify): Promise<string> => JSON.stringify(await by('a wonderful film.', { top_k: 9 }))

type Contents = { readonly metadata: Readonly<Record<string, string>>; readonly tensors: ReadonlyMap<string, WritableTensor> }
const decode = (file: Buffer): Contents => {
  const size = Number(file.readBigUInt64LE(0))
  const { __metadata__: metadata, ...entries } = JSON.parse(file.toString('utf8', 8, 8 + size)) as Readonly<Record<string, never>>
  const tensors = Object.entries<{ shape: number[]; data_offsets: [number, number] }>(entries).map(
    ([
      name,
      {
        shape,
        data_offsets: [begin, end],
      },
    ]) => {
      const data = new Float32Array(Uint8Array.from(file.subarray(8 + size + begin, 8 + size + end)).buffer)
      return [name, { shape, data }] as const
    },
  )
  return { metadata: metadata ?? {}, tensors: new Map(tensors) }
}
/** The spam adapter, changed. */
const changed = (change: (contents: Contents) => Partial<Contents>): Uint8Array => {
  const contents = decode(bytes['spam'] ?? Buffer.alloc(0))
  const { metadata, tensors } = { ...contents, ...change(contents) }
  return writeSafetensors(tensors, metadata)
}
const query = 'base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight'
const withConfig = (more: object): Uint8Array =>
  changed(({ metadata }) => ({
    metadata: { ...metadata, 'adapter_config.json': JSON.stringify({ ...JSON.parse(metadata['adapter_config.json'] ?? ''), ...more }) },
  }))
const withTensor = (name: string, change: (tensor: WritableTensor) => WritableTensor | null): Uint8Array =>
  changed(({ tensors }) => ({
    tensors: new Map(
      [...tensors].flatMap(([key, tensor]) => {
        const next = key === name ? change(tensor) : tensor
        return next === null ? [] : [[key, next] as const]
      }),
    ),
  }))
/** The header's text replaced, with its length. */
const withHeader = (change: (text: string) => string): Uint8Array => {
  const file = bytes['spam'] ?? Buffer.alloc(0)
  const size = Number(file.readBigUInt64LE(0))
  const text = Buffer.from(change(file.toString('utf8', 8, 8 + size)))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(text.length))
  return Buffer.concat([length, text, file.subarray(8 + size)])
}
const withLength = (length: bigint): Uint8Array => {
  const file = Buffer.from(bytes['spam'] ?? Buffer.alloc(0))
  file.writeBigUInt64LE(length)
  return file
}
const withoutDigest = (name: string): Uint8Array => {
  const { metadata, tensors } = decode(bytes[name] ?? Buffer.alloc(0))
  return writeSafetensors(tensors, { ...metadata, salora_base_sha256: '' })
}

describe('a bad adapter', () => {
  it.each<readonly [string, () => AdapterSource, RegExp]>([
    ['other weights', () => bytes['roberta'] ?? null, /an adapter of this base \(weights [0-9a-f]{12}…\), got one of another/],
    [
      'other names',
      () => changed(({ metadata }) => ({ ...decode(Buffer.from(withoutDigest('roberta'))), metadata: { ...metadata } })),
      /tensors of this base, task and method, got "base_model.model.classifier.dense.bias"/,
    ],
    [
      'another shape',
      () => withTensor(query, () => ({ shape: [1, 4], data: new Float32Array(4) })),
      /query.lora_A.weight of shape \[1,16\], as the base has it, got \[1,4\]/,
    ],
    ['a larger rank', () => bytes['wide'] ?? null, /a rank of at most 8, which the base was exported with, got 9 at bert/],
    ['half a pair', () => withTensor(query, () => null), /both factors of bert.encoder.layer.0.attention.self.query, got one of them/],
    [
      'uneven factors',
      () => withTensor(query, ({ data }) => ({ shape: [2, 16], data: Float32Array.from([...data, ...data]) })),
      /factors of one rank at bert.*, got 2 and 1/,
    ],
    [
      'NaN',
      () => withTensor(query, (tensor) => ({ ...tensor, data: tensor.data.map((x, i) => (i === 3 ? NaN : x)) })),
      /finite numbers in .*query.lora_A.weight, got NaN/,
    ],
    ['infinite B · scale', () => withConfig({ lora_alpha: 1e300 }), /finite numbers in .*lora_B.weight, got -?Infinity/],
    [
      'no head',
      () => withTensor('base_model.model.classifier.bias', () => null),
      /base_model.model.classifier.bias of the head \(salora export --format peft-file writes it\), got none/,
    ],
    [
      'classes of another number',
      () => changed(({ metadata }) => ({ metadata: { ...metadata, 'salora.json': '{"labelNames":["a","b","c"]}' } })),
      /2 names of classes, as the head has outputs, got 3/,
    ],
    [
      'two numbers of classes',
      () => withTensor('base_model.model.classifier.bias', () => ({ shape: [3], data: new Float32Array(3) })),
      /a head of one number of classes, got /,
    ],
    ['DoRA', () => withConfig({ use_dora: true }), /plain LoRA, without use_dora, got true/],
    ['PiSSA', () => withConfig({ init_lora_weights: 'pissa' }), /an init_lora_weights that leaves the base as it is, got "pissa"/],
    ['another method', () => withConfig({ peft_type: 'ADALORA' }), /peft_type "LORA", got "ADALORA"/],
    ['a pattern', () => withConfig({ alpha_pattern: { '(a+)+$': 1 } }), /names in alpha_pattern .*got "\(a\+\)\+\$"/],
    ['alpha as text', () => withConfig({ lora_alpha: '8' }), /numbers as alpha, got "8"/],
    ['no file', () => new Uint8Array(3), /a safetensors file, got 3 bytes/],
    ['truncated data', () => (bytes['spam'] ?? Buffer.alloc(0)).subarray(0, -4), /\d+ bytes of data, got \d+ \(the file is truncated\)/],
    [
      'a truncated header',
      () => (bytes['spam'] ?? Buffer.alloc(0)).subarray(0, 100),
      /a header of \d+ bytes, got 92 \(the file is truncated\)/,
    ],
    ['a lying length', () => withLength(1n << 60n), /a safetensors header of at most 4000000 bytes, got a length of 115292150460684\d+/],
    [
      'a lying shape',
      () => withHeader((text) => text.replace('"shape":[1,16]', '"shape":[1,1e15]')),
      /64000000000000000|4000000000000000 bytes for "base_model/,
    ],
    [
      'lying offsets',
      () => withHeader((text) => text.replace(/"data_offsets":\[0,\d+\]/, '"data_offsets":[0,1]')),
      /bytes for "base_model.*, got data_offsets \[0,1\]/,
    ],
    [
      'negative offsets',
      () => withHeader((text) => text.replace(/"data_offsets":\[0,/, '"data_offsets":[-4,')),
      /shape and data_offsets of .* as whole numbers/,
    ],
    ['whole numbers', () => withHeader((text) => text.replace('"F32"', '"I32"')), /F32, F16 or BF16 numbers in .*, got I32/],
    ['no JSON', () => withHeader(() => '{"a":'), /adapter: header: expected a JSON object, got "\{\\"a\\":"/],
    ['404', () => `${files.url}absent.safetensors`, /absent.safetensors: expected an adapter, got status 404/],
    ['a folder without a file', () => `${files.url}absent`, /absent: expected an adapter, got status 404/],
    [
      'a file too large',
      () => new URL('huge.safetensors', files.url),
      /huge.safetensors: expected at most \d+ bytes, as the base has inputs, got more/,
    ],
    ['a web page', () => `${files.url}page.safetensors`, /a safetensors header of at most 4000000 bytes/],
    ['no server', () => 'http://127.0.0.1:1/a.safetensors', /expected a whole answer, got none \(fetch failed\)/],
    ['a path', () => './a.safetensors', /expected a URL, or the bytes of a file \(await readFile\(path\)\)/],
    ['null for a classifier', () => null, /an adapter, as this base has no classifier's head, got null/],
  ])('is refused in one line, and the adapter before it stays: %s', async (_, source, line) => {
    const before = await answer()
    const error = await classify.use(source()).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(AdapterError)
    expect((error as Error).message).toMatch(line)
    expect((error as Error).message).not.toContain('\n')
    expect(await answer()).toBe(before)
  })

  it('leaves the pipeline as it was if it is the first, and a model without inputs is refused', async () => {
    const model = at('model')
    const plain = await pipeline('text-classification', await exportTo(at('merged'), model, at('spam'), {}), options)
    await expect(withAdapter(plain, bytes['spam'] ?? null)).rejects.toThrow('--adapter-inputs, got another')
    const base = await openBase()
    const session: unknown = base.model.sessions['model']
    await expect(withAdapter(base, bytes['wide'] ?? null)).rejects.toThrow('a rank of at most 8')
    expect(base.model.sessions['model']).toBe(session)
    await plain.dispose()
    await base.dispose()
  })
})

it.each([
  ['bert', null],
  ['roberta', 'expected names in alpha_pattern (salora export --format peft-file writes them), got ".*.0.intermediate.dense"'],
] as const)("PEFT's own folder of %s is read as it is, unless its alphas are by regular expressions", async (family, refusal) => {
  const [model, adapter] = [folderOf(family), join(folderOf(family), 'peft-adapter')]
  await cp(adapter, at(`${family}-peft`), { recursive: true })
  const base = await exportTo(at(`${family}-base`), model, adapter, { adapterInputs: { maxRank: 16 } })
  const adapted = await withAdapter(await pipeline('text-classification', base, options), await readFile(join(base, 'adapter.safetensors')))
  const merged = await pipeline('text-classification', await exportTo(at(`${family}-merged`), model, adapter, {}), options)
  const scores = async (by: typeof merged): Promise<readonly number[]> =>
    (await by('a wonderful film', { top_k: 9 })).map(({ score }) => score)
  const expected = await scores(merged)
  const expectSame = async (): Promise<void> => {
    for (const [i, score] of (await scores(adapted)).entries()) expect(Math.abs(score - (expected[i] ?? NaN))).toBeLessThan(1e-5)
  }
  await expectSame()
  const swapped = adapted.use(`${files.url}${family}-peft`)
  if (refusal === null) expect(await swapped).toBe(true)
  else await expect(swapped).rejects.toThrow(refusal)
  await expectSame()
  await merged.dispose()
  await adapted.dispose()
})

describe('a swap', () => {
  it('ends with the adapter of the last call, whichever file arrives first; a call that fails changes nothing', async () => {
    const waiting: (() => void)[] = []
    const slow = createServer((request, response: ServerResponse) => {
      waiting.push(() => response.end(bytes[(request.url ?? '').slice(1).replace('.safetensors', '')]))
    }).listen(0, '127.0.0.1')
    await new Promise((listening) => slow.once('listening', listening))
    const { port } = slow.address() as { readonly port: number }
    const url = (name: string): string => `http://127.0.0.1:${port}/${name}.safetensors`
    const settle = async (count: number): Promise<void> => expect.poll(() => waiting.length).toBe(count)

    const first = classify.use(url('topic'))
    await settle(1)
    const second = classify.use(url('mood'))
    await settle(2)
    waiting[1]?.()
    expect(await second).toBe(true)
    waiting[0]?.()
    expect(await first).toBe(false)
    expect(await answer()).toContain('glad')

    const third = classify.use(url('topic'))
    await settle(3)
    await expect(classify.use(bytes['wide'] ?? null)).rejects.toThrow('a rank of at most 8')
    expect(await third).toBe(false)
    expect(await answer()).toContain('glad')
    slow.closeAllConnections()
    slow.close()
  })

  it('waits for the calls that run, which answer with their adapter, and later calls wait for it', async () => {
    const base = await openBase()
    const session = base.model.sessions['model'] as { run: (feeds: object) => Promise<unknown> }
    const run = session.run.bind(session)
    const gates: (() => void)[] = []
    session.run = (feeds) => new Promise<void>((open) => gates.push(open)).then(() => run(feeds))
    const gated: Classifier & Swap = await withAdapter(base, bytes['spam'] ?? null)
    const tick = (): Promise<void> => new Promise((done) => setTimeout(done, 20))
    const open = (): void => gates.splice(0).forEach((each) => each())

    const asked = answer(gated)
    await tick()
    const swapped = gated.use(bytes['language'] ?? null)
    await tick()
    const later = answer(gated)
    await tick()
    expect(gates).toHaveLength(1)
    open()
    expect(await asked).toContain('"ham"')
    expect(await swapped).toBe(true)
    await tick()
    open()
    expect(await later).toContain('"de"')

    const last = answer(gated)
    await tick()
    const first = gated.use(bytes['mood'] ?? null)
    await tick()
    await expect(gated.use(bytes['wide'] ?? null)).rejects.toThrow('a rank of at most 8')
    open()
    expect(await last).toContain('"de"')
    expect(await first).toBe(false)
    const after = answer(gated)
    await tick()
    open()
    expect(await after).toContain('"de"')
    await gated.dispose()
  })

  it('takes less than 5 ms, and 500 of them take no memory', async () => {
    setFlagsFromString('--expose-gc')
    const collect = runInNewContext('gc') as () => void
    const names = Object.keys(fiveKinds)
    const times: number[] = []
    const swapOften = async (count: number): Promise<number> => {
      for (let i = 0; i < count; i++) {
        const start = performance.now()
        await classify.use(bytes[names[i % names.length] ?? ''] ?? null)
        times.push(performance.now() - start)
        await classify('a wonderful film.')
      }
      let least = Infinity
      for (let i = 0; i < 5; i++) {
        collect()
        await pause(20) // what a finalizer frees is free after a turn of the event loop, or later beside busy processors
        const { heapUsed, arrayBuffers, external } = process.memoryUsage()
        least = Math.min(least, heapUsed + arrayBuffers + external)
      }
      return least
    }
    const before = await swapOften(50)
    const after = await swapOften(500)
    expect(after - before).toBeLessThan(3_000_000) // 550 adapters of 50 KB, kept, are 27 MB
    expect([...times].sort((a, b) => a - b)[times.length >> 1]).toBeLessThan(5)
  })

  it('feeds copies where a run takes its feeds away, as with env.wasm.proxy', async () => {
    const base = await openBase()
    const session = base.model.sessions['model'] as {
      run: (feeds: Readonly<Record<string, { readonly data: Float32Array }>>) => Promise<unknown>
    }
    const run = session.run.bind(session)
    session.run = async (feeds) => {
      const outputs = await run(feeds)
      for (const { data } of Object.values(feeds)) structuredClone(data, { transfer: [data.buffer as ArrayBuffer] })
      return outputs
    }
    const moved = await withAdapter(base as Classifier & Pipeline, bytes['topic'] ?? null)
    await classify.use(bytes['topic'] ?? null)
    for (let i = 0; i < 3; i++) expect(await answer(moved as typeof classify)).toBe(await answer())
    await moved.dispose()
  })
})
