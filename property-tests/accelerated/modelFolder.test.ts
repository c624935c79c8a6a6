/** Opening a model folder: published parameter counts, both families' ways to name tensors, and each mistake in one line. */
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfigFile } from '../../accelerated/files/configFile.js'
import { Mistake } from '../../accelerated/files/mistake.js'
import { checkFinite, headTensor, openModelFolder, type ModelFolder, type OpenOptions } from '../../accelerated/files/modelFolder.js'
import { readTensor } from '../../accelerated/files/safetensors/safetensors.js'
import { elementCount } from '../../accelerated/files/safetensors/safetensorsHeader.js'
import { writeSafetensors, type WritableTensor } from '../../accelerated/files/safetensors/writeSafetensors.js'
import { architectures } from '../../accelerated/models/index.js'
import { encoderConfig } from '../../accelerated/models/bert/config.js'
import { plainHost } from '../../accelerated/models/host.js'
import { batchInputs } from '../../accelerated/models/batchInputs.js'
import { input } from '../../accelerated/graph/operators.js'
import type { Head, Model } from '../../accelerated/models/architecture.js'
import { loadTrainedModel } from '../../evaluation/adapters/trainedAdapter.js'
import { SEED } from '../support/seed.js'

let root = ''
let made = 0
beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'salora-model-')))
})
afterAll(() => rm(root, { recursive: true }))

/** As a message lists them. */
const families = architectures.flatMap(({ modelTypes }) => modelTypes.map((type) => `"${type}"`)).join(' or ')

const sizes = {
  vocab_size: 11,
  hidden_size: 4,
  num_hidden_layers: 2,
  num_attention_heads: 2,
  intermediate_size: 6,
  max_position_embeddings: 9,
}
const roberta = { model_type: 'roberta', ...sizes, type_vocab_size: 1, layer_norm_eps: 1e-5, pad_token_id: 1, hidden_act: 'gelu' }
const bert = { model_type: 'bert', ...sizes, type_vocab_size: 2, layer_norm_eps: 1e-12, pad_token_id: 0, hidden_act: 'gelu_new' }

const robertaBase = {
  ...roberta,
  vocab_size: 50265,
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  max_position_embeddings: 514,
}
const bertBase = {
  ...bert,
  vocab_size: 30522,
  hidden_size: 768,
  num_hidden_layers: 12,
  num_attention_heads: 12,
  intermediate_size: 3072,
  max_position_embeddings: 512,
}

const parsed = (json: object) => parseConfigFile(JSON.stringify(json), 'config.json')
const modelOf = (json: object): Model => parsed(json).model
const headOf = (json: object): Head => modelOf(json).sequenceHead(parsed(json).outputs.labels)

/** The tensors of a tiny checkpoint under the names that `rename` gives them; each holds its own place in the list, so that a mix-up shows. */
const tinyTensors = (json: object, rename: (name: string) => string, head = true): Map<string, WritableTensor> => {
  const shapes = [...modelOf(json).outline.tensors, ...(head ? headOf(json).tensors : [])]
  return new Map(shapes.map(([name, shape], i) => [rename(name), { shape, data: new Float32Array(elementCount(shape)).fill(i) }]))
}

const prefixed =
  (family: string) =>
  (name: string): string =>
    name.startsWith('classifier') ? name : `${family}.${name}`

/** The file with a tensor's type changed in its header. */
const asIntegers = (bytes: Uint8Array, name: string): Uint8Array =>
  Buffer.from(Buffer.from(bytes).toString('latin1').replace(`"${name}":{"dtype":"F32"`, `"${name}":{"dtype":"I32"`), 'latin1')

const folderOf = async (files: Readonly<Record<string, string | Uint8Array | object>>): Promise<string> => {
  const folder = join(root, `m${made++}`)
  await mkdir(folder)
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content))
  }
  return folder
}

/** The names of the head's tensors that the files have in the head's shapes. */
const found = (model: ModelFolder, { tensors }: Head): ReadonlyArray<string> =>
  [...tensors].filter(([name, shape]) => headTensor(model, name, shape) !== undefined).map(([name]) => name)

