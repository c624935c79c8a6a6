/** Decoding with a cache gives the logits of the whole text read anew: against the reference, which has no cache, on the growing texts. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { topologicalOrder, type FloatType } from '../../../accelerated/graph/expression.js'
import { decodingGraph } from '../../../accelerated/generation/graph.js'
import { openDecoder, type Continuation, type Decoder } from '../../../accelerated/generation/decoder.js'
import { decoderModel } from '../../../accelerated/models/llama/llama.js'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import { noWeights, type Engine } from '../../../accelerated/engines/engine.js'
import { withSharedSessions } from '../../../accelerated/engines/sharedSessions.js'
import type { DecoderOptions } from '../../../evaluation/agreement/drawModel.js'
import { drawDecoder } from '../../../evaluation/agreement/drawModel.js'
import { buildAssembly, decoderSizes, buildInitialState, openRuntime } from '../../../evaluation/agreement/acceleratedSide.js'
import { constants } from '../../../evaluation/agreement/convert.js'
import { viewTensor } from '../../../accelerated/parameters/vectors.js'
import { findMethod, resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { buildLayout } from '../../../accelerated/training/assembly.js'
import { buildModel, adapterScale, tensor } from '../../../reference/index.js'
import { decoderOptions, someDecoder } from '../../agreement/modelOptions.js'
import { assertClose } from '../../support/assertClose.js'
import { cpuEngine } from '../../support/cpuEngine.js'
import { keepingEngine, type Traffic } from '../../support/keepingEngine.js'
import { plainAssembly } from '../../support/plainDecoder.js'
import { SEED } from '../../support/seed.js'

type Tokens = readonly number[]

/** What the reference says of what follows each text, with the adapters beside the matrices. */
const referenceOf = (model: ReturnType<typeof drawDecoder>) => {
  const run = buildModel(model.config, { scale: adapterScale(model.settings) })
  return (texts: readonly Tokens[]): readonly number[] =>
    texts.flatMap((text) => {
      const { logits } = run({ base: model.base, adapters: model.parameters.adapters, gates: {}, head: {} }, { inputIds: [text] })
      return [...logits.data].slice(-model.config.vocabularySize)
    })
}

const target = { device: 'cpu', precision: 'float64' } as const

/** The adapter as tensors of its own, fed at each step. */
const unmerged = (
  model: ReturnType<typeof drawDecoder>,
  dtype: FloatType,
  chunk?: number,
  runtime = openRuntime(target),
): Promise<Decoder> => {
  const { phase, parameters } = buildInitialState(model, 'open', dtype)
  return openDecoder(buildAssembly(model, dtype), phase, parameters, runtime, chunk)
}

/** The same with a cache that stays on the device. */
const keeping = (model: ReturnType<typeof drawDecoder>, traffic: Traffic[] = [], chunk?: number): Promise<Decoder> => {
  const runtime = openRuntime(target)
  return unmerged(model, 'float64', chunk, { ...runtime, engine: keepingEngine(runtime.engine, traffic) })
}

/** The adapter inside the matrices. */
const merged = (model: ReturnType<typeof drawDecoder>): Promise<Decoder> => {
  const { phase, parameters } = buildInitialState(model, 'open', 'float64')
  const assembly = buildAssembly(model, 'float64')
  const layout = buildLayout(assembly, phase)
  const base = Object.fromEntries(
    Object.entries(model.base).map(([name, { shape, data }]) => {
      const inside = assembly.method.export.merge?.(
        phase,
        assembly.settings,
        name,
        () => data,
        (trained) => viewTensor(layout, parameters, trained),
      )
      return [name, inside == null ? { shape, data } : tensor(shape, Array.from(inside))]
    }),
  )
  expect(Object.keys(base).some((name) => base[name]?.data !== model.base[name]?.data)).toBe(true)
  return openDecoder(plainAssembly(assembly.model, constants(base, 'float64'), 'float64'), {}, new Float64Array(0), openRuntime(target))
}

