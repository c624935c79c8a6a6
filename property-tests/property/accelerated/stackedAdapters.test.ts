/** Rows of one batch with different adapters: each row has the logits that the reference gives its text with its adapter alone. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noWeights, type Engine } from '../../../accelerated/engines/engine.js'
import { openSharedDecoder, withAdapter, type DecodedRows, type Decoder } from '../../../accelerated/generation/decoder.js'
import { textBatch, type GenerationSettings } from '../../../accelerated/generation/generate.js'
import { resolveGeneration } from '../../../accelerated/generation/generationSettings.js'
import { toRowAdapter, type RowAdapter } from '../../../accelerated/generation/stackedAdapters.js'
import { buildAssembly, openRuntime } from '../../../evaluation/agreement/acceleratedSide.js'
import { drawDecoder, type DecoderOptions } from '../../../evaluation/agreement/drawModel.js'
import { adapterScale, buildModel } from '../../../reference/index.js'
import { someDecoder } from '../../agreement/modelOptions.js'
import { assertClose } from '../../support/assertClose.js'
import { keepingEngine } from '../../support/keepingEngine.js'
import { SEED } from '../../support/seed.js'

type Text = { readonly adapter: number; readonly tokens: readonly number[] }
type Dtype = 'float32' | 'float64'
const change: Readonly<Record<Dtype, Partial<DecoderOptions>>> = { float64: {}, float32: { headSize: 8 } }

/** A shared decoder, adapters of these ranks, and the reference's logits of a text. Reads three tokens at a time. */
const opened = async (dtype: Dtype, ranks: readonly number[], engine?: (plain: Engine) => Engine) => {
  const options = someDecoder({ ...change[dtype], window: 4 })
  const model = drawDecoder(options)
  const own = ranks.map((rank, i) => drawDecoder({ ...options, rank, seed: options.seed + i + 1 }).parameters.adapters)
  const assembly = buildAssembly(model, dtype)
  const scale = adapterScale(model.settings)
  const rows = own.map((adapters): RowAdapter => {
    const tensors = Object.entries(adapters).flatMap(([name, { A, B }]) => [
      [`${name}.A`, { data: Array.from(A.data) }] as const,
      [`${name}.B`, { data: Array.from(B.data, (x) => x * scale) }] as const,
    ])
    return toRowAdapter({ model: assembly.model, tensors: new Map(tensors) }, dtype)
  })
  const plain = openRuntime({ device: 'cpu', precision: dtype }).engine
  const decoder = await openSharedDecoder(assembly, {}, { engine: engine?.(plain) ?? plain, weights: noWeights }, 3)
  const run = buildModel(model.config, { scale })
  const reference = ({ adapter, tokens }: Text): readonly number[] => {
    const { logits } = run({ base: model.base, adapters: own[adapter] ?? {}, gates: {}, head: {} }, { inputIds: [tokens] })
    return [...logits.data].slice(-model.config.vocabularySize)
  }
  return { decoder, rows, reference, size: model.config.vocabularySize }
}

const texts = fc.array(fc.record({ adapter: fc.nat(3), tokens: fc.array(fc.nat(10), { minLength: 1, maxLength: 7 }) }), {
  minLength: 1,
  maxLength: 5,
})

