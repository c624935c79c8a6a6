/** Adapters in PEFT's layout: exact keys and configuration, round trips, PEFT's own pattern rules, and each mistake in one line. */
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Weights } from '../../accelerated/formats/adapter.js'
import { loadLowRank } from '../../accelerated/formats/peft/loadPeft.js'
import { padToRank, type LowRankAdapter, type LowRankPair } from '../../accelerated/formats/peft/lowRankAdapter.js'
import { lookUpPattern, matchModules } from '../../accelerated/formats/peft/modulePattern.js'
import { peftFiles, saveAdapter } from '../../accelerated/formats/peft/peft.js'
import { Mistake } from '../../accelerated/files/mistake.js'
import { readSafetensors } from '../../accelerated/files/safetensors/safetensors.js'
import { writeSafetensors, type WritableTensor } from '../../accelerated/files/safetensors/writeSafetensors.js'
import type { Model } from '../../accelerated/models/architecture.js'
import { encoderModel } from '../../accelerated/models/bert/bert.js'
import type { EncoderConfig } from '../../accelerated/models/bert/config.js'
import type { Outputs, SequenceProblem } from '../../accelerated/objectives/outputs.js'
import { SEED } from '../support/seed.js'

let folder = ''
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'salora-peft-'))
})
afterAll(() => rm(folder, { recursive: true }))

const sizes: EncoderConfig = {
  family: 'roberta',
  vocabularySize: 11,
  hiddenSize: 4,
  embeddingSize: 4,
  layers: 1,
  heads: 2,
  intermediateSize: 6,
  maxPositions: 9,
  tokenTypes: 1,
  layerNormEpsilon: 1e-5,
  activation: 'gelu',
  paddingIndex: 1,
  hiddenDropout: 0.1,
  attentionDropout: 0.1,
  headDropout: 0.1,
}
const roberta = encoderModel(sizes)
const bert = encoderModel({ ...sizes, family: 'bert', tokenTypes: 2, paddingIndex: 0 })
const twoClasses: Outputs = { labels: 2, problem: 'classification' }

/** Numbers that differ everywhere, so that a mix-up shows. */
const weights = (shape: ReadonlyArray<number>, from: number): Weights => ({
  shape,
  data: Float32Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => from + i / 64),
})

const headOf = (model: Model, labels = 2, keep: (name: string) => boolean = () => true): ReadonlyMap<string, Weights> =>
  new Map([...model.sequenceHead(labels).tensors].filter(([name]) => keep(name)).map(([name, shape], i) => [name, weights(shape, 100 + i)]))

/** An adapter whose modules, in layer order, have these ranks. */
const adapterOf = (model: Model, ranks: ReadonlyArray<number>, others: Partial<LowRankAdapter> = {}): LowRankAdapter => ({
  model,
  outputs: twoClasses,
  baseModelName: 'me/model',
  rank: 8,
  alpha: 16,
  modules: new Map(
    model.outline.matrices.flatMap(({ name, d, k }, i): ReadonlyArray<[string, LowRankPair]> => {
      const r = ranks[i]
      return r === undefined ? [] : [[name, { A: weights([r, k], 2 * i), B: weights([d, r], 2 * i + 1) }]]
    }),
  ),
  head: headOf(model),
  ...others,
})

const keysOf = async (adapter: LowRankAdapter): Promise<ReadonlyArray<string>> => {
  await saveAdapter(folder, adapter)
  const { tensors, metadata } = await readSafetensors(join(folder, 'adapter_model.safetensors'))
  expect(metadata).toEqual({ format: 'pt' })
  return [...tensors.keys()].sort()
}

/** For a model whose own configuration says two classes. */
const load = (model: Model) => loadLowRank(folder, model, twoClasses)

const messageFor = async (model: Model): Promise<string> =>
  load(model).then(
    () => 'no error',
    (thrown: unknown) => {
      expect(thrown).toBeInstanceOf(Mistake)
      const message = (thrown as Error).message
      expect(message).not.toContain('\n')
      return message.replaceAll(folder, 'M')
    },
  )

