/** Nodes that a device leaves to the CPU are counted from ONNX Runtime's own profile, and reported once. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cpu, type Device } from '../../accelerated/engines/devices/device.js'
import { devices } from '../../accelerated/engines/devices/index.js'
import { noWeights } from '../../accelerated/engines/engine.js'
import { floatFeed, int32Feed } from '../../accelerated/engines/feeds.js'
import { nodeEngine, profiledSession } from '../../accelerated/engines/onnxRuntimeNode.js'
import { parsePlacement, type Placement } from '../../accelerated/engines/placement.js'
import { add, erf, exp, gather, input } from '../../accelerated/graph/operators.js'
import { placementNote, type Terminal } from '../../cli/terminal/output.js'
import { openProgress } from '../../cli/terminal/progress.js'
import { watchedDevice } from '../../finetuning/use/openModel.js'
import { devicePlacement, placementLine } from '../../finetuning/run/devicePlacement.js'
import { finetuneJob } from '../../finetuning/nodeMachine.js'
import type { FinetuneEvent, FinetuneOptions } from '../../finetuning/run/run.js'
import type { Reply, Request } from '../../finetuning/use/serving/protocol.js'
import { serveThread } from '../../finetuning/use/serving/serveThread.js'
import { finetune, memoryStorage, predictor, type Storage } from '../../web/index.js'
import { writeTinyModel } from '../cli/tinyModel.js'

/** A device that ONNX Runtime replaces by the CPU for every node. */
const replaced: Device = {
  ...cpu,
  name: 'card',
  engine: (settings) =>
    nodeEngine({ provider: { name: 'cpu' }, target: cpu.target, preallocatedOutputs: true, fallsBack: true }, { ...settings, threads: 1 }),
}

/** What sessions left in the folder for temporary files, which is this file's own: others run at the same time. */
const temporary = async (): Promise<readonly string[]> =>
  (await readdir(join(root, 'temporary'))).filter((name) => name.startsWith('salora-placement-'))

let root = ''
const shared = process.env['TMPDIR']
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'salora-placed-'))
  await mkdir(join(root, 'temporary'))
  process.env['TMPDIR'] = join(root, 'temporary')
  await writeTinyModel(join(root, 'tiny'))
})
afterAll(async () => {
  if (shared === undefined) delete process.env['TMPDIR']
  else process.env['TMPDIR'] = shared
  await rm(root, { recursive: true })
})

const filled = async (): Promise<Storage> => {
  const storage = memoryStorage()
  await storage.makeFolder('tiny')
  for (const name of ['config.json', 'tokenizer.json', 'tokenizer_config.json', 'model.safetensors'])
    await storage.write(`tiny/${name}`, await readFile(join(root, 'tiny', name)))
  await storage.write(
    'films.csv',
    `text,label\n${Array.from({ length: 16 }, (_, i) => `a ${i % 2 === 0 ? 'good' : 'bad'} film ${'very '.repeat(i)},${i % 2 === 0 ? 'yes' : 'no'}`).join('\n')}`,
  )
  return storage
}

const settings = { method: 'lora', maxSteps: 4, evalSteps: 2, batchSize: 4, maxLength: 16, threads: 1 } as const

const readStored = async (storage: Storage, path: string): Promise<Uint8Array> => {
  const { read, size } = await storage.open(path)
  return read(0, size)
}

const events = async (changed: FinetuneOptions['settings'], storage?: Storage): Promise<readonly FinetuneEvent[]> => {
  const collected: FinetuneEvent[] = []
  const options: FinetuneOptions = { model: 'tiny', task: { task: 'films.csv' }, output: 'run', settings: { ...settings, ...changed } }
  for await (const event of finetune(options, { storage: storage ?? (await filled()), device: replaced })) collected.push(event)
  return collected
}

