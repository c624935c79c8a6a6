/** Our adapters in PEFT's format: exact keys and configuration, and round trips. */
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { writePaddedLora } from '../../../../accelerated/formats/peft/lora.js'
import { padToRank, type LowRankAdapter, type LowRankPair, peftFiles, saveAdapter } from '../../../../accelerated/formats/peft/peft.js'
import { readSafetensors } from '../../../../accelerated/checkpoints/safetensors/safetensors.js'
import { encoderModel } from '../../../../accelerated/models/bert/bert.js'
import type { ModelOutputs, ProblemType } from '../../../../accelerated/models/modelOutputs.js'
import { findMethod, resolveSettings } from '../../../../accelerated/training/resolveSettings.js'
import { SEED } from '../../../support/seed.js'
import { adapterOf, bert, headOf, load, place, roberta, sizes, twoClasses, usePlace, weights } from './adapters.js'

usePlace()

const keysOf = async (adapter: LowRankAdapter): Promise<readonly string[]> => {
  await saveAdapter(place.folder, adapter)
  const { tensors, metadata } = await readSafetensors(join(place.folder, 'adapter_model.safetensors'))
  expect(metadata).toEqual({ format: 'pt' })
  return [...tensors.keys()].sort()
}

describe(`an adapter on disk (seed ${SEED})`, () => {
  it("has exactly PEFT's keys on RoBERTa, without matrices of rank 0", async () => {
    expect(await keysOf(adapterOf(roberta, [8, 0, 3, 0, 0, 1]))).toEqual([
      'base_model.model.classifier.dense.bias',
      'base_model.model.classifier.dense.weight',
      'base_model.model.classifier.out_proj.bias',
      'base_model.model.classifier.out_proj.weight',
      'base_model.model.roberta.encoder.layer.0.attention.self.query.lora_A.weight',
      'base_model.model.roberta.encoder.layer.0.attention.self.query.lora_B.weight',
      'base_model.model.roberta.encoder.layer.0.attention.self.value.lora_A.weight',
      'base_model.model.roberta.encoder.layer.0.attention.self.value.lora_B.weight',
      'base_model.model.roberta.encoder.layer.0.output.dense.lora_A.weight',
      'base_model.model.roberta.encoder.layer.0.output.dense.lora_B.weight',
    ])
    expect((await readdir(place.folder)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'salora.json'])
  })

  it('has a trained pooler of BERT beside the classifier, and no untrained one', async () => {
    const classifier = ['base_model.model.classifier.bias', 'base_model.model.classifier.weight']
    const query = ['A', 'B'].map((side) => `base_model.model.bert.encoder.layer.0.attention.self.query.lora_${side}.weight`)
    const pooler = ['base_model.model.bert.pooler.dense.bias', 'base_model.model.bert.pooler.dense.weight']
    const savedModules = async (): Promise<unknown> =>
      JSON.parse(await readFile(join(place.folder, 'adapter_config.json'), 'utf8')).modules_to_save
    expect(await keysOf(adapterOf(bert, [8]))).toEqual([...query, ...pooler, ...classifier])
    expect(await savedModules()).toEqual(['classifier', 'pooler', 'score'])
    expect(await keysOf(adapterOf(bert, [8], { head: headOf(bert, 2, (name) => name.startsWith('classifier')) }))).toEqual([
      ...query,
      ...classifier,
    ])
    expect(await savedModules()).toEqual(['classifier', 'score'])
  })

  it('has sorted keys in its configuration, and keeps the scale alpha / r for every pruned module', () => {
    expect(peftFiles(adapterOf(roberta, [8, 3])).configText).toBe(`{
  "alpha_pattern": {
    "roberta.encoder.layer.0.attention.self.key": 6
  },
  "base_model_name_or_path": "me/model",
  "bias": "none",
  "fan_in_fan_out": false,
  "inference_mode": true,
  "init_lora_weights": true,
  "lora_alpha": 16,
  "lora_dropout": 0,
  "modules_to_save": [
    "classifier",
    "score"
  ],
  "peft_type": "LORA",
  "r": 8,
  "rank_pattern": {
    "roberta.encoder.layer.0.attention.self.key": 3
  },
  "target_modules": [
    "roberta.encoder.layer.0.attention.self.query",
    "roberta.encoder.layer.0.attention.self.key"
  ],
  "task_type": "SEQ_CLS",
  "use_rslora": false
}
`)
  })

  it('is loaded as it was saved, for every pattern of ranks, both scales, with and without magnitudes', () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom(roberta, bert),
        fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 6, maxLength: 6 }).filter((ranks) => ranks.some((r) => r > 0)),
        fc.double({ min: 0.5, max: 64, noNaN: true }),
        fc.option(fc.constantFrom(['no', 'yes'], ['a', 'ß']), { nil: undefined }),
        fc.constantFrom<ProblemType>('single_label_classification', 'regression'),
        fc.record({ rslora: fc.boolean(), dora: fc.boolean(), dropout: fc.constantFrom(0, 0.25) }),
        async (model, ranks, alpha, labelNames, problem, { rslora, dora, dropout }) => {
          const { modules } = adapterOf(model, ranks)
          const magnitudeOf = (name: string, d: number) => (dora ? { magnitude: weights([d], name.length) } : {})
          const adapter = adapterOf(model, ranks, {
            alpha,
            rslora,
            dropout,
            modules: new Map([...modules].map(([name, pair]) => [name, { ...pair, ...magnitudeOf(name, pair.B.shape[0] ?? 0) }])),
            outputs: { head: 'sequence', labels: 2, problemType: problem },
            ...(labelNames === undefined ? {} : { labelNames }),
          })
          await saveAdapter(place.folder, adapter)
          const loaded = await load(model)
          expect(loaded.model).toBe(model)
          expect(loaded).toMatchObject({
            outputs: { head: 'sequence', labels: 2, problemType: problem },
            baseModelName: 'me/model',
            rank: 8,
            alpha,
            rslora,
            dora,
            dropout,
            labelNames,
          })
          expect(loaded.headModules.size).toBe(0)
          expect(loaded.head).toEqual(adapter.head)
          const kept = [...adapter.modules].filter(([, { A }]) => A.shape[0] !== 0)
          expect([...loaded.modules.keys()]).toEqual(kept.map(([name]) => name))
          for (const [name, pair] of kept) {
            const { scale, ...loadedPair } = loaded.modules.get(name)!
            expect(loadedPair).toEqual({ ...model.spec.matrices.find((matrix) => matrix.name === name), ...pair })
            expect(Math.abs(scale / (alpha / (rslora ? Math.sqrt(8) : 8)) - 1)).toBeLessThan(1e-15)
          }
        },
      ),
      { seed: SEED, numRuns: 60 },
    ))

  it('is one pair of zeros if everything was pruned, since PEFT refuses an empty adapter', async () => {
    await saveAdapter(place.folder, adapterOf(roberta, [0, 0, 0, 0, 0, 0]))
    const loaded = await load(roberta)
    expect([...loaded.modules]).toEqual([
      [
        'encoder.layer.0.attention.self.query',
        {
          A: { shape: [1, 4], data: new Float32Array(4) },
          B: { shape: [4, 1], data: new Float32Array(4) },
          name: 'encoder.layer.0.attention.self.query',
          d: 4,
          k: 4,
          scale: 2,
        },
      ],
    ])
    expect(loaded.head.size).toBe(4)
  })

  it('needs no patterns when padded to one rank, with the same B A', () => {
    const product = ({ A, B }: LowRankPair): readonly number[] => {
      const [r = 0, k = 0] = A.shape
      return Array.from({ length: B.shape[0]! * k }, (_, at) =>
        Array.from({ length: r }, (_, j) => B.data[Math.floor(at / k) * r + j]! * A.data[j * k + (at % k)]!).reduce((a, b) => a + b, 0),
      )
    }
    const adapter = adapterOf(roberta, [8, 0, 3, 1, 2, 5])
    const padded = padToRank(adapter)
    for (const [name, pair] of adapter.modules) {
      expect(product(padded.modules.get(name)!)).toEqual(product(pair))
      expect(padded.modules.get(name)!.A.shape[0]).toBe(8)
    }
    const config = JSON.parse(peftFiles(padded).configText)
    expect([config.rank_pattern, config.alpha_pattern, config.target_modules.length]).toEqual([{}, {}, 6])
    expect(() => padToRank({ ...adapter, rank: 7 })).toThrow('padPair: expected a rank of at most 7, got 8')
  })

  it('is loaded as a regression, or without a head, if it was saved so', async () => {
    const one: ModelOutputs = { head: 'sequence', labels: 1, problemType: 'regression' }
    await saveAdapter(place.folder, adapterOf(roberta, [2], { outputs: one, head: headOf(roberta, 1) }))
    expect((await load(roberta)).outputs).toEqual(one)
    await saveAdapter(place.folder, adapterOf(roberta, [2], { head: new Map() }))
    const headless = await load(roberta)
    expect([headless.head.size, headless.outputs]).toEqual([0, twoClasses])
    expect(JSON.parse(await readFile(join(place.folder, 'adapter_config.json'), 'utf8'))).toMatchObject({
      task_type: null,
      modules_to_save: null,
    })
  })

  it('is a pair of zeros of rank 1 if it has no matrix', async () => {
    await saveAdapter(place.folder, adapterOf(roberta, []))
    const { modules } = await load(roberta)
    expect([...modules.keys()]).toEqual([roberta.spec.matrices[0]?.name])
    for (const { A, B } of modules.values()) expect([A.shape[0], [...A.data, ...B.data].every((x) => x === 0)]).toEqual([1, true])
  })

  it('is not written if it does not fit the encoder', () => {
    expect(() => peftFiles(adapterOf(roberta, [1], { head: new Map([['classifier.weight', weights([2, 4], 0)]]) }))).toThrow(
      'got classifier.weight',
    )
    expect(() => peftFiles(adapterOf(roberta, [1], { head: headOf(roberta, 2, (name) => name !== 'classifier.out_proj.bias') }))).toThrow(
      'expected a whole head, got none of classifier.out_proj.bias',
    )
    expect(() => peftFiles(adapterOf(roberta, [1], { labelNames: ['one'] }))).toThrow('expected 2 label names, got 1')
    expect(() => peftFiles(adapterOf(encoderModel({ ...sizes, hiddenSize: 5 }), [1], { model: roberta, head: new Map() }))).toThrow(
      'query.A: expected [1, 4], got [1, 5]',
    )
  })
})