/** Prompts, then steps that drop, repeat and reorder rows; after each the logits are the reference's of the texts so far. */
const follows = async (model: ReturnType<typeof drawDecoder>, decoder: Decoder, steps: readonly number[], bound: number): Promise<void> => {
  const reference = referenceOf(model)
  const agree = (rows: readonly ArrayLike<number>[], texts: readonly Tokens[]): void =>
    assertClose(
      rows.flatMap((row) => Array.from(row)),
      reference(texts),
      { relative: bound, name: `logits after ${texts.map(({ length }) => length)} tokens` },
    )
  let texts: readonly Tokens[] = model.batch.inputIds
  try {
    const rows = await decoder.begin(texts)
    agree(rows.logits(), texts)
    for (const step of steps) {
      const count = 1 + (step % 4)
      const next: readonly Continuation[] = Array.from({ length: count }, (_, i) => ({
        from: (step * 7 + i * 3) % texts.length,
        token: (step + i * 5) % model.config.vocabularySize,
      }))
      await rows.append(next)
      texts = next.map(({ from, token }) => [...(texts[from] ?? []), token])
      agree(rows.logits(), texts)
    }
  } finally {
    await decoder.release()
  }
}

const steps = fc.array(fc.nat(1_000), { minLength: 1, maxLength: 4 })

const edges: readonly (readonly [string, Partial<DecoderOptions>])[] = [
  ['one prompt of one token', { lengths: [1] }],
  ['one head of keys for four of queries', { keyValueHeads: 1 }],
  ['as many heads of keys as of queries', { keyValueHeads: 4 }],
  ['a window of one token', { window: 1, lengths: [5, 2] }],
  ['a window shorter than prompts and padding', { window: 3, lengths: [9, 1, 4] }],
]

/** The model without adapters, and without what one layer's attention adds. */
const withSilentAttention = (model: ReturnType<typeof drawDecoder>, layer: number): ReturnType<typeof drawDecoder> => {
  const name = `layers.${layer}.self_attn.o_proj.weight`
  const { shape } = model.base[name] ?? expect.fail(`no ${name}`)
  const silent = tensor(
    shape,
    Array.from({ length: shape.reduce((a, b) => a * b, 1) }, () => 0),
  )
  return { ...model, base: { ...model.base, [name]: silent }, parameters: { ...model.parameters, adapters: {} } }
}

describe('a decoder whose layers have different windows', () => {
  const [first, second] = [0, 1] as const

  it.each([
    [[2, null], second, 2],
    [[2, null], first, null],
    [[null, 2], first, 2],
    [[null, 2], second, null],
    [[3, 1], second, 3],
    [[3, 1], first, 1],
  ] as const)('%j, without the attention of layer %d, is a decoder with the window %s', async (windows, silent, window) => {
    const model = withSilentAttention(drawDecoder(someDecoder({ window, lengths: [5, 7, 1] })), silent)
    const config = { ...decoderSizes(model.config), windows }
    const frozen = constants(model.base, 'float64')
    const opened = await openDecoder(plainAssembly(decoderModel(config), frozen, 'float64'), {}, new Float64Array(0), openRuntime(target))
    await follows(model, opened, [1, 6], 1e-9)
  })
})

/** A decoder in float32, the operators of its graph, and the session's runs. */
const watched = async (model: ReturnType<typeof drawDecoder>, engine: Engine = openRuntime(target).engine, chunk?: number) => {
  const { phase, parameters } = buildInitialState(model, 'open', 'float32')
  const ops: string[] = []
  const watching: Engine = {
    ...engine,
    open: (outputs, ...rest) => {
      ops.push(...topologicalOrder(Object.values(outputs)).map(({ op }) => op))
      return engine.open(outputs, ...rest)
    },
  }
  return {
    decoder: await openDecoder(buildAssembly(model, 'float32'), phase, parameters, { engine: watching, weights: noWeights }, chunk),
    ops,
  }
}