describe('counting float nodes on the CPU', () => {
  const node = (name: string, operator: string, provider: string, types: readonly [string, string]) => ({
    cat: 'Node',
    name,
    args: { op_name: operator, provider, input_type_shape: [{ [types[0]]: [2] }], output_type_shape: [{ [types[1]]: [2] }] },
  })
  const [onCpu, onGpu] = ['CPUExecutionProvider', 'WebGpuExecutionProvider']

  it('counts each node with a float operand or result once, whatever the other events say', () => {
    const profile = [
      { cat: 'Session', name: 'model_run', args: {} },
      node('a', 'Add', onGpu, ['float', 'float']),
      node('a', 'Add', onGpu, ['float', 'float']),
      node('b', 'Erf', onCpu, ['float16', 'float16']),
      node('b', 'Erf', onCpu, ['float16', 'float16']),
      node('c', 'Erf', onCpu, ['double', 'double']),
      node('d', 'Cast', onCpu, ['int64', 'float']),
      node('e', 'Shape', onCpu, ['float', 'int64']),
      node('f', 'Mul', onCpu, ['int64', 'int64']),
      { cat: 'Node', name: 'g_fence_before', args: { op_name: 'Add' } },
    ]
    expect(parsePlacement(JSON.stringify(profile))).toEqual({ floatNodes: 5, onCpu: { Erf: 2, Cast: 1, Shape: 1 } })
  })

  it('reads the profile of the first run of a session, and leaves no file', async () => {
    const before = await temporary()
    const placements: Array<Placement | null> = []
    const x = input('x', [4], 'float32')
    const picked = gather(add(exp(x), erf(x)), input('at', [2], 'int32'))
    const session = await replaced
      .engine({ threads: 1, onPlacement: (placement) => placements.push(placement) })
      .open({ y: picked }, noWeights)
    const feeds = { x: floatFeed([0, 1, 2, 3], [4], 'float32'), at: int32Feed(Int32Array.of(0, 0)) }
    expect(Array.from((await session.run(feeds))['y'] as Float32Array)).toEqual([1, 1])
    await session.run(feeds)
    expect(await temporary()).toEqual(before)
    await session.release()
    expect(placements).toEqual([{ floatNodes: 4, onCpu: { Exp: 1, Erf: 1, Add: 1, Gather: 1 } }])
    expect(await temporary()).toEqual(before)
  })

  it('reads it of whichever session of a graph runs first, once', async () => {
    const placements: Array<Placement | null> = []
    const plain = { inputs: [], run: async () => ({}), release: async () => undefined }
    const session = { ...plain, another: () => plain }
    const profiled = await profiledSession(
      async () => ({ session, endProfile: async () => undefined }),
      (placement) => placements.push(placement),
    )
    const other = profiled.another?.()
    await other?.run({})
    expect(placements.length).toBe(1)
    await profiled.run({})
    await profiled.another?.().run({})
    expect(placements).toEqual([null]) // there is no file
    await profiled.release()
  })

  it('does not profile where nobody asks, and says that it does not know where there is no profile', async () => {
    const before = await temporary()
    const session = await replaced.engine({ threads: 1 }).open({ y: exp(input('x', [1], 'float32')) }, noWeights)
    expect(await temporary()).toEqual(before)
    const placements: Array<Placement | null> = []
    const silent = await profiledSession(
      async () => ({ session, endProfile: async () => undefined }),
      (placement) => placements.push(placement),
    )
    await silent.run({ x: floatFeed([0], [1], 'float32') })
    await silent.release()
    expect(placements).toEqual([null])
    expect(await temporary()).toEqual(before)
    const refused = profiledSession(
      async () => Promise.reject(new Error('no such device')),
      () => undefined,
    )
    await expect(refused).rejects.toThrow('no such device')
    expect(await temporary()).toEqual(before)
  })
})