describe.each([
  ['a cache that grows', 'float64', undefined, 1e-9],
  ['a cache that stays on the device', 'float64', (engine: Engine) => keepingEngine(engine, []), 1e-9],
  ['a cache with room', 'float32', undefined, 3e-5],
] as const)('rows of adapters of ranks 1, 2, 3 and 4, with %s (seed %#)', (_, dtype, engine, bound) => {
  it('have the logits of their own, as rows leave, repeat, move and join', async () => {
    const { decoder, rows, reference, size } = await opened(dtype, [1, 2, 3, 4], engine)
    const begin = (all: readonly Text[]): Promise<DecodedRows> =>
      decoder.begin(
        all.map(({ tokens }) => tokens),
        undefined,
        all.map(({ adapter }) => rows[adapter]),
      )
    const agree = (all: readonly Text[], { logits }: DecodedRows): void =>
      assertClose(
        logits().flatMap((row) => Array.from(row)),
        all.flatMap(reference),
        { relative: bound, name: `logits of ${JSON.stringify(all)}` },
      )
    try {
      await fc.assert(
        fc.asyncProperty(texts, texts, fc.array(fc.nat(1_000), { minLength: 1, maxLength: 3 }), async (first, later, steps) => {
          let all: readonly Text[] = first
          const decoded = await begin(all)
          agree(all, decoded)
          const append = async (step: number): Promise<void> => {
            const next = Array.from({ length: 1 + (step % 4) }, (_, i) => ({
              from: (step * 7 + i * 3) % all.length,
              token: (step + i * 5) % size,
            }))
            await decoded.append(next)
            all = next.flatMap(({ from, token }) => {
              const text = all[from]
              return text === undefined ? [] : [{ ...text, tokens: [...text.tokens, token] }]
            })
            agree(all, decoded)
          }
          for (const step of steps) await append(step)
          await decoded.join(await begin(later))
          all = [...all, ...later]
          for (const step of steps) await append(step)
        }),
        { seed: SEED, numRuns: 15 },
      )
    } finally {
      await decoder.release()
    }
  })
})

describe('a shared decoder', () => {
  const settings: GenerationSettings = { ...resolveGeneration({ maxNewTokens: 6 }), endTokens: [], stops: () => false }
  const generated = async (decoder: Decoder, adapters: readonly (RowAdapter | undefined)[], ids: readonly number[]) => {
    const [batch, tokens] = [textBatch(decoder), adapters.map(() => [] as readonly number[])]
    for (const [prompt, adapter] of adapters.entries()) batch.add({ prompt, ids, settings, draw: 0, adapter })
    for await (const event of batch.events()) if (event.kind === 'text') tokens[event.prompt] = event.tokens
    return tokens
  }

  it('writes one prompt with each adapter, as a decoder of that adapter does', async () => {
    const { decoder, rows } = await opened('float64', [2, 3, 2])
    const together = await generated(decoder, rows, [3, 5])
    const alone = await Promise.all(rows.map((row) => generated(withAdapter(decoder, row), [undefined], [3, 5])))
    expect(together).toEqual(alone.map(([only]) => only))
    expect(new Set(together.map((tokens) => tokens.join())).size).toBeGreaterThan(1)
    await decoder.release()
  })

  it('scores a text with the adapter that is asked for', async () => {
    const { decoder, rows, reference } = await opened('float64', [2, 3])
    const tokens = [3, 5, 8, 1, 9]
    for (const [adapter, row] of rows.entries()) {
      const scored: number[][] = []
      await withAdapter(decoder, row).score(tokens, (logits) => void scored.push([...logits]))
      assertClose(
        scored.flat(),
        tokens.flatMap((_, i) => reference({ adapter, tokens: tokens.slice(0, i + 1) })),
        { relative: 1e-9, name: `scores with adapter ${adapter}` },
      )
    }
    await decoder.release()
  })

  it('keeps the numbers of an adapter that are too large from the rows of others', async () => {
    const { decoder, rows, reference } = await opened('float32', [2, 2])
    const [one, other = one] = rows
    const huge = other && { ...other, factors: new Map([...other.factors].map(([name, x]) => [name, x.map(() => 3e38)])) }
    const decoded = await decoder.begin(
      [
        [3, 5],
        [3, 5],
      ],
      undefined,
      [one, huge],
    )
    await decoded.append([
      { from: 0, token: 1 },
      { from: 1, token: 1 },
    ]) // prettier-ignore
    const [row = [], spoiled = []] = decoded.logits()
    expect([...spoiled].every(Number.isNaN)).toBe(true)
    assertClose(Array.from(row), reference({ adapter: 0, tokens: [3, 5, 1] }), { relative: 3e-5, name: 'logits beside NaN' })
    await decoder.release()
  })
})