describe('a row whose first tokens are kept', () => {
  const model = drawDecoder(someDecoder({ headSize: 8, window: 4, lengths: [9, 4] }))
  const reference = referenceOf(model)
  const [prompt = [], short = []] = model.batch.inputIds
  const agrees = (rows: readonly ArrayLike<number>[], text: Tokens, bound: number): void =>
    assertClose(Array.from(rows[0] ?? []), reference([text]), { relative: bound, name: `logits after ${text.length} tokens` })

  it.each([
    ['a cache that grows', () => unmerged(model, 'float64', 2), 1e-9],
    ['a cache on the device', () => keeping(model, [], 2), 1e-9],
    ['a cache with room', async () => (await watched(model, undefined, 2)).decoder, 1e-5],
  ] as const)('has the logits of the text that it becomes, in %s', async (_, open, bound) => {
    const decoder = await open()
    const rows = await decoder.begin([prompt])
    await rows.append([{ from: 0, token: 5 }])
    for (const [kept, tokens] of [
      [7, [1, 2, 3, 4, 6]],
      [12, [3]],
      [1, [2, 2]],
    ] as const) {
      const before: Tokens = kept === 12 ? [...prompt.slice(0, 7), 1, 2, 3, 4, 6] : prompt
      const text = [...before.slice(0, kept), ...tokens]
      await rows.reread(kept, tokens)
      agrees(rows.logits(), text, bound)
      await rows.append([{ from: 0, token: 7 }])
      agrees(rows.logits(), [...text, 7], bound)
      if (kept === 7) await rows.reread(7, [1, 2, 3, 4, 6])
    }
    await decoder.release()
  })

  it('is a single one, and may have padding before it', async () => {
    const decoder = await unmerged(model, 'float64')
    const rows = await decoder.begin([prompt, short])
    await expect(rows.reread(2, [1])).rejects.toThrow('reread: expected a single row, got 2')
    await rows.append([{ from: 1, token: 5 }])
    await rows.reread(3, [6, 1])
    agrees(rows.logits(), [...short.slice(0, 3), 6, 1], 1e-9)
    await decoder.release()
  })
})

describe(`decoding with a cache on the device (seed ${SEED})`, () => {
  it('has the logits of whole texts without cache', () =>
    fc.assert(
      fc.asyncProperty(decoderOptions, steps, async (options, lengths) => {
        const model = drawDecoder(options)
        await follows(model, await keeping(model), lengths, 1e-9)
      }),
      { seed: SEED, numRuns: 4 },
    ))

  it('moves the cache only for another text, whose cache it then has', async () => {
    const model = drawDecoder(someDecoder({ lengths: [9, 4] }))
    const [prompt = [], other = []] = model.batch.inputIds
    const traffic: Traffic[] = []
    const decoder = await keeping(model, traffic)
    const [one, two] = [await decoder.begin([prompt]), await decoder.begin([other])]
    await Promise.all([one.append([{ from: 0, token: 1 }]), two.append([{ from: 0, token: 2 }])])
    for (const token of [3, 4]) await two.append([{ from: 0, token }])
    const reference = referenceOf(model)
    const agrees = ([row]: readonly ArrayLike<number>[], text: Tokens): void =>
      assertClose(Array.from(row ?? []), reference([text]), { relative: 1e-9, name: `logits after ${text.length} tokens` })
    agrees(one.logits(), [...prompt, 1])
    agrees(two.logits(), [...other, 2, 3, 4])
    const [, , , again, ...alone] = traffic.map(({ up }) => up)
    for (const up of alone) expect(up).toBeLessThan((again ?? 0) / 3)
    for (const { down } of traffic) expect(down).toBe(8 * model.config.vocabularySize)
    await decoder.release()
  })

  it('keeps one for each opening of a session that several share', async () => {
    const traffic: Traffic[] = []
    const shared = withSharedSessions({ ...cpu, engine: () => keepingEngine(openRuntime(target).engine, traffic) })
    const runtime = { engine: shared.engine({ threads: 1 }), weights: async () => 'unread' }
    const model = drawDecoder(someDecoder({ lengths: [9, 4] }))
    const [prompt = [], other = []] = model.batch.inputIds
    const [one, two] = [await unmerged(model, 'float64', undefined, runtime), await unmerged(model, 'float64', undefined, runtime)]
    const [first, second] = [await one.begin([prompt]), await two.begin([other])]
    for (const token of [1, 2]) {
      await first.append([{ from: 0, token }])
      await second.append([{ from: 0, token: 2 * token }])
    }
    await one.release()
    await second.append([{ from: 0, token: 6 }])
    const reference = referenceOf(model)
    for (const [[row], text] of [
      [first.logits(), [...prompt, 1, 2]],
      [second.logits(), [...other, 2, 4, 6]],
    ] as const)
      assertClose(Array.from(row ?? []), reference([text]), { relative: 1e-9, name: `logits after ${text.length} tokens` })
    const [began = 0, , ...tokens] = traffic.map(({ up }) => up)
    expect(tokens.length).toBe(5)
    for (const up of tokens) expect(up).toBeLessThan(began / 3) // parameters and prompts have crossed once
    await two.release()
  })
})