describe('a run on a device that leaves nodes to the CPU', () => {
  it('reports them once for each graph that has others, after its first run', async () => {
    const all = await events({})
    const placements = all.flatMap((event) => (event.kind === 'placement' ? [event] : []))
    expect(placements.length).toBe(2) // the step's graph, and that of the evaluation
    expect(placements[0]?.device).toBe('card')
    const count = Object.values(placements[0]?.onCpu ?? {}).reduce((sum, one) => sum + one, 0)
    expect(count).toBe(placements[0]?.floatNodes)
    expect(count).toBeGreaterThan(50)
    expect(all.findIndex(({ kind }) => kind === 'placement')).toBeLessThan(all.findIndex(({ kind }) => kind === 'step'))
  })

  it('reports a device without these nodes once, and one without a profile', () => {
    const { onPlacement, news } = devicePlacement('card')
    onPlacement({ floatNodes: 7, onCpu: {} })
    onPlacement({ floatNodes: 9, onCpu: {} })
    const [event, ...more] = news()
    expect([event, more, news()]).toEqual([{ kind: 'placement', device: 'card', floatNodes: 7, onCpu: {} }, [], []])
    const lax = devicePlacement('card')
    lax.onPlacement(null)
    lax.onPlacement(null)
    expect(lax.news()).toEqual([{ kind: 'placement', device: 'card', floatNodes: null, onCpu: {} }])
  })

  it('warns on the terminal, and only notes a device that has all nodes', () => {
    const lines: string[] = []
    const terminal = {
      quiet: true,
      note: (line: string) => lines.push(`note ${line}`),
      warn: (line: string) => lines.push(`warning ${line}`),
    }
    const { show, close } = openProgress(terminal as unknown as Terminal)
    const event = { kind: 'placement', device: 'card', floatNodes: 7 } as const
    show({ ...event, onCpu: { Erf: 1, Add: 2 } })
    show({ ...event, onCpu: {} })
    show({ ...event, floatNodes: null, onCpu: {} })
    close()
    expect(lines).toEqual([
      'warning card: 3 of 7 float nodes run on the CPU: Add 2, Erf 1',
      'note card: all 7 float nodes of the graph run there',
      'warning card: ONNX Runtime did not report where its nodes ran',
    ])
    expect(placementLine({ ...event, onCpu: {} })).toBe(lines[1]?.slice(5))
  })
})

describe('answers of a device that leaves nodes to the CPU', () => {
  const texts = [{ text: 'a good film' }, { text: 'a bad film' }]
  const line = /^card: (\d+) of \1 float nodes run on the CPU: .*Softmax \d/

  it('report them at the first prediction, as a warning, and the CPU reports nothing', async () => {
    const storage = await filled()
    await events({ maxSteps: 1 }, storage)
    const said: string[] = []
    const terminal = { note: (text: string) => said.push(text), warn: (text: string) => said.push(`warning ${text}`) }
    const report = placementNote(terminal as unknown as Terminal)
    for (const device of [replaced, cpu]) {
      const { predictions, release } = await predictor('run', { storage, device: watchedDevice(device, report) })
      expect(said.length).toBe(device === replaced ? 0 : 1)
      await predictions(texts)
      await predictions(texts)
      await release()
    }
    expect(said.length).toBe(1)
    expect(said[0]).toMatch(new RegExp(line.source.replace('^', '^warning ')))
  })

  it('report them to the program that serves a run', async () => {
    const folder = join(root, 'run')
    const films = join(root, 'films.csv')
    await writeFile(films, await readStored(await filled(), 'films.csv'))
    const options = {
      model: join(root, 'tiny'),
      task: { task: films },
      output: folder,
      settings: { ...settings, maxSteps: 1, device: 'cpu' },
    }
    for await (const _ of finetuneJob(options as FinetuneOptions, new AbortController().signal));
    const replies: Reply[] = []
    let ask = (_: Request): void => undefined
    const send = (reply: Reply): void => {
      replies.push(reply)
      if (reply.kind !== 'opened') return
      for (const id of [0, 1]) ask({ kind: 'predict', id, run: 0, texts })
      ask({ kind: 'release' })
    }
    const receive = (listener: typeof ask): void => {
      ask = listener
    }
    const known = devices as Device[]
    const at = known.findIndex(({ name }) => name === 'webgpu')
    const own = known.splice(at, 1, { ...replaced, name: 'webgpu' })
    try {
      await serveThread({ send, receive }, { runs: [folder], machine: { device: 'webgpu' } })
    } finally {
      known.splice(at, 1, ...own)
    }
    expect(replies.map(({ kind }) => kind)).toEqual(['opened', 'placement', 'predicted', 'predicted', 'released'])
    expect(replies[1]).toEqual({
      kind: 'placement',
      line: expect.stringMatching(new RegExp(line.source.replace('card', 'webgpu'))),
      warns: true,
    })
  })
})
