/** Opening a model folder: published parameter counts, both families' ways to name tensors, and each mistake in one line. */
import { mkdir, mkdtemp, realpath, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseConfigFile } from '../../accelerated/files/configFile.js'
import { FileError } from '../../accelerated/files/fileError.js'
import { checkFinite, openModelFolder, type OpenOptions } from '../../accelerated/files/modelFolder.js'
import { readTensor } from '../../accelerated/files/safetensors/safetensors.js'
import { elementCount } from '../../accelerated/files/safetensors/safetensorsHeader.js'
import { writeSafetensors, type WritableTensor } from '../../accelerated/files/safetensors/writeSafetensors.js'
import {
  adapterModules,
  baseTensorShapes,
  encoderConfigOf,
  headTensorShapes,
  longestInput,
} from '../../accelerated/models/encoderConfig.js'
import { SEED } from '../support/seed.js'

let root = ''
let made = 0
beforeAll(async () => {
  root = await realpath(await mkdtemp(join(tmpdir(), 'salora-model-')))
})
afterAll(() => rm(root, { recursive: true }))

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

const configOf = (json: object) => encoderConfigOf(parseConfigFile(JSON.stringify(json), 'config.json'))

/** The tensors of a tiny checkpoint under the names that `rename` gives them; each holds its own place in the list, so that a mix-up shows. */
const tinyTensors = (json: object, rename: (name: string) => string, head = true): Map<string, WritableTensor> => {
  const config = configOf(json)
  const shapes = [...baseTensorShapes(config), ...(head ? headTensorShapes(config) : [])]
  return new Map(shapes.map(([name, shape], i) => [rename(name), { shape, data: new Float32Array(elementCount(shape)).fill(i) }]))
}

const prefixed =
  (family: string) =>
  (name: string): string =>
    name.startsWith('classifier') ? name : `${family}.${name}`

const folderOf = async (files: Readonly<Record<string, string | Uint8Array | object>>): Promise<string> => {
  const folder = join(root, `m${made++}`)
  await mkdir(folder)
  for (const [name, content] of Object.entries(files)) {
    await writeFile(join(folder, name), typeof content === 'string' || content instanceof Uint8Array ? content : JSON.stringify(content))
  }
  return folder
}

const messageFor = async (folder: string, options?: OpenOptions): Promise<string> => {
  const message = await openModelFolder(folder, options)
    .then(checkFinite)
    .then(
      () => 'no error',
      (thrown: Error) => {
        expect(thrown).toBeInstanceOf(FileError)
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
    const config = configOf(robertaBase)
    expect(count(baseTensorShapes(config)) + count(headTensorShapes(config))).toBe(124_647_170)
    expect(count(headTensorShapes(config))).toBe(592_130)
  })

  it('BERT-base with its pooler has the published 109,482,240 parameters', () => {
    const config = configOf(bertBase)
    const classifier = 2 * 768 + 2
    expect(count(baseTensorShapes(config)) + count(headTensorShapes(config)) - classifier).toBe(109_482_240)
  })

  it("rank 8 on the six matrices of RoBERTa-base costs the paper's 1.33 M parameters", () => {
    const modules = adapterModules(configOf(robertaBase))
    expect(modules.reduce((sum, { d, k }) => sum + 8 * (d + k), 0)).toBe(1_327_104)
    expect(modules.slice(0, 6).map(({ name }) => name)).toEqual([
      'encoder.layer.0.attention.self.query',
      'encoder.layer.0.attention.self.key',
      'encoder.layer.0.attention.self.value',
      'encoder.layer.0.attention.output.dense',
      'encoder.layer.0.intermediate.dense',
      'encoder.layer.0.output.dense',
    ])
  })

  it('RoBERTa takes 512 tokens of its 514 positions, BERT all of its 512', () => {
    expect([longestInput(configOf(robertaBase)), longestInput(configOf(bertBase))]).toEqual([512, 512])
  })

  it("a configuration maps onto the encoder's own words", () => {
    expect(configOf({ ...bert, num_labels: 1, classifier_dropout: 0.3, hidden_dropout_prob: 0.2 })).toEqual({
      family: 'bert',
      vocabularySize: 11,
      hiddenSize: 4,
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
      labels: 1,
      problem: 'regression',
    })
    expect(configOf({ ...roberta, id2label: { 0: 'a', 1: 'b', 2: 'c' } })).toMatchObject({
      labels: 3,
      problem: 'classification',
      headDropout: 0.1,
    })
    expect(configOf({ ...roberta, num_labels: 1, problem_type: 'single_label_classification' }).problem).toBe('classification')
  })
})