/** How a cache is opened, and how near its logits are. */
type Cache = readonly [
  name: string,
  change: Partial<DecoderOptions>,
  bound: number,
  open: (model: ReturnType<typeof drawDecoder>, engine?: Engine, chunk?: number) => Promise<Decoder>,
]
const caches: readonly Cache[] = [
  ['that grows', {}, 1e-9, (model, engine, chunk) => unmerged(model, 'float64', chunk, engine && { engine, weights: noWeights })],
  ['that has room', { headSize: 8 }, 1e-5, async (model, engine, chunk) => (await watched(model, engine, chunk)).decoder],
]

describe.each(caches)('decoding with a cache %s has the logits of whole texts', (_, change, bound, open) => {
  it.each(edges)('for %s', async (__, edge) => {
    const model = drawDecoder(someDecoder({ ...change, ...edge }))
    await follows(model, await open(model), [3, 1, 6, 2], bound)
  })

  it('with an engine that allocates its results', async () => {
    const model = drawDecoder(someDecoder({ ...change, window: 3, lengths: [6, 2, 3] }))
    await follows(model, await open(model, cpuEngine({ preallocatedOutputs: false }), 4), [3, 1, 6, 2, 5, 7], bound)
  })

  it.each([1, 2, 3, 5])('for prompts in chunks of %i tokens', async (chunk) => {
    const model = drawDecoder(someDecoder({ ...change, window: 4, lengths: [11, 2, 7] }))
    await follows(model, await open(model, undefined, chunk), [3, 1], bound)
  })
})