const messageFor = async (folder: string, options?: OpenOptions): Promise<string> => {
  const message = await openModelFolder(folder, options)
    .then((opened) => checkFinite(opened, opened.model.sequenceHead(opened.outputs.labels).tensors))
    .then(
      () => 'no error',
      (thrown: Error) => {
        expect(thrown).toBeInstanceOf(Mistake)
        return thrown.message
      },
    )
  expect(message).not.toContain('\n')
  return message.replaceAll(folder, 'M')
}

describe(`encoder shapes (seed ${SEED})`, () => {
  const count = (shapes: ReadonlyMap<string, ReadonlyArray<number>>): number =>
    [...shapes.values()].reduce((sum, shape) => sum + elementCount(shape), 0)

  it('RoBERTa-base as a two-class classifier has the published 124,647,170 parameters', () => {
    expect(count(modelOf(robertaBase).outline.tensors) + count(headOf(robertaBase).tensors)).toBe(124_647_170)
    expect(count(headOf(robertaBase).tensors)).toBe(592_130)
  })

  it('RoBERTa-base as a masked language model has the published 124,697,433 parameters', () => {
    const { outline, maskedHead } = modelOf(robertaBase)
    expect(count(outline.tensors) + count(maskedHead?.().tensors ?? new Map())).toBe(124_697_433)
  })

  it('BERT-base with its pooler has the published 109,482,240 parameters', () => {
    const classifier = 2 * 768 + 2
    expect(count(modelOf(bertBase).outline.tensors) + count(headOf(bertBase).tensors) - classifier).toBe(109_482_240)
  })

  it('RoBERTa-base has six matrices a layer that an adapter can be put on', () => {
    const { matrices } = modelOf(robertaBase).outline
    expect(matrices).toHaveLength(12 * 6)
    expect(matrices.slice(0, 6).map(({ name }) => name)).toEqual([
      'encoder.layer.0.attention.self.query',
      'encoder.layer.0.attention.self.key',
      'encoder.layer.0.attention.self.value',
      'encoder.layer.0.attention.output.dense',
      'encoder.layer.0.intermediate.dense',
      'encoder.layer.0.output.dense',
    ])
  })

  it('RoBERTa takes 512 tokens of its 514 positions, BERT all of its 512', () => {
    expect([modelOf(robertaBase), modelOf(bertBase)].map(({ outline }) => outline.longestInput)).toEqual([512, 512])
  })

  it("a configuration maps onto the encoder's own words", () => {
    expect(encoderConfig({ ...bert, num_labels: 1, classifier_dropout: 0.3, hidden_dropout_prob: 0.2 }, 'config.json')).toEqual({
      family: 'bert',
      vocabularySize: 11,
      hiddenSize: 4,
      embeddingSize: 4,
      layers: 2,
      heads: 2,
      intermediateSize: 6,
      maxPositions: 9,
      tokenTypes: 2,
      layerNormEpsilon: 1e-12,
      activation: 'gelu_tanh',
      paddingIndex: 0,
      hiddenDropout: 0.2,
      attentionDropout: 0.1,
      headDropout: 0.3,
    })
    expect(encoderConfig(roberta, 'config.json').headDropout).toBe(0.1)
  })

  it('what it says of the outputs is read apart from the encoder', () => {
    expect(parsed({ ...bert, num_labels: 1 }).outputs).toEqual({ labels: 1, problem: 'regression' })
    expect(parsed({ ...roberta, id2label: { 0: 'a', 1: 'b', 2: 'c' } }).outputs).toEqual({ labels: 3, problem: 'classification' })
    expect(parsed({ ...roberta, num_labels: 1, problem_type: 'single_label_classification' }).outputs).toEqual({
      labels: 1,
      problem: 'classification',
    })
    expect(parsed({ ...roberta, num_labels: 3, problem_type: 'regression' }).outputs).toEqual({ labels: 3, problem: 'regression' })
    expect(parsed(bert).outputs).toEqual({ labels: 2, problem: 'classification' })
  })

  it.each<readonly [string, object, ReadonlyArray<string>]>([
    ['roberta', roberta, ['head.input', 'head.hidden']],
    ['bert', bert, ['head.input']],
  ])('a %s drops out where the configuration says so, each site by its own probability, or all by one', (_, json, headSites) => {
    const sitesOf = (model: Model): Readonly<Record<string, number>> => {
      const sites: Record<string, number> = {}
      const shapes = new Map([...model.outline.tensors, ...model.sequenceHead(2).tensors])
      const host = {
        ...plainHost((name) => input(name, shapes.get(name) ?? [], 'float64')),
        dropout: (site: string, x: ReturnType<typeof input>, probability: number) => {
          sites[site] = probability
          return x
        },
      }
      model.sequenceHead(2).outputs(model.hidden(host, batchInputs('float64')), host)
      return sites
    }
    const probabilities = { hidden_dropout_prob: 0.2, attention_probs_dropout_prob: 0.4, classifier_dropout: 0.3 }
    const sites = (hidden: number, attention: number, head: number) => ({
      embeddings: hidden,
      ...Object.fromEntries(
        [0, 1].flatMap((layer) => [
          [`encoder.layer.${layer}.attention.probabilities`, attention],
          [`encoder.layer.${layer}.attention.output`, hidden],
          [`encoder.layer.${layer}.output`, hidden],
        ]),
      ),
      ...Object.fromEntries(headSites.map((site) => [site, head])),
    })
    const model = modelOf({ ...json, ...probabilities })
    expect(sitesOf(model)).toEqual(sites(0.2, 0.4, 0.3))
    expect(sitesOf(model.withDropout(0.7))).toEqual(sites(0.7, 0.7, 0.7))
  })
})

