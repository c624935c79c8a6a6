/** Virtual tokens of prefix and prompt tuning: laws for any trained numbers and any texts in a batch. */
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { precisionOf } from '../../../accelerated/settings/commonSettings.js'
import { frozenWeights, weightSource } from '../../../accelerated/checkpoints/frozenWeights.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { add, concat, expand, scalar } from '../../../accelerated/graph/operators.js'
import type { Method } from '../../../accelerated/methods/method.js'
import { encoderModel } from '../../../accelerated/models/bert/bert.js'
import { encoderConfig } from '../../../accelerated/models/bert/config.js'
import type { Wrap } from '../../../accelerated/models/host.js'
import { sequenceClassification, type LabeledExample } from '../../../accelerated/objectives/sequenceClassification.js'
import { deviceOf } from '../../../accelerated/engines/deviceProbe.js'
import { methodOf, resolveSettings } from '../../../accelerated/training/settings.js'
import { assemble, layoutOf } from '../../../accelerated/training/assembly.js'
import { flatten } from '../../../accelerated/parameters/vectors.js'
import { runLength } from '../../../accelerated/training/runLength.js'
import { openPredictor } from '../../../accelerated/training/prediction.js'
import { normals } from '../../../accelerated/parameters/random.js'
import { families, folderOf, type Family } from '../../golden/golden.js'
import { assertClose } from '../../support/assertClose.js'
import { SEED } from '../../support/seed.js'

const virtualTokens = 4
const names = ['prefix', 'prompt'] as const
type Name = (typeof names)[number]
type Rows = readonly (readonly number[])[]

/** Answers of a method on a golden checkpoint, given its rows of prompt embeddings; head and model are the checkpoint's or random. */
type Opened = { readonly logits: (rows: Rows, texts: Rows, batchSize?: number) => Promise<Rows>; readonly release: () => Promise<void> }

const open = async (family: Family, name: Name, change: (method: Method) => Method = (same) => same): Promise<Opened> => {
  const base = await openModelFolder(folderOf(family))
  const precision = precisionOf('float64')
  const parts = { model: base.model, frozen: frozenWeights(base, 'float64'), method: change(methodOf(name)), precision }
  const assembly = assemble({ ...parts, settings: resolveSettings({ method: name, numVirtualTokens: virtualTokens }) }, (model) =>
    sequenceClassification(model, { labels: 3, problemType: 'single_label_classification' }),
  )
  const phase = assembly.method.phases.start(base.model.spec, assembly.settings)
  const layout = layoutOf(assembly, phase)
  const runtime = { engine: deviceOf('cpu').engine({ threads: 1 }), weights: weightSource(base) }
  const predictor = await openPredictor(assembly, assembly.objective, phase, runtime)
  return {
    release: predictor.release,
    logits: (rows, texts, batchSize = texts.length) =>
      predictor.predict(
        flatten(
          layout,
          (entry) => (entry.name === 'prompt_embeddings' ? rows.flat() : normals(SEED, 'initialization', entry.offset, entry.size)),
          'float64',
        ),
        texts.map((inputIds, row): LabeledExample => ({ inputIds, label: 0, row })),
        batchSize,
      ),
  }
}

const width: Readonly<Record<Name, number>> = { prefix: 128, prompt: 32 }
const rowsOf = (name: Name): fc.Arbitrary<Rows> =>
  fc
    .nat(1_000_000)
    .map((seed) => Array.from({ length: virtualTokens }, (_, i) => [...normals(seed, 'initialization', i * 128, width[name])]))
const texts: fc.Arbitrary<Rows> = fc.array(fc.array(fc.integer({ min: 3, max: 99 }), { minLength: 1, maxLength: 9 }), {
  minLength: 2,
  maxLength: 5,
})

const numRuns = 12
const check = <T>(arbitrary: fc.Arbitrary<T>, holds: (value: T) => Promise<void>): Promise<void> =>
  fc.assert(fc.asyncProperty(arbitrary, holds), { seed: SEED, numRuns })
const largestDifference = (a: Rows, b: Rows): number => Math.max(...a.flat().map((x, i) => Math.abs(x - (b.flat()[i] ?? NaN))))