describe(`decoding with a cache that has room (seed ${SEED})`, () => {
  const wide = { headSize: 8 } as const

  it('has the logits of whole texts without cache, with an adapter', () =>
    fc.assert(
      fc.asyncProperty(decoderOptions, fc.constantFrom(8, 16), steps, async (options, headSize, lengths) => {
        const model = drawDecoder({ ...options, headSize })
        const { decoder, ops } = await watched(model)
        expect(ops.filter((op) => op === 'CachedAttention').length).toBe(options.layers)
        await follows(model, decoder, lengths, 3e-5)
      }),
      { seed: SEED, numRuns: 12 },
    ))

  it('grows whenever it is full', async () => {
    const model = drawDecoder(someDecoder({ ...wide, lengths: [1, 3] }))
    await follows(
      model,
      (await watched(model)).decoder,
      Array.from({ length: 20 }, (_, i) => 4 * i + 1),
      1e-5,
    )
  })

  it('has the logits of whole texts with an engine that shares sessions, and feeds it the adapter', async () => {
    const model = drawDecoder(someDecoder(wide))
    const { decoder } = await watched(model, { ...openRuntime(target).engine, sharesSessions: true })
    await follows(model, decoder, [3, 1], 1e-5)
  })

  it('is not used where heads have another size, in float64, under a prefix, and by an engine without that node', async () => {
    const kindOf = async (change: Partial<DecoderOptions>, engine?: Engine) => {
      const { decoder, ops } = await watched(drawDecoder(someDecoder(change)), engine)
      await decoder.release()
      return ops.includes('CachedAttention')
    }
    expect(await kindOf(wide)).toBe(true)
    expect(await kindOf({ headSize: 12 })).toBe(false)
    expect(await kindOf(wide, cpuEngine({ target: { ...cpu.target, cachedAttention: false } }))).toBe(false)
    const model = drawDecoder(someDecoder(wide))
    await follows(model, await unmerged(model, 'float64'), [1], 1e-9)
    const prefixed = {
      ...buildAssembly(model, 'float32'),
      method: findMethod('prefix'),
      settings: resolveSettings({ method: 'prefix', numVirtualTokens: 2 }),
    }
    const phase = prefixed.method.phases.start(prefixed.model.spec, prefixed.settings)
    expect(() => decodingGraph(prefixed, phase, 'roomy')).toThrow('roomyCache: expected a host that adds no keys, got some in layers.0')
    const decoder = await openDecoder(prefixed, phase, new Float32Array(buildLayout(prefixed, phase).size), openRuntime(target))
    const rows = await decoder.begin([[1, 2], [3]])
    expect(rows.logits().every((row) => row.every(Number.isFinite))).toBe(true)
    await decoder.release()
  })
})

describe(`decoding with a cache (seed ${SEED})`, () => {
  it('has the logits of whole texts without cache, with an adapter, in float64 to 1e-9', () =>
    fc.assert(
      fc.asyncProperty(decoderOptions, steps, async (options, lengths) => {
        const model = drawDecoder(options)
        await follows(model, await unmerged(model, 'float64'), lengths, 1e-9)
      }),
      { seed: SEED, numRuns: 12 },
    ))

  it('has the logits of whole texts in float32 to 1e-5', async () => {
    const model = drawDecoder(someDecoder({ window: 3, lengths: [6, 2, 3] }))
    await follows(model, await unmerged(model, 'float32'), [3, 1, 6, 2, 5, 7], 1e-5)
  })

  it('has the logits of whole texts with a merged adapter', async () => {
    const model = drawDecoder(someDecoder())
    await follows(model, await merged(model), [3, 1, 6], 1e-9)
  })

  it.each([4, 5])('has the logits of whole texts for a long prompt behind a short one, in chunks of %i tokens', async (chunk) => {
    const model = drawDecoder(someDecoder({ lengths: [2, 11, 7] })) // the padding of the first row is longer than a chunk
    await follows(model, await unmerged(model, 'float64', chunk), [3, 1], 1e-9)
  })

  it('stops reading a long prompt after the chunk in which the signal is aborted, in both kinds of cache', async () => {
    for (const headSize of [8, 4]) {
      const model = drawDecoder(someDecoder({ headSize, window: null, lengths: [9, 8] }))
      const { engine } = openRuntime(target)
      let [runs, stop] = [0, new AbortController()]
      const counting: Engine = {
        ...engine,
        open: async (...given) => {
          const session = await engine.open(...given)
          const run: typeof session.run = (...feeds) => {
            runs++
            if (runs === 2) stop.abort()
            return session.run(...feeds)
          }
          return { ...session, run }
        },
      }
      const { decoder } = await watched(model, counting, 2)
      await decoder.begin(model.batch.inputIds, stop.signal)
      expect(runs).toBe(2)
      stop = new AbortController()
      await decoder.begin(model.batch.inputIds, stop.signal)
      expect(runs).toBeGreaterThan(6)
      await decoder.release()
    }
  })

  it('refuses a prompt without tokens', async () => {
    const decoder = await unmerged(drawDecoder(someDecoder()), 'float64')
    await expect(decoder.begin([[1], []])).rejects.toThrow(/expected prompts of at least one token, got lengths \[1,0\]/)
    await expect(decoder.begin([])).rejects.toThrow(/expected prompts/)
    await decoder.release()
  })
})
