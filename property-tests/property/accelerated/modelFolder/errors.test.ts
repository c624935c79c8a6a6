/** Errors in a model folder are reported in one line each. */
import { symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../../accelerated/checkpoints/modelFolder.js'
import { writeSafetensors, type WritableTensor } from '../../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { architectures } from '../../../../accelerated/models/index.js'
import { loadTrainedModel } from '../../../../finetuning/use/openModel.js'
import { SEED } from '../../../support/seed.js'
import { asIntegers, bert, folderOf, messageFor, modelOf, place, prefixed, roberta, tinyTensors, usePlace } from './folders.js'

usePlace()

/** As a message lists them. */
const families = architectures.flatMap(({ modelTypes }) => modelTypes.map((type) => `"${type}"`)).join(' or ')

describe(`an error in a model folder (seed ${SEED})`, () => {
  it.each<readonly [string, object, string]>([
    [
      'another family',
      { ...roberta, model_type: 'gpt_neox' },
      `M/config.json: expected model_type ${families} (the supported families), got "gpt_neox"`,
    ],
    ['no family', {}, `M/config.json: expected model_type ${families} (the supported families), got nothing`],
    ['a list', [], 'M/config.json: expected a JSON object, got []'],
    [
      'heads that do not divide',
      { ...roberta, num_attention_heads: 3 },
      'M/config.json: expected num_attention_heads that divides hidden_size 4, got 3',
    ],
    [
      'a size that is not a whole number',
      { ...roberta, hidden_size: 4.5 },
      'M/config.json: expected an encoder whose hidden_size is a whole number, got 4.5',
    ],
    [
      'an absurd size',
      { ...roberta, vocab_size: 1e12 },
      'M/config.json: expected an encoder whose vocab_size is a whole number of at most 10000000, got 1000000000000',
    ],
    [
      'a missing size',
      { ...roberta, hidden_size: undefined },
      'M/config.json: expected an encoder whose hidden_size is a whole number, got nothing',
    ],
    [
      'another activation',
      { ...roberta, hidden_act: 'relu' },
      'M/config.json: expected an encoder whose hidden_act is one of gelu, gelu_new, gelu_pytorch_tanh, got "relu"',
    ],
    [
      'relative positions',
      { ...bert, position_embedding_type: 'relative_key' },
      'M/config.json: expected an encoder whose position_embedding_type is absolute, got "relative_key"',
    ],
    [
      'a dropout of one',
      { ...bert, hidden_dropout_prob: 1 },
      'M/config.json: expected an encoder whose hidden_dropout_prob is a number below 1, got 1',
    ],
    ['padding beyond the words', { ...bert, pad_token_id: 11 }, 'M/config.json: expected pad_token_id below vocab_size 11, got 11'],
    [
      'no room for positions',
      { ...roberta, max_position_embeddings: 2 },
      'M/config.json: expected max_position_embeddings above pad_token_id + 1 = 2, got 2',
    ],
    [
      'labels that disagree',
      { ...bert, num_labels: 3, id2label: { 0: 'a' } },
      'M/config.json: expected num_labels 3 names in id2label, got 1',
    ],
    [
      'labels numbered from 1',
      { ...bert, id2label: { 1: 'a', 2: 'b' } },
      'M/config.json: expected id2label with the keys 0 to 1, got no key 0',
    ],
    [
      'no count of labels',
      { ...bert, num_labels: 0 },
      'M/config.json: expected a configuration whose num_labels is a whole number of at least 1, got 0',
    ],
  ])('names %s in config.json', async (_, json, expected) => {
    const folder = await folderOf({ 'config.json': json, 'model.safetensors': writeSafetensors(tinyTensors(bert, prefixed('bert'))) })
    expect(await messageFor(folder)).toBe(expected)
  })

  it('is none for a multi-label config.json, from which any task can be trained', async () => {
    const json = { ...bert, problem_type: 'multi_label_classification' }
    const folder = await folderOf({ 'config.json': json, 'model.safetensors': writeSafetensors(tinyTensors(bert, prefixed('bert'))) })
    expect((await loadTrainedModel({ model: folder, adapter: null })).adapter.outputs).toMatchObject({
      problemType: 'multi_label_classification',
    })
    await writeFile(join(folder, 'config.json'), JSON.stringify(bert))
    expect((await openModelFolder(folder)).outputs).toMatchObject({ problemType: 'single_label_classification' })
    expect((await loadTrainedModel({ model: folder, adapter: null })).head.size).toBe(4)
  })

  it('names a missing folder, config.json or weights', async () => {
    expect(await messageFor(join(place.root, 'nowhere'))).toBe('M: expected a folder in Hugging Face layout, got nothing')
    expect(await messageFor(await folderOf({}))).toBe('M: expected config.json in the folder, got none')
    expect(await messageFor(await folderOf({ 'config.json': '{' }))).toMatch(/^M\/config\.json: expected JSON, got text that is not \(/)
    expect(await messageFor(await folderOf({ 'config.json': roberta }))).toBe(
      'M: expected model.safetensors or model.safetensors.index.json, got neither',
    )
    expect(await messageFor(await folderOf({ 'config.json': roberta, 'pytorch_model.bin': 'x' }))).toBe(
      'M: expected model.safetensors or model.safetensors.index.json, got only pytorch_model.bin (pickled weights are not read: convert them to safetensors)',
    )
  })

  const broken = async (change: (tensors: Map<string, WritableTensor>) => void): Promise<string> => {
    const tensors = tinyTensors(roberta, prefixed('roberta'))
    change(tensors)
    return messageFor(await folderOf({ 'config.json': roberta, 'model.safetensors': writeSafetensors(tensors) }))
  }

  it('names any absent tensor', () => {
    const names = [...modelOf(roberta).spec.tensors]
    return fc.assert(
      fc.asyncProperty(fc.constantFrom(...names), async ([name, shape]) => {
        expect(await broken((tensors) => tensors.delete(`roberta.${name}`))).toBe(
          `M: expected tensor ${name} [${shape.join(', ')}], got none of that name in the weights`,
        )
      }),
      { seed: SEED, numRuns: 20 },
    )
  })

  it('names a tensor that has another shape, is unexpected, or is there twice', async () => {
    const query = 'roberta.encoder.layer.1.attention.self.query.weight'
    expect(await broken((t) => t.set(query, { shape: [2, 8], data: new Float32Array(16) }))).toBe(
      `M/model.safetensors: expected tensor ${query} of shape [4, 4], got [2, 8]`,
    )
    expect(await broken((t) => t.set('roberta.encoder.layer.2.output.dense.bias', { shape: [4], data: new Float32Array(4) }))).toBe(
      'M/model.safetensors: expected no tensor of the encoder beyond those of config.json (2 layers), got "roberta.encoder.layer.2.output.dense.bias"',
    )
    expect(await broken((t) => t.set('embeddings.LayerNorm.bias', { shape: [4], data: new Float32Array(4) }))).toBe(
      'M: expected one tensor for "embeddings.LayerNorm.bias", got "embeddings.LayerNorm.bias" and "roberta.embeddings.LayerNorm.bias"',
    )
  })

  it('names a tensor of integers, in the encoder or beyond it', async () => {
    const tensors = tinyTensors(roberta, prefixed('roberta'))
    const message = async (name: string): Promise<string> =>
      messageFor(await folderOf({ 'config.json': roberta, 'model.safetensors': asIntegers(writeSafetensors(tensors), name) }))
    const query = 'roberta.encoder.layer.1.attention.self.query.weight'
    expect(await message(query)).toBe(`M/model.safetensors: expected tensor ${query} in F32, F16, BF16 or F64, got I32`)
    const beyond = 'roberta.encoder.layer.2.output.dense.bias'
    tensors.set(beyond, { shape: [4], data: new Float32Array(4) })
    expect(await message(beyond)).toBe(
      `M/model.safetensors: expected no tensor of the encoder beyond those of config.json (2 layers), got "${beyond}"`,
    )
  })

  it('names the tensor and the indices of a number that is not finite', async () => {
    expect(
      await broken((t) => {
        t.get('roberta.encoder.layer.0.intermediate.dense.weight')!.data[9] = NaN
      }),
    ).toBe('M/model.safetensors: expected finite float32 numbers in roberta.encoder.layer.0.intermediate.dense.weight, got NaN at [2, 1]')
    expect(
      await broken((t) => {
        t.get('classifier.out_proj.bias')!.data[1] = -Infinity
      }),
    ).toBe('M/model.safetensors: expected finite float32 numbers in classifier.out_proj.bias, got -Infinity at [1]')
    // of a head that is not asked for, nothing is read
    expect(
      await broken((t) => {
        t.set('lm_head.bias', { shape: [11], data: new Float32Array(11).fill(NaN) })
      }),
    ).toBe('no error')
  })

  it('names shards that are not plain file names, and links that leave the folder', async () => {
    const outside = join(place.root, 'outside.safetensors')
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
        `M/model.safetensors.index.json: expected shards named like model-00001-of-00002.safetensors, in the same folder, got "${shard}"`,
      )
    }
    const folder = await folderOf({ 'config.json': roberta })
    await symlink(outside, join(folder, 'model.safetensors'))
    expect(await messageFor(folder)).toBe(`M/model.safetensors: expected a file within M, got a link to ${outside}`)
    const inside = await folderOf({ 'config.json': roberta, 'stored.bin': writeSafetensors(tinyTensors(roberta, prefixed('roberta'))) })
    await symlink('stored.bin', join(inside, 'model.safetensors'))
    expect(await messageFor(inside)).toBe('no error')
  })

  it('names a tensor that its shard lacks', async () => {
    const folder = await folderOf({
      'config.json': roberta,
      'model.safetensors.index.json': { weight_map: { x: 'a.safetensors' } },
      'a.safetensors': writeSafetensors(new Map([['y', { shape: [], data: Float32Array.of(1) }]])),
    })
    expect(await messageFor(folder)).toBe(
      'M/a.safetensors: expected tensor "x" as model.safetensors.index.json says, got none of that name',
    )
  })
})