describe(`opening a model folder (seed ${SEED})`, () => {
  it.each([
    ['roberta', roberta],
    ['bert', bert],
  ] as const)('finds every tensor of a %s checkpoint with and without the prefix', async (family, json) => {
    const names = [...modelOf(json).outline.tensors.keys()]
    for (const rename of [prefixed(family), (name: string) => name]) {
      const model = await openModelFolder(
        await folderOf({ 'config.json': json, 'model.safetensors': writeSafetensors(tinyTensors(json, rename)) }),
      )
      expect([...model.tensors.keys()]).toEqual(names)
      expect(found(model, headOf(json))).toEqual([...headOf(json).tensors.keys()])
      expect([...model.others.keys()].sort()).toEqual([...headOf(json).tensors.keys()].sort())
      expect(await readTensor(model.tensors.get(names[3]!)!)).toEqual(new Float32Array(4).fill(3))
      await checkFinite(model, headOf(json).tensors)
    }
  })

  it('reads the LayerNorm of old checkpoints, whose weight is called gamma and whose bias beta', async () => {
    const old = (name: string): string =>
      `bert.${name}`.replace('LayerNorm.weight', 'LayerNorm.gamma').replace('LayerNorm.bias', 'LayerNorm.beta')
    const model = await openModelFolder(
      await folderOf({ 'config.json': bert, 'model.safetensors': writeSafetensors(tinyTensors(bert, old, false)) }),
    )
    expect(model.tensors.get('embeddings.LayerNorm.weight')?.name).toBe('bert.embeddings.LayerNorm.gamma')
    expect(model.tensors.get('embeddings.LayerNorm.bias')?.name).toBe('bert.embeddings.LayerNorm.beta')
  })

  it("keeps apart what is no encoder's: BERT's pooler, which is a part of the head, and tensors it has no use for", async () => {
    const tensors = tinyTensors(bert, prefixed('bert'), false)
    tensors.set('cls.predictions.bias', { shape: [11], data: new Float32Array(11) })
    tensors.set('bert.pooler.dense.weight', { shape: [4, 4], data: new Float32Array(16) })
    tensors.set('bert.pooler.dense.bias', { shape: [4], data: new Float32Array(4) })
    tensors.set('bert.embeddings.position_ids', { shape: [1, 9], data: new Float32Array(9) })
    const model = await openModelFolder(await folderOf({ 'config.json': bert, 'model.safetensors': writeSafetensors(tensors) }))
    expect(found(model, headOf(bert)).toSorted()).toEqual(['pooler.dense.bias', 'pooler.dense.weight'])
    expect([...model.others.keys()].sort()).toEqual(['cls.predictions.bias', 'pooler.dense.bias', 'pooler.dense.weight'])
  })

  it('finds only the parts of the head that fit a task with other outputs', async () => {
    const folder = await folderOf({
      'config.json': roberta,
      'model.safetensors': writeSafetensors(tinyTensors(roberta, prefixed('roberta'))),
    })
    const model = await openModelFolder(folder)
    expect(found(model, model.model.sequenceHead(3)).toSorted()).toEqual(['classifier.dense.bias', 'classifier.dense.weight'])
    expect(headTensor(model, 'classifier.out_proj.bias', [2])?.name).toBe('classifier.out_proj.bias')
    expect(headTensor(model, 'embeddings.LayerNorm.bias', [4])).toBe(undefined)
  })

  it('holds no integers for weights of a head', async () => {
    const bytes = writeSafetensors(tinyTensors(roberta, prefixed('roberta')))
    const model = await openModelFolder(
      await folderOf({ 'config.json': roberta, 'model.safetensors': asIntegers(bytes, 'classifier.dense.bias') }),
    )
    expect(found(model, headOf(roberta)).toSorted()).toEqual([
      'classifier.dense.weight',
      'classifier.out_proj.bias',
      'classifier.out_proj.weight',
    ])
  })

  it('opens shards like one file', async () => {
    const tensors = [...tinyTensors(roberta, prefixed('roberta'))]
    const shard = (part: number) => `model-0000${part + 1}-of-00002.safetensors`
    const folder = await folderOf({
      'config.json': roberta,
      'model.safetensors.index.json': {
        metadata: { total_size: 1 },
        weight_map: Object.fromEntries(tensors.map(([name], i) => [name, shard(i % 2)])),
      },
      [shard(0)]: writeSafetensors(new Map(tensors.filter((_, i) => i % 2 === 0))),
      [shard(1)]: writeSafetensors(new Map(tensors.filter((_, i) => i % 2 === 1))),
    })
    const model = await openModelFolder(folder)
    expect(await readTensor([...model.tensors.values()][1]!)).toEqual(new Float32Array(36).fill(1))
    expect(found(model, headOf(roberta)).length).toBe(4)
    await rm(join(folder, shard(1)))
    expect(await messageFor(folder)).toBe(
      `M/model.safetensors.index.json: expected shard ${shard(1)} in the same folder, found no such file`,
    )
  })

  it('follows the links of a hub cache, and takes the hub id from its name', async () => {
    const cache = join(root, 'models--OWNER--NAME')
    const folder = join(cache, 'snapshots', 'abc')
    await mkdir(folder, { recursive: true })
    await mkdir(join(cache, 'blobs'))
    await writeFile(join(cache, 'blobs', '1'), JSON.stringify(roberta))
    await writeFile(join(cache, 'blobs', '2'), writeSafetensors(tinyTensors(roberta, prefixed('roberta'))))
    await symlink('../../blobs/1', join(folder, 'config.json'))
    await symlink('../../blobs/2', join(folder, 'model.safetensors'))
    expect((await openModelFolder(folder)).baseModelName).toBe('OWNER/NAME')
    expect((await openModelFolder(folder, { baseModelName: 'theirs' })).baseModelName).toBe('theirs')
  })

  it('gives the names of the classes in the order of the outputs', async () => {
    const json = { ...roberta, id2label: { 1: 'yes', 0: 'no' } }
    const folder = await folderOf({ 'config.json': json, 'model.safetensors': writeSafetensors(tinyTensors(json, prefixed('roberta'))) })
    expect((await openModelFolder(folder)).labelNames).toEqual(['no', 'yes'])
    expect((await openModelFolder(folder)).baseModelName).toBe(folder)
  })
})

