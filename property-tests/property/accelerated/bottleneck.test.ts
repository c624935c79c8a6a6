/** Bottleneck adapters as mathematics: what they leave alone, and with which numbers they start. Their function is in golden/bottleneck. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Expression } from '../../../accelerated/graph/expression.js'
import { input } from '../../../accelerated/graph/operators.js'
import { houlsby, pfeiffer } from '../../../accelerated/methods/bottleneck.js'
import { batchInputs } from '../../../accelerated/models/batchInputs.js'
import { bertArchitecture } from '../../../accelerated/models/bert/bert.js'
import { plainHost } from '../../../accelerated/models/host.js'
import { pooledDropout, offsetName, poolName } from '../../../accelerated/models/layers/dropout.js'
import { packBatch } from '../../../accelerated/models/packing.js'
import { findDevice } from '../../../accelerated/engines/devices/findDevice.js'
import { noWeights, type Session } from '../../../accelerated/engines/engine.js'
import type { Feed } from '../../../accelerated/engines/feeds.js'
import { parseSettings } from '../../../accelerated/training/resolveSettings.js'
import { parameterLayout } from '../../../accelerated/parameters/layout.js'
import { normals } from '../../../accelerated/parameters/random.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'
import { sameFormulaFloat64 } from '../../support/tolerance.js'

const methods = [houlsby, pfeiffer] as const
const openGraph = (outputs: Readonly<Record<string, Expression>>): Promise<Session> =>
  findDevice('cpu').engine({ threads: 1 }).open(outputs, noWeights)

const modelOf = (family: 'roberta' | 'bert', hidden: number, layers: number) =>
  bertArchitecture.open(
    {
      ...{ model_type: family, vocab_size: 11, hidden_size: hidden, num_hidden_layers: layers, num_attention_heads: 2 },
      intermediate_size: 4 * hidden,
      ...{ max_position_embeddings: 12, type_vocab_size: 2, pad_token_id: 0, hidden_dropout_prob: 0.25 },
      attention_probs_dropout_prob: 0.25,
    },
    'config.json',
  )

const drawn = (seed: number, stream: number, shape: readonly number[], scale = 1): Feed => ({
  shape,
  data: Float64Array.from(
    normals(
      seed,
      'initialization',
      stream,
      shape.reduce((a, b) => a * b, 1),
    ),
    (x) => scale * x,
  ),
})

describe('the trained parameters of bottleneck methods', () => {
  it('have hidden size / `reductionFactor` neurons, rounded down; 0 neurons are refused in one line', () => {
    const neurons = (reductionFactor: number) => {
      const settings = parseSettings({ method: 'houlsby', reductionFactor }) as Parameters<typeof houlsby.phases.start>[1]
      return houlsby.phases.start(modelOf('bert', 256, 1).spec, settings).neurons
    }
    expect([1, 1.5, 16, 100, 256].map(neurons)).toEqual([256, 170, 16, 2, 1])
    expect(() => neurons(257)).toThrow("reductionFactor: expected at most the model's hidden size 256, got 257")
    expect(() => neurons(0.5)).toThrow('reductionFactor: expected a number of at least 1, got 0.5')
  })

  it('start from distinct draws of N(0, 0.02²) with biases 0; matrices decay, biases do not', () => {
    const settings = parseSettings({ method: 'houlsby' }) as Parameters<typeof houlsby.phases.start>[1]
    const layout = parameterLayout(houlsby.train.tensors(houlsby.phases.start(modelOf('roberta', 256, 2).spec, settings), settings))
    const values = new Map(layout.entries.map((entry) => [entry.name, Array.from(entry.initial.draw(7, entry))]))
    const matrices = layout.entries.filter(({ shape }) => shape.length === 2)
    expect([matrices.length, layout.entries.length]).toEqual([8, 16])
    for (const { name, group } of layout.entries)
      expect([name, group.weightDecay]).toEqual([name, name.endsWith('weight') ? settings.weightDecay : 0])
    for (const [name, numbers] of values) if (name.endsWith('bias')) expect(new Set(numbers), name).toEqual(new Set([0]))
    const all = matrices.flatMap(({ name }) => values.get(name) ?? [])
    expect(new Set(all).size).toBe(all.length)
    const mean = all.reduce((a, b) => a + b, 0) / all.length
    const deviation = Math.sqrt(all.reduce((sum, x) => sum + (x - mean) ** 2, 0) / all.length)
    // 32,768 draws: four standard errors
    expect(Math.abs(mean)).toBeLessThan((4 * 0.02) / Math.sqrt(all.length))
    expect(Math.abs(deviation - 0.02)).toBeLessThan((4 * 0.02) / Math.sqrt(2 * all.length))
  })
})

describe.each(methods)('a model with adapters of $name', (method) => {
  const settings = parseSettings({ method: method.name, reductionFactor: 3 }) as Parameters<typeof method.phases.start>[1]
  const examples = [{ inputIds: [1, 2, 3, 4] }, { inputIds: [5] }, { inputIds: [6, 7] }]

  describe.each(['roberta', 'bert'] as const)('(%s)', (family) => {
    const model = modelOf(family, 6, 2)
    const phase = method.phases.start(model.spec, settings)
    const adapterShapes = new Map(method.train.tensors(phase, settings).map(({ name, shape }) => [name, shape]))
    const head = model.sequenceHead(3)
    const shapes = new Map([...model.spec.tensors, ...head.tensors, ...adapterShapes])
    const tensor = (name: string): Expression => input(name, shapes.get(name) ?? [], 'float64')
    const [plainSites, adaptedSites] = [pooledDropout('float64'), pooledDropout('float64')]
    const batch = batchInputs('float64')
    const adaptedHost = method.train.wrap(phase, settings, tensor)(adaptedSites.wrap(plainHost(tensor)))
    const outputs = {
      plain: head.outputs(model.hidden(plainSites.wrap(plainHost(tensor)), batch), plainSites.wrap(plainHost(tensor))),
      adapted: head.outputs(model.hidden(adaptedHost, batch), adaptedHost),
    }
    let session: Session
    beforeAll(async () => {
      session = await openGraph(outputs)
    })
    afterAll(() => session.release())

    const { feeds, tokens, batch: rows, sequence } = packBatch(examples, model.firstPosition, 'float64')
    const run = async (seed: number, upScale: number, offset: number) => {
      const all = [...shapes].map(([name, shape], i): readonly [string, Feed] => [
        name,
        drawn(seed, i, shape, name.includes('.adapter.up.') ? upScale : 0.7),
      ])
      const pool = Float64Array.from({ length: 4000 }, (_, i) => ((i * 7919) % 4 === 0 ? 0 : 4 / 3))
      const results = await session.run({
        ...feeds,
        ...Object.fromEntries(all),
        [poolName(0.25)]: { data: pool, shape: [pool.length] },
        ...Object.fromEntries(
          adaptedSites.sites().map(({ site }, i) => [offsetName(site), { data: BigInt64Array.of(BigInt(offset + 5 * i)), shape: [1] }]),
        ),
      })
      return { plain: Array.from(results['plain'] ?? [], Number), adapted: Array.from(results['adapted'] ?? [], Number) }
    }

    it('equals the plain model with dropout exactly if the up-projections are 0', () =>
      fc.assert(
        fc.asyncProperty(fc.nat(), fc.nat(100), async (seed, offset) => {
          const silent = await run(seed, 0, offset)
          expect(silent.plain).toHaveLength(tokens * 3)
          assertClose(silent.adapted, silent.plain, { relative: sameFormulaFloat64 })
          const { plain, adapted } = await run(seed, 0.7, offset)
          expect(Math.max(...plain.map((x, i) => Math.abs(x - (adapted[i] ?? NaN))))).toBeGreaterThan(1e-3)
        }),
        { seed: SEED, numRuns: 15 },
      ))

    it('has the dropout sites of the plain model, in the same order and shapes', () => {
      expect(plainSites.sites().length).toBeGreaterThan(5)
      expect(adaptedSites.sites()).toEqual(plainSites.sites())
      expect([rows, sequence]).toEqual([3, 4])
    })

    it('resumes only from a checkpoint of its own start', () => {
      const clock = { step: 0, steps: 1 }
      expect(method.phases.validate?.(phase, phase, clock)).toBeNull()
      expect(method.phases.validate?.({ ...phase, neurons: 9 }, phase, clock)).toEqual({
        expected: 'the adapters of its start',
        got: `${phase.sublayers.length} of 9 neurons`,
      })
    })

    it(`has an adapter in each ${method === houlsby ? 'sublayer' : 'feed-forward and in no attention'}`, () =>
      expect(phase.sublayers).toEqual(
        [0, 1].flatMap((i) => [...(method === houlsby ? [`encoder.layer.${i}.attention.output`] : []), `encoder.layer.${i}.output`]),
      ))
  })
})