describe(`an adapter on disk (seed ${SEED})`, () => {
  it('RoBERTa: the keys are exactly those that PEFT writes, matrices of rank 0 left out', async () => {
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
    expect((await readdir(folder)).sort()).toEqual(['adapter_config.json', 'adapter_model.safetensors', 'salora.json'])
  })

  it('BERT: a trained pooler is kept beside the classifier, an untrained one is not', async () => {
    const classifier = ['base_model.model.classifier.bias', 'base_model.model.classifier.weight']
    const query = ['A', 'B'].map((side) => `base_model.model.bert.encoder.layer.0.attention.self.query.lora_${side}.weight`)
    const pooler = ['base_model.model.bert.pooler.dense.bias', 'base_model.model.bert.pooler.dense.weight']
    const savedModules = async (): Promise<unknown> =>
      JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8')).modules_to_save
    expect(await keysOf(adapterOf(bert, [8]))).toEqual([...query, ...pooler, ...classifier])
    expect(await savedModules()).toEqual(['classifier', 'pooler', 'score'])
    expect(await keysOf(adapterOf(bert, [8], { head: headOf(bert, 2, (name) => name.startsWith('classifier')) }))).toEqual([
      ...query,
      ...classifier,
    ])
    expect(await savedModules()).toEqual(['classifier', 'score'])
  })

  it('the configuration is text with sorted keys in which every pruned module keeps the scale alpha / r', () => {
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

  it('what is saved is what is loaded, for every pattern of ranks, either scale, with magnitudes or without', () =>
    fc.assert(
      fc.asyncProperty(
        fc.constantFrom(roberta, bert),
        fc.array(fc.integer({ min: 0, max: 8 }), { minLength: 6, maxLength: 6 }).filter((ranks) => ranks.some((r) => r > 0)),
        fc.double({ min: 0.5, max: 64, noNaN: true }),
        fc.option(fc.constantFrom(['no', 'yes'], ['a', 'ß']), { nil: undefined }),
        fc.constantFrom<SequenceProblem>('classification', 'regression'),
        fc.record({ rslora: fc.boolean(), dora: fc.boolean(), dropout: fc.constantFrom(0, 0.25) }),
        async (model, ranks, alpha, labelNames, problem, { rslora, dora, dropout }) => {
          const { modules } = adapterOf(model, ranks)
          const magnitudeOf = (name: string, d: number) => (dora ? { magnitude: weights([d], name.length) } : {})
          const adapter = adapterOf(model, ranks, {
            alpha,
            rslora,
            dropout,
            modules: new Map([...modules].map(([name, pair]) => [name, { ...pair, ...magnitudeOf(name, pair.B.shape[0] ?? 0) }])),
            outputs: { labels: 2, problem },
            ...(labelNames === undefined ? {} : { labelNames }),
          })
          await saveAdapter(folder, adapter)
          const loaded = await load(model)
          expect(loaded.model).toBe(model)
          expect(loaded).toMatchObject({
            outputs: { labels: 2, problem },
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
            const { scale, ...found } = loaded.modules.get(name)!
            expect(found).toEqual({ ...model.outline.matrices.find((matrix) => matrix.name === name), ...pair })
            expect(Math.abs(scale / (alpha / (rslora ? Math.sqrt(8) : 8)) - 1)).toBeLessThan(1e-15)
          }
        },
      ),
      { seed: SEED, numRuns: 60 },
    ))

  it('an adapter pruned to nothing is one pair of zeros, since PEFT refuses an empty one', async () => {
    await saveAdapter(folder, adapterOf(roberta, [0, 0, 0, 0, 0, 0]))
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

  it('padded to one rank, the configuration needs no patterns and B A is unchanged', () => {
    const product = ({ A, B }: LowRankPair): ReadonlyArray<number> => {
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
    expect(() => padToRank({ ...adapter, rank: 7 })).toThrow('padPair: expected a rank of at most 7, found 8')
  })

  it('a regression and an adapter without a head come back as such', async () => {
    const one: Outputs = { labels: 1, problem: 'regression' }
    await saveAdapter(folder, adapterOf(roberta, [2], { outputs: one, head: headOf(roberta, 1) }))
    expect((await load(roberta)).outputs).toEqual(one)
    await saveAdapter(folder, adapterOf(roberta, [2], { head: new Map() }))
    const headless = await load(roberta)
    expect([headless.head.size, headless.outputs]).toEqual([0, twoClasses])
    expect(JSON.parse(await readFile(join(folder, 'adapter_config.json'), 'utf8'))).toMatchObject({
      task_type: null,
      modules_to_save: null,
    })
  })

  it('an adapter of no matrix is written as a pair of zeros of rank 1, because PEFT refuses an adapter of nothing', async () => {
    await saveAdapter(folder, adapterOf(roberta, []))
    const { modules } = await load(roberta)
    expect([...modules.keys()]).toEqual([roberta.outline.matrices[0]?.name])
    for (const { A, B } of modules.values()) expect([A.shape[0], [...A.data, ...B.data].every((x) => x === 0)]).toEqual([1, true])
  })

  it('refuses to write what does not belong to the encoder', () => {
    expect(() => peftFiles(adapterOf(roberta, [1], { head: new Map([['classifier.weight', weights([2, 4], 0)]]) }))).toThrow(
      'found classifier.weight',
    )
    expect(() => peftFiles(adapterOf(roberta, [1], { head: headOf(roberta, 2, (name) => name !== 'classifier.out_proj.bias') }))).toThrow(
      'expected a whole head, found none of classifier.out_proj.bias',
    )
    expect(() => peftFiles(adapterOf(roberta, [1], { labelNames: ['one'] }))).toThrow('expected 2 label names, found 1')
    expect(() => peftFiles(adapterOf(encoderModel({ ...sizes, hiddenSize: 5 }), [1], { model: roberta, head: new Map() }))).toThrow(
      'query.A: expected [1,4], found [1,5]',
    )
  })
})

describe(`an adapter that PEFT trained (seed ${SEED})`, () => {
  const peft = {
    peft_type: 'LORA',
    task_type: 'SEQ_CLS',
    r: 2,
    lora_alpha: 3,
    target_modules: ['query', 'value'],
    modules_to_save: null,
    bias: 'none',
    fan_in_fan_out: false,
    inference_mode: true,
    peft_version: '0.21.2',
    lora_dropout: 0.1,
  }

  /** Writes the configuration and, for these modules and ranks, the tensors. */
  const write = async (
    config: object,
    modules: Readonly<Record<string, number>>,
    extra: ReadonlyMap<string, WritableTensor> = new Map(),
    prefix = 'roberta.',
  ): Promise<void> => {
    const matrices = new Map(roberta.outline.matrices.map((matrix) => [matrix.name, matrix]))
    await rm(join(folder, 'salora.json'), { force: true })
    await writeFile(join(folder, 'adapter_config.json'), JSON.stringify(config))
    const pairs = Object.entries(modules).flatMap(([name, r]): ReadonlyArray<[string, WritableTensor]> => {
      const { d, k } = matrices.get(`encoder.layer.0.${name}`)!
      const key = `base_model.model.${prefix}encoder.layer.0.${name}`
      return [
        [`${key}.lora_A.weight`, weights([r, k], 0)],
        [`${key}.lora_B.weight`, weights([d, r], 1)],
      ]
    })
    await writeFile(join(folder, 'adapter_model.safetensors'), writeSafetensors(new Map([...pairs, ...extra])))
  }
  const scales = async (): Promise<unknown> =>
    Object.fromEntries([...(await load(roberta)).modules].map(([name, { scale }]) => [name.replace('encoder.layer.0.', ''), scale]))

  it('endings of names mean all modules with that ending', async () => {
    await write(peft, { 'attention.self.query': 2, 'attention.self.value': 2 })
    expect(await scales()).toEqual({ 'attention.self.query': 1.5, 'attention.self.value': 1.5 })
    await write({ ...peft, target_modules: ['output.dense'] }, { 'attention.output.dense': 2, 'output.dense': 2 })
    expect(await scales()).toEqual({ 'attention.output.dense': 1.5, 'output.dense': 1.5 })
    await write({ ...peft, target_modules: ['output.dense'], exclude_modules: ['attention.output.dense'] }, { 'output.dense': 2 })
    expect(await scales()).toEqual({ 'output.dense': 1.5 })
  })

  it('one expression, patterns of ranks and alphas, and the rank-stabilised scale', async () => {
    await write(
      { ...peft, target_modules: '.*\\.self\\.(query|key)', rank_pattern: { 'self.key': 4 }, alpha_pattern: { 'layer.0.*key': 1 } },
      { 'attention.self.query': 2, 'attention.self.key': 4 },
    )
    expect(await scales()).toEqual({ 'attention.self.query': 1.5, 'attention.self.key': 0.25 })
    await write({ ...peft, use_rslora: true, rank_pattern: { value: 4 } }, { 'attention.self.query': 2, 'attention.self.value': 4 })
    expect(await scales()).toEqual({ 'attention.self.query': 3 / Math.sqrt(2), 'attention.self.value': 1.5 })
  })

  it('an adapter of the bare encoder has no family in its keys', async () => {
    await write({ ...peft, task_type: 'FEATURE_EXTRACTION' }, { 'attention.self.query': 2, 'attention.self.value': 2 }, new Map(), '')
    expect(await scales()).toEqual({ 'attention.self.query': 1.5, 'attention.self.value': 1.5 })
  })

  it('the outputs are those of its own head', async () => {
    const head = [...roberta.sequenceHead(3).tensors].map(([name, shape]): [string, WritableTensor] => [
      `base_model.model.${name}`,
      weights(shape, 0),
    ])
    await write(
      { ...peft, modules_to_save: ['classifier', 'score'] },
      { 'attention.self.query': 2, 'attention.self.value': 2 },
      new Map(head),
    )
    expect((await load(roberta)).outputs).toEqual({ labels: 3, problem: 'classification' })
  })

  it.each<readonly [string, object, string | RegExp]>([
    [
      'another method',
      { peft_type: 'ADALORA' },
      /^M\/adapter_config\.json: expected a plain LoRA configuration whose peft_type is LORA, found "ADALORA"$/,
    ],
    [
      'weight decomposition without its magnitudes',
      { use_dora: true },
      'M/adapter_model.safetensors: expected tensor base_model.model.roberta.encoder.layer.0.attention.self.query.lora_magnitude_vector [4], found none of that name',
    ],
    ['trained biases', { bias: 'all' }, /whose bias is none, found/],
    ['chosen layers', { layers_to_transform: [1] }, /whose layers_to_transform is unset \(null, false or empty\), found \[1\]$/],
    [
      'a start that changes the frozen weights',
      { init_lora_weights: 'pissa' },
      /whose init_lora_weights is true or false or one of gaussian, orthogonal, eva, found/,
    ],
    ['a rank of 0', { r: 0 }, /whose r is a whole number of at least 1, found 0$/],
    [
      'targets that are none',
      { target_modules: ['q_proj'] },
      'M/adapter_config.json: expected target_modules that mean a matrix of the roberta encoder, found ["q_proj"]',
    ],
    [
      'an expression that is none',
      { target_modules: '(' },
      /^M\/adapter_config\.json: expected a regular expression that matches module names, found "\(" \(Invalid regular expression: .*\)$/,
    ],
    [
      'an expression that takes for ever',
      { target_modules: '(.*)*(.*)*(.*)*(.*)*x' },
      /^M\/adapter_config\.json: expected a regular expression that matches module names, found .* \(Script execution timed out after 3000ms\)$/,
    ],
    [
      'a rank that the tensors do not have',
      { r: 3 },
      'M/adapter_model.safetensors: expected tensor base_model.model.roberta.encoder.layer.0.attention.self.query.lora_A.weight of shape [3,4], found [2,4]',
    ],
    [
      'a module without tensors',
      { target_modules: ['query', 'key', 'value'] },
      'M/adapter_model.safetensors: expected tensor base_model.model.roberta.encoder.layer.0.attention.self.key.lora_A.weight [2,4], found none of that name',
    ],
    [
      'tensors without a module',
      { target_modules: ['query'] },
      'M/adapter_model.safetensors: expected only the 2 tensors that adapter_config.json describes, found "base_model.model.roberta.encoder.layer.0.attention.self.value.lora_A.weight"',
    ],
    [
      'a head that is not there',
      { modules_to_save: ['classifier'] },
      'M/adapter_model.safetensors: expected tensor base_model.model.classifier.dense.weight [4,4], found none of that name',
    ],
  ])('names %s', async (_, change, expected) => {
    await write({ ...peft, ...change }, { 'attention.self.query': 2, 'attention.self.value': 2 })
    const message = await messageFor(roberta)
    if (typeof expected === 'string') expect(message).toBe(expected)
    else expect(message).toMatch(expected)
  })

  it('names a key given twice, a number that is not finite, a head that is not whole, an adapter of the other family', async () => {
    await writeFile(join(folder, 'adapter_config.json'), '{"r":1,"r":2}')
    expect(await messageFor(roberta)).toBe('M/adapter_config.json: expected each key once, found "r" twice')
    const modules = { 'attention.self.query': 2, 'attention.self.value': 2 }
    const key = 'base_model.model.roberta.encoder.layer.0.attention.self.query.lora_B.weight'
    await write(peft, modules, new Map([[key, { shape: [4, 2], data: Float32Array.of(0, 1, NaN, 0, 0, 0, 0, 0) }]]))
    expect(await messageFor(roberta)).toBe(`M/adapter_model.safetensors: expected finite numbers in ${key}, found NaN at 2`)
    await write(peft, modules, new Map([['base_model.model.classifier.dense.bias', weights([4], 0)]]))
    expect(await messageFor(roberta)).toBe(
      'M/adapter_model.safetensors: expected tensor base_model.model.classifier.dense.weight [4,4], found none of that name',
    )
    await write(peft, modules)
    expect(await messageFor(bert)).toBe(
      'M/adapter_model.safetensors: expected tensor base_model.model.bert.encoder.layer.0.attention.self.query.lora_A.weight [2,4], found none of that name',
    )
  })

  it('names what is wrong in salora.json', async () => {
    await saveAdapter(folder, adapterOf(roberta, [1]))
    await writeFile(join(folder, 'salora.json'), '{"labelNames":["a"],"problem":"classification"}')
    expect(await messageFor(roberta)).toBe('M/salora.json: expected 2 labelNames, found 1')
    await writeFile(join(folder, 'salora.json'), '{}')
    expect(await messageFor(roberta)).toBe('M/salora.json: expected names as salora writes them whose labelNames is a list, found nothing')
    await writeFile(join(folder, 'salora.json'), '{"labelNames":null,"problem":"ranking"}')
    expect(await messageFor(roberta)).toBe(
      'M/salora.json: expected names as salora writes them whose problem is one of classification, regression, multi-label, causal, found "ranking"',
    )
  })
})

describe("PEFT's rules for names", () => {
  const names = [
    'roberta.encoder.layer.1.output.dense',
    'roberta.encoder.layer.11.output.dense',
    'roberta.encoder.layer.1.attention.output.dense',
  ]

  it('a list matches whole parts of a name, an expression the whole name', () => {
    expect(matchModules(['dense'], names, 'x')).toEqual([true, true, true])
    expect(matchModules(['ense', 'layer.1'], names, 'x')).toEqual([false, false, false])
    expect(matchModules(['1.output.dense'], names, 'x')).toEqual([true, false, false])
    expect(matchModules([names[0]!], names, 'x')).toEqual([true, false, false])
    expect(matchModules('.*layer\\.1\\..*', names, 'x')).toEqual([true, false, true])
    expect(matchModules('dense', names, 'x')).toEqual([false, false, false])
    expect(matchModules('a|.*dense', names, 'x')).toEqual([true, true, true])
    expect(matchModules('roberta.*|a', ['roberta', 'xroberta', 'ab'], 'x')).toEqual([true, false, false])
    expect(matchModules('roberta|a', ['roberta.b', 'b.a', 'a'], 'x')).toEqual([false, false, true])
  })

  it('of several patterns the first that matches counts, from a dot on or the whole name', () => {
    expect(lookUpPattern({ 'layer.1.output.dense': 1, '.*output.dense': 2 }, names, 'x')).toEqual([1, 2, 2])
    expect(lookUpPattern({ 'output.dense': 1, 'attention.output.dense': 2 }, names, 'x')).toEqual([1, 1, 1])
    expect(lookUpPattern({ 'utput.dense': 1 }, names, 'x')).toEqual([undefined, undefined, undefined])
    expect(lookUpPattern({ [names[0]!]: 1 }, names, 'x')).toEqual([1, undefined, undefined])
  })
})