describe.each(families)(`virtual tokens before texts of %s (seed ${SEED})`, (family) => {
  describe.each(names)('with the method %s', (name) => {
    let opened: Opened
    beforeAll(async () => {
      opened = await open(family, name)
    })
    afterAll(() => opened.release())

    it('give each text the same logits in a batch and alone', () =>
      check(fc.tuple(rowsOf(name), texts), async ([rows, batch]) => {
        const [together, alone] = [await opened.logits(rows, batch), await opened.logits(rows, batch, 1)]
        assertClose(together.flat(), alone.flat(), { relative: 1e-12 })
      }))

    it(name === 'prefix' ? 'are a set: their order does not matter' : 'are a sequence: their order matters', () =>
      check(fc.tuple(rowsOf(name), texts, fc.integer({ min: 1, max: virtualTokens - 1 })), async ([rows, batch, turns]) => {
        const turned = [...rows.slice(turns), ...rows.slice(0, turns)]
        const [as, then] = [await opened.logits(rows, batch), await opened.logits(turned, batch)]
        if (name === 'prefix') assertClose(then.flat(), as.flat(), { relative: 1e-12 })
        else expect(largestDifference(as, then)).toBeGreaterThan(1e-3)
      }),
    )
  })

  it('virtual tokens with masked keys only shift the positions', async () => {
    const masks: Wrap = (host) => ({
      ...host,
      keyValue: (layer, { bias, ...rest }) => {
        const [batch = 1, , , keys] = bias.shape
        expect(keys).toBe(`${virtualTokens}+sequence`)
        const of = (value: number, size: number | string) => expand(scalar(value, bias.dtype), [batch, 1, 1, size])
        return host.keyValue(layer, { ...rest, bias: add(bias, concat([of(-1e9, virtualTokens), of(0, 'sequence')], 3)) })
      },
    })
    const masked = await open(family, 'prefix', (method) => ({
      ...method,
      train: {
        ...method.train,
        wrap: (phase, settings, parameter) => (host) => method.train.wrap(phase, settings, parameter)(masks(host)),
      },
    }))
    const absent = await open(family, 'prefix', (method) => ({ ...method, train: { ...method.train, wrap: () => (host) => host } }))
    const unmoved = await open(family, 'prefix', ({ train: { virtualTokens: _, ...train }, ...method }) => ({
      ...method,
      train: { ...train, wrap: () => (host) => host },
    }))
    await check(fc.tuple(rowsOf('prefix'), texts), async ([rows, batch]) => {
      const expected = await absent.logits(rows, batch)
      assertClose((await masked.logits(rows, batch)).flat(), expected.flat(), { relative: 1e-12 })
      expect(largestDifference(await unmoved.logits(rows, batch), expected)).toBeGreaterThan(1e-3)
    })
    for (const { release } of [masked, absent, unmoved]) await release()
  })
})

const roberta = (hidden: number, layers: number) =>
  encoderModel(
    encoderConfig(
      {
        model_type: 'roberta',
        vocab_size: 50_265,
        hidden_size: hidden,
        num_hidden_layers: layers,
        num_attention_heads: hidden / 64,
        intermediate_size: 4 * hidden,
        max_position_embeddings: 514,
        type_vocab_size: 1,
      },
      'config.json',
    ),
  )

describe('a run with virtual tokens', () => {
  it.each([
    ['prefix', 768, 12, 737_280],
    ['prefix', 1024, 24, 1_966_080],
    ['prompt', 768, 12, 30_720],
    ['prompt', 1024, 24, 40_960],
  ] as const)('has by default as many parameters as PEFT with %s, hidden %i, layers %i: %i', (name, hidden, layers, count) => {
    const method = methodOf(name)
    const settings = resolveSettings({ method: name })
    const phase = method.phases.start(roberta(hidden, layers).spec, settings)
    expect(method.reporting?.parameterCounts?.(phase, settings)).toEqual({ adapter: count })
    expect(method.train.tensors(phase, settings).map(({ shape }) => shape.reduce((a, b) => a * b, 1))).toEqual([count])
  })

  it.each([
    ['prefix', 509, 3, null],
    ['prefix', 600, 128, "numVirtualTokens: expected at most 509, which leave 3 of the model's 512 positions to a text, got 600"],
    ['prompt', 510, 3, "numVirtualTokens: expected at most 509, which leave 3 of the model's 512 positions to a text, got 510"],
    ['prompt', 40, 472, null],
    ['prompt', 40, 473, "maxLength: expected at most the 472 of the model's 512 positions that 40 virtual tokens leave, got 473"],
  ] as const)(
    'a run with %s, %i virtual tokens and texts of %i tokens fits the positions, or reports what fits',
    (name, count, maxLength, message) => {
      const plan = () =>
        runLength(methodOf(name), resolveSettings({ method: name, numVirtualTokens: count, maxLength }), roberta(768, 12), 8)
      if (message === null) expect(plan().steps).toBeGreaterThan(0)
      else expect(plan).toThrow(expect.objectContaining({ message: message }))
    },
  )
})