describe(`opening a model folder (seed ${SEED})`, () => {
  it.each([
    ['roberta', roberta],
    ['bert', bert],
  ] as const)('finds every tensor of a %s checkpoint with and without the prefix', async (family, json) => {
    const names = [...baseTensorShapes(configOf(json)).keys()]
    for (const rename of [prefixed(family), (name: string) => name]) {
      const model = await openModelFolder(
        await folderOf({ 'config.json': json, 'model.safetensors': writeSafetensors(tinyTensors(json, rename)) }),
      )
      expect([...model.tensors.keys()]).toEqual(names)
      expect(model.head).toBe('present')
      expect(model.ignored).toEqual([])
      expect(await readTensor(model.tensors.get(names[3]!)!)).toEqual(new Float32Array(4).fill(3))
      await checkFinite(model)
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

  it("reports an absent head, the tensors it has no use for, and BERT's pooler as part of the head", async () => {
    const tensors = tinyTensors(bert, prefixed('bert'), false)
    tensors.set('cls.predictions.bias', { shape: [11], data: new Float32Array(11) })
    tensors.set('bert.pooler.dense.weight', { shape: [4, 4], data: new Float32Array(16) })
    tensors.set('bert.pooler.dense.bias', { shape: [4], data: new Float32Array(4) })
    tensors.set('bert.embeddings.position_ids', { shape: [1, 9], data: new Float32Array(9) })
    const model = await openModelFolder(await folderOf({ 'config.json': bert, 'model.safetensors': writeSafetensors(tensors) }))
    expect(model.head).toBe('absent')
    expect([...model.headTensors.keys()].sort()).toEqual(['pooler.dense.bias', 'pooler.dense.weight'])
    expect(model.ignored).toEqual(['cls.predictions.bias'])
  })

  it('keeps only the parts of the head that fit a task with other outputs', async () => {
    const folder = await folderOf({
      'config.json': roberta,
      'model.safetensors': writeSafetensors(tinyTensors(roberta, prefixed('roberta'))),
    })
    const model = await openModelFolder(folder, { outputs: { labels: 3, problem: 'classification' } })
    expect(model.config.labels).toBe(3)
    expect(model.head).toBe('absent')
    expect([...model.headTensors.keys()].sort()).toEqual(['classifier.dense.bias', 'classifier.dense.weight'])
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
    expect(model.head).toBe('present')
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
  })

  it('gives the names of the classes in the order of the outputs', async () => {
    const json = { ...roberta, id2label: { 1: 'yes', 0: 'no' } }
    const folder = await folderOf({ 'config.json': json, 'model.safetensors': writeSafetensors(tinyTensors(json, prefixed('roberta'))) })
    expect((await openModelFolder(folder)).labelNames).toEqual(['no', 'yes'])
    expect((await openModelFolder(folder)).baseModelName).toBe(folder)
  })
})

describe(`mistakes in a model folder (seed ${SEED})`, () => {
  it.each<readonly [string, object, string | RegExp]>([
    [
      'another family',
      { ...roberta, model_type: 'llama' },
      'M/config.json: expected model_type "roberta" or "bert" (the supported families), found "llama"',
    ],
    ['no family', {}, 'M/config.json: expected model_type "roberta" or "bert" (the supported families), found nothing'],
    ['a list', [], 'M/config.json: expected a JSON object, found []'],
    [
      'heads that do not divide',
      { ...roberta, num_attention_heads: 3 },
      'M/config.json: expected num_attention_heads that divides hidden_size 4, found 3',
    ],
    ['a size that is no count', { ...roberta, hidden_size: 4.5 }, /^M\/config\.json: expected a valid hidden_size .*, found 4\.5$/],
    ['an absurd size', { ...roberta, vocab_size: 1e12 }, /^M\/config\.json: expected a valid vocab_size .*, found 1000000000000$/],
    ['a missing size', { ...roberta, hidden_size: undefined }, /^M\/config\.json: expected a valid hidden_size .*, found nothing$/],
    [
      'another activation',
      { ...roberta, hidden_act: 'relu' },
      /^M\/config\.json: expected a valid hidden_act .*"gelu"\|"gelu_new"\|"gelu_pytorch_tanh".*, found "relu"$/,
    ],
    [
      'relative positions',
      { ...bert, position_embedding_type: 'relative_key' },
      /^M\/config\.json: expected a valid position_embedding_type .*"absolute".*, found "relative_key"$/,
    ],
    ['a dropout of one', { ...bert, hidden_dropout_prob: 1 }, /^M\/config\.json: expected a valid hidden_dropout_prob .*, found 1$/],
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
      'several labels at once',
      { ...bert, problem_type: 'multi_label_classification' },
      'M/config.json: expected problem_type single_label_classification or regression, found multi_label_classification',
    ],
  ])('names %s in config.json', async (_, json, expected) => {
    const folder = await folderOf({ 'config.json': json, 'model.safetensors': writeSafetensors(tinyTensors(bert, prefixed('bert'))) })
    const message = await messageFor(folder)
    if (typeof expected === 'string') expect(message).toBe(expected)
    else expect(message).toMatch(expected)
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
    const names = [...baseTensorShapes(configOf(roberta))]
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
      'M/model.safetensors: expected no encoder tensor beyond those of config.json (2 layers), found "roberta.encoder.layer.2.output.dense.bias"',
    )
    expect(await broken((t) => t.set('embeddings.LayerNorm.bias', { shape: [4], data: new Float32Array(4) }))).toBe(
      'M: expected one tensor for "embeddings.LayerNorm.bias", found "embeddings.LayerNorm.bias" and "roberta.embeddings.LayerNorm.bias"',
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
