/** Opening a model folder: tensor names of both families, heads, shards, links and class names. */
import { mkdir, rm, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { checkFinite } from '../../../../accelerated/checkpoints/frozenWeights.js'
import { headTensor, openModelFolder } from '../../../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../../../accelerated/checkpoints/safetensors/safetensors.js'
import { writeSafetensors } from '../../../../accelerated/checkpoints/safetensors/writeSafetensors.js'
import { SEED } from '../../../support/seed.js'
import {
  asIntegers,
  bert,
  folderOf,
  headOf,
  headTensorsIn,
  messageFor,
  modelOf,
  place,
  prefixed,
  roberta,
  tinyTensors,
  usePlace,
} from './folders.js'

usePlace()

describe(`opening a model folder (seed ${SEED})`, () => {
  it.each([
    ['roberta', roberta],
    ['bert', bert],
  ] as const)('finds every tensor of a %s checkpoint with and without the prefix', async (family, json) => {
    const names = [...modelOf(json).spec.tensors.keys()]
    for (const rename of [prefixed(family), (name: string) => name]) {
      const model = await openModelFolder(
        await folderOf({ 'config.json': json, 'model.safetensors': writeSafetensors(tinyTensors(json, rename)) }),
      )
      expect([...model.tensors.keys()]).toEqual(names)
      expect(headTensorsIn(model, headOf(json))).toEqual([...headOf(json).tensors.keys()])
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

  it("separates the encoder from BERT's pooler, which is part of the head, and from unused tensors", async () => {
    const tensors = tinyTensors(bert, prefixed('bert'), false)
    tensors.set('cls.predictions.bias', { shape: [11], data: new Float32Array(11) })
    tensors.set('bert.pooler.dense.weight', { shape: [4, 4], data: new Float32Array(16) })
    tensors.set('bert.pooler.dense.bias', { shape: [4], data: new Float32Array(4) })
    tensors.set('bert.embeddings.position_ids', { shape: [1, 9], data: new Float32Array(9) })
    const model = await openModelFolder(await folderOf({ 'config.json': bert, 'model.safetensors': writeSafetensors(tensors) }))
    expect(headTensorsIn(model, headOf(bert)).toSorted()).toEqual(['pooler.dense.bias', 'pooler.dense.weight'])
    expect([...model.others.keys()].sort()).toEqual(['cls.predictions.bias', 'pooler.dense.bias', 'pooler.dense.weight'])
  })

  it('finds only the parts of the head that fit a task with other outputs', async () => {
    const folder = await folderOf({
      'config.json': roberta,
      'model.safetensors': writeSafetensors(tinyTensors(roberta, prefixed('roberta'))),
    })
    const model = await openModelFolder(folder)
    expect(headTensorsIn(model, model.model.sequenceHead(3)).toSorted()).toEqual(['classifier.dense.bias', 'classifier.dense.weight'])
    expect(headTensor(model, 'classifier.out_proj.bias', [2])?.name).toBe('classifier.out_proj.bias')
    expect(headTensor(model, 'embeddings.LayerNorm.bias', [4])).toBe(undefined)
  })

  it('does not take integers for weights of a head', async () => {
    const bytes = writeSafetensors(tinyTensors(roberta, prefixed('roberta')))
    const model = await openModelFolder(
      await folderOf({ 'config.json': roberta, 'model.safetensors': asIntegers(bytes, 'classifier.dense.bias') }),
    )
    expect(headTensorsIn(model, headOf(roberta)).toSorted()).toEqual([
      'classifier.dense.weight',
      'classifier.out_proj.bias',
      'classifier.out_proj.weight',
    ])
  })

  it('opens shards like one file, and names a missing one', async () => {
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
    expect(headTensorsIn(model, headOf(roberta)).length).toBe(4)
    await rm(join(folder, shard(1)))
    expect(await messageFor(folder)).toBe(`M/model.safetensors.index.json: expected shard ${shard(1)} in the same folder, got no such file`)
  })

  it('follows the links of a hub cache, and takes the hub id from its name', async () => {
    const cache = join(place.root, 'models--OWNER--NAME')
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