describe(`mistakes in a model folder (seed ${SEED})`, () => {
  it.each<readonly [string, object, string]>([
    [
      'another family',
      { ...roberta, model_type: 'gpt2' },
      `M/config.json: expected model_type ${families} (the supported families), found "gpt2"`,
    ],
    ['no family', {}, `M/config.json: expected model_type ${families} (the supported families), found nothing`],
    ['a list', [], 'M/config.json: expected a JSON object, found []'],
    [
      'heads that do not divide',
      { ...roberta, num_attention_heads: 3 },
      'M/config.json: expected num_attention_heads that divides hidden_size 4, found 3',
    ],
    [
      'a size that is no count',
      { ...roberta, hidden_size: 4.5 },
      'M/config.json: expected an encoder whose hidden_size is a whole number, found 4.5',
    ],
    [
      'an absurd size',
      { ...roberta, vocab_size: 1e12 },
      'M/config.json: expected an encoder whose vocab_size is a whole number of at most 10000000, found 1000000000000',
    ],
    [
      'a missing size',
      { ...roberta, hidden_size: undefined },
      'M/config.json: expected an encoder whose hidden_size is a whole number, found nothing',
    ],
    [
      'another activation',
      { ...roberta, hidden_act: 'relu' },
      'M/config.json: expected an encoder whose hidden_act is one of gelu, gelu_new, gelu_pytorch_tanh, found "relu"',
    ],
    [
      'relative positions',
      { ...bert, position_embedding_type: 'relative_key' },
      'M/config.json: expected an encoder whose position_embedding_type is absolute, found "relative_key"',
    ],
    [
      'a dropout of one',
      { ...bert, hidden_dropout_prob: 1 },
      'M/config.json: expected an encoder whose hidden_dropout_prob is a number below 1, found 1',
    ],
    ['padding beyond the words', { ...bert, pad_token_id: 11 }, 'M/config.json: expected pad_token_id below vocab_size 11, found 11'],
    [
      'no room for positions',
      { ...roberta, max_position_embeddings: 2 },
      'M/config.json: expected max_position_embeddings above pad_token_id + 1 = 2, found 2',
    ],
    [
      'labels that disagree',
      { ...bert, num_labels: 3, id2label: { 0: 'a' } },
      'M/config.json: expected num_labels 3 names in id2label, found 1',
    ],
    [
      'labels numbered from 1',
      { ...bert, id2label: { 1: 'a', 2: 'b' } },
      'M/config.json: expected id2label with the keys 0 to 1, found no key 0',
    ],
    [
      'no count of labels',
      { ...bert, num_labels: 0 },
      'M/config.json: expected a configuration whose num_labels is a whole number of at least 1, found 0',
    ],
  ])('names %s in config.json', async (_, json, expected) => {
    const folder = await folderOf({ 'config.json': json, 'model.safetensors': writeSafetensors(tinyTensors(bert, prefixed('bert'))) })
    expect(await messageFor(folder)).toBe(expected)
  })

  it('of several labels at once is what its config.json says; it can be trained on for any task', async () => {
    const json = { ...bert, problem_type: 'multi_label_classification' }
    const folder = await folderOf({ 'config.json': json, 'model.safetensors': writeSafetensors(tinyTensors(bert, prefixed('bert'))) })
    expect((await loadTrainedModel({ model: folder, adapter: null })).adapter.outputs.problem).toBe('multi-label')
    await writeFile(join(folder, 'config.json'), JSON.stringify(bert))
    expect((await openModelFolder(folder)).outputs.problem).toBe('classification')
    expect((await loadTrainedModel({ model: folder, adapter: null })).head.size).toBe(4)
  })

  it('names what is missing: the folder, config.json, the weights', async () => {
    expect(await messageFor(join(root, 'nowhere'))).toBe('M: expected a folder in Hugging Face layout, found nothing')
    expect(await messageFor(await folderOf({}))).toBe('M: expected config.json in the folder, found none')
    expect(await messageFor(await folderOf({ 'config.json': '{' }))).toMatch(/^M\/config\.json: expected JSON, found text that is not \(/)
    expect(await messageFor(await folderOf({ 'config.json': roberta }))).toBe(
      'M: expected model.safetensors or model.safetensors.index.json, found neither',
    )
    expect(await messageFor(await folderOf({ 'config.json': roberta, 'pytorch_model.bin': 'x' }))).toBe(
      'M: expected model.safetensors or model.safetensors.index.json, found only pytorch_model.bin (pickled weights are not read: convert them to safetensors)',
    )
  })

  const broken = async (change: (tensors: Map<string, WritableTensor>) => void): Promise<string> => {
    const tensors = tinyTensors(roberta, prefixed('roberta'))
    change(tensors)
    return messageFor(await folderOf({ 'config.json': roberta, 'model.safetensors': writeSafetensors(tensors) }))
  }

  it('names any one tensor that is absent', () => {
    const names = [...modelOf(roberta).outline.tensors]
    return fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), async ([name, shape]) => {
        expect(await broken((tensors) => tensors.delete(`roberta.${name}`))).toBe(
          `M: expected tensor ${name} [${shape.join(',')}], found none of that name in the weights`,
        )
      }),
      { seed: SEED, numRuns: 20 },
    )
  })

  it('names a tensor of another shape, one too many and one twice', async () => {
    const query = 'roberta.encoder.layer.1.attention.self.query.weight'
    expect(await broken((t) => t.set(query, { shape: [2, 8], data: new Float32Array(16) }))).toBe(
      `M/model.safetensors: expected tensor ${query} of shape [4,4], found [2,8]`,
    )
    expect(await broken((t) => t.set('roberta.encoder.layer.2.output.dense.bias', { shape: [4], data: new Float32Array(4) }))).toBe(
      'M/model.safetensors: expected no tensor of the encoder beyond those of config.json (2 layers), found "roberta.encoder.layer.2.output.dense.bias"',
    )
    expect(await broken((t) => t.set('embeddings.LayerNorm.bias', { shape: [4], data: new Float32Array(4) }))).toBe(
      'M: expected one tensor for "embeddings.LayerNorm.bias", found "embeddings.LayerNorm.bias" and "roberta.embeddings.LayerNorm.bias"',
    )
  })

  it('names a tensor of integers, of the encoder or beyond it', async () => {
    const tensors = tinyTensors(roberta, prefixed('roberta'))
    const message = async (name: string): Promise<string> =>
      messageFor(await folderOf({ 'config.json': roberta, 'model.safetensors': asIntegers(writeSafetensors(tensors), name) }))
    const query = 'roberta.encoder.layer.1.attention.self.query.weight'
    expect(await message(query)).toBe(`M/model.safetensors: expected tensor ${query} in F32, F16, BF16 or F64, found I32`)
    const beyond = 'roberta.encoder.layer.2.output.dense.bias'
    tensors.set(beyond, { shape: [4], data: new Float32Array(4) })
    expect(await message(beyond)).toBe(
      `M/model.safetensors: expected no tensor of the encoder beyond those of config.json (2 layers), found "${beyond}"`,
    )
  })

  it('names the tensor and the place of a number that is not finite', async () => {
    expect(
      await broken((t) => {
        t.get('roberta.encoder.layer.0.intermediate.dense.weight')!.data[9] = NaN
      }),
    ).toBe('M/model.safetensors: expected finite float32 numbers in roberta.encoder.layer.0.intermediate.dense.weight, found NaN at [2,1]')
    expect(
      await broken((t) => {
        t.get('classifier.out_proj.bias')!.data[1] = -Infinity
      }),
    ).toBe('M/model.safetensors: expected finite float32 numbers in classifier.out_proj.bias, found -Infinity at [1]')
    // of a head that is not asked for, nothing is read
    expect(
      await broken((t) => {
        t.set('lm_head.bias', { shape: [11], data: new Float32Array(11).fill(NaN) })
      }),
    ).toBe('no error')
  })

  it('refuses shards that are not plain names, and links that leave the folder', async () => {
    const outside = join(root, 'outside.safetensors')
    await writeFile(outside, writeSafetensors(tinyTensors(roberta, prefixed('roberta'))))
    for (const shard of [
      '../outside.safetensors',
      outside,
      'a/b.safetensors',
      'a\\b.safetensors',
      '..',
      'model.bin',
      'x..safetensors',
      '',
    ]) {
      const folder = await folderOf({ 'config.json': roberta, 'model.safetensors.index.json': { weight_map: { x: shard } } })
      expect(await messageFor(folder)).toBe(
        `M/model.safetensors.index.json: expected shards named like model-00001-of-00002.safetensors, in the same folder, found "${shard}"`,
      )
    }
    const folder = await folderOf({ 'config.json': roberta })
    await symlink(outside, join(folder, 'model.safetensors'))
    expect(await messageFor(folder)).toBe(`M/model.safetensors: expected a file within M, found a link to ${outside}`)
    const inside = await folderOf({ 'config.json': roberta, 'stored.bin': writeSafetensors(tinyTensors(roberta, prefixed('roberta'))) })
    await symlink('stored.bin', join(inside, 'model.safetensors'))
    expect(await messageFor(inside)).toBe('no error')
  })

  it('names a tensor that the index puts into a shard which lacks it', async () => {
    const folder = await folderOf({
      'config.json': roberta,
      'model.safetensors.index.json': { weight_map: { x: 'a.safetensors' } },
      'a.safetensors': writeSafetensors(new Map([['y', { shape: [], data: Float32Array.of(1) }]])),
    })
    expect(await messageFor(folder)).toBe(
      'M/a.safetensors: expected tensor "x" as model.safetensors.index.json says, found none of that name',
    )
  })
})