describe('an adapter padded to one rank', () => {
  const ranks = [2, 1, 5, 3, 0, 2]
  const product = ({ A, B }: LowRankPair, scale: number): readonly number[] => {
    const [[r = 0, k = 0], [d = 0]] = [A.shape, B.shape]
    return Array.from({ length: d * k }, (_, at) => {
      const [i, j] = [Math.floor(at / k), at % k]
      return (
        scale * Array.from({ length: r }, (__, c) => (B.data[i * r + c] ?? NaN) * (A.data[c * k + j] ?? NaN)).reduce((a, b) => a + b, 0)
      )
    })
  }

  it.each([
    [false, 3, 12],
    [true, 3, 12],
    [true, 8, 5],
  ])('has the function of the adapter (rsLoRA %s, rank %i, alpha %i), though some ranks exceed it', async (useRslora, rank, loraAlpha) => {
    const { modules, ...rest } = adapterOf(roberta, ranks)
    const kept = [...modules].filter(([, { A }]) => A.shape[0] !== 0)
    const tensors = kept.flatMap(([name, { A, B }]) => [[`${name}.A`, A] as const, [`${name}.B`, B] as const])
    const matrices = kept.flatMap(([name, { A }]) =>
      roberta.spec.matrices.filter((matrix) => matrix.name === name).map((matrix) => ({ ...matrix, r: A.shape[0] ?? 0 })),
    )
    const settings = { ...resolveSettings({ method: 'lora', rank, loraAlpha }), useRslora }
    const adapter = { ...rest, method: findMethod('lora'), settings, phase: { matrices }, tensors: new Map(tensors), labelNames: undefined }
    await writePaddedLora(place.folder, adapter, [])
    const loaded = await load(roberta)
    expect(loaded.rank).toBe(Math.max(rank, 5))
    for (const [name, pair] of kept) {
      const { scale, ...padded } = loaded.modules.get(name)!
      expect(padded.A.shape[0]).toBe(Math.max(rank, 5))
      const [actual, expected] = [product(padded, scale), product(pair, loraAlpha / (useRslora ? Math.sqrt(rank) : rank))]
      actual.forEach((x, i) => expect(Math.abs(x / (expected[i] ?? NaN) - 1)).toBeLessThan(1e-12))
    }
  })
})
