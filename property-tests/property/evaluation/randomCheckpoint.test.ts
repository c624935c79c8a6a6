/** A checkpoint of random weights in fp16 shards: its content, its opening, and the messages about a wrong shard, index or config. */
import { readdir, readFile, rename, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { mean, standardDeviation } from 'simple-statistics'
import { describe, expect, it } from 'vitest'
import { weightSource } from '../../../accelerated/checkpoints/frozenWeights.js'
import { InputError } from '../../../accelerated/errors/inputError.js'
import { openModelFolder, type OpenOptions } from '../../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { mul } from '../../../accelerated/graph/operators.js'
import { precisions } from '../../../accelerated/precisions/index.js'
import { checkWeightsFit } from '../../../accelerated/precisions/memoryCheck.js'
import { findPrecision } from '../../../accelerated/settings/commonSettings.js'
import { openFrozen } from '../../../accelerated/precisions/precision.js'
import { cpu } from '../../../accelerated/engines/devices/device.js'
import { writeRandomCheckpoint } from '../../support/randomCheckpoint.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const config = {
  model_type: 'llama',
  vocab_size: 101,
  hidden_size: 64,
  intermediate_size: 96,
  num_hidden_layers: 4,
  num_attention_heads: 4,
}
const ofLayer = 4 * 64 * 64 + 3 * 64 * 96 + 2 * 64
const besides = 2 * 101 * 64 + 64
const shardBytes = 60_000

const { folder: root } = temporaryFolder('random')
let made = 0

const written = async (seed = 0): Promise<string> => {
  const folder = join(root, `m${made++}`)
  await writeRandomCheckpoint(folder, config, { seed, shardBytes })
  return folder
}
const shardsIn = async (folder: string): Promise<readonly string[]> =>
  (await readdir(folder)).filter((name) => name.endsWith('.safetensors')).toSorted()

/** The message of an InputError, with M for the folder. */
const lineOf = (folder: string, opening: Promise<unknown>): Promise<string> =>
  opening.then(
    () => 'no error',
    (thrown: Error) => {
      expect(thrown).toBeInstanceOf(InputError)
      expect(thrown.message).not.toContain('\n')
      return thrown.message.replaceAll(folder, 'M')
    },
  )
const refusal = (folder: string, options?: OpenOptions): Promise<string> => lineOf(folder, openModelFolder(folder, options))

describe('a random checkpoint', () => {
  it('has fp16 shards of the requested size, each tensor within one shard, and opens', async () => {
    const folder = await written()
    const shards = await shardsIn(folder)
    expect(shards.length).toBe(6)
    expect(shards[0]).toBe('model-00001-of-00006.safetensors')
    for (const shard of shards) expect((await stat(join(folder, shard))).size).toBeLessThan(shardBytes + 4_000) // and a header
    const { frozen, files } = await openModelFolder(folder)
    expect([...frozen.values()].reduce((sum, { length }) => sum + length, 0)).toBe(2 * (4 * ofLayer + besides))
    expect(new Set([...frozen.values()].map(({ dtype }) => dtype))).toEqual(new Set(['F16']))
    expect(files.locations.size).toBe(6)
    expect(frozen.get('lm_head.weight')?.shape).toEqual([101, 64])
  })

  it('has independent normal matrices of standard deviation 0.02, and norm weights of 1', async () => {
    const { tensors } = await openModelFolder(await written())
    const [query, key] = await Promise.all(
      ['q_proj', 'k_proj'].map((name) => readTensor(tensors.get(`layers.3.self_attn.${name}.weight`)!)),
    )
    for (const W of [query!, key!]) {
      expect(Math.abs(mean([...W]))).toBeLessThan((4 * 0.02) / 64)
      expect(standardDeviation([...W])).toBeCloseTo(0.02, 3)
      expect([...W].filter((x) => Math.abs(x) > 0.04).length / W.length).toBeCloseTo(0.0455, 1) // beyond two deviations
    }
    const product = query!.reduce((sum, x, i) => sum + x * (key![i] ?? NaN), 0) / query!.length
    expect(Math.abs(product)).toBeLessThan((4 * 0.02 ** 2) / 64)
    expect(await readTensor(tensors.get('norm.weight')!)).toEqual(new Float32Array(64).fill(1))
  })

  it('has the same bytes for the same seed, and other bytes for another seed', async () => {
    const [one, same, other] = [await written(), await written(), await written(1)]
    for (const shard of await shardsIn(one)) {
      const bytes = await readFile(join(one, shard))
      expect(bytes.equals(await readFile(join(same, shard)))).toBe(true)
      expect(bytes.equals(await readFile(join(other, shard)))).toBe(false)
    }
  })

  it.each(['float32', 'int8'])('gives a session its weights from all shards in %s, including the output matrix', async (precision) => {
    const base = await openModelFolder(await written())
    const { tensor, weights } = await openFrozen(findPrecision(precision), base, join(root, 'cache'))
    const names = ['embed_tokens.weight', 'layers.0.input_layernorm.weight', 'lm_head.weight']
    const session = await cpu
      .engine({ threads: 1 })
      .open(Object.fromEntries(names.map((name) => [`twice ${name}`, mul(tensor(name), 2)])), weights)
    const outputs = await session.run({})
    await session.release()
    for (const name of names) expect(outputs[`twice ${name}`], name).toEqual((await readTensor(base.frozen.get(name)!)).map((x) => 2 * x))
  })
})

describe('the error about a sharded checkpoint', () => {
  it('names a shard that is missing, truncated, or changed after opening', async () => {
    const folder = await written()
    const shards = await shardsIn(folder)
    const [first, last] = [join(folder, shards[0]!), join(folder, shards.at(-1)!)]
    const source = weightSource(await openModelFolder(folder))
    await rename(last, `${last}.gone`)
    expect(await refusal(folder)).toBe(
      'M/model.safetensors.index.json: expected shard model-00006-of-00006.safetensors in the same folder, got no such file',
    )
    await writeFile(last, (await readFile(`${last}.gone`)).subarray(0, -2))
    expect(await refusal(folder)).toMatch(
      /^M\/model-00006-of-00006\.safetensors: expected \d+ bytes of data after the header, got \d+ \(the file is truncated\)$/,
    )
    expect(await lineOf(folder, source())).toBe(
      'M/model-00006-of-00006.safetensors: expected the weights that were there at the start, got a file changed since',
    )
    await rename(`${last}.gone`, last)
    await rename(first, last)
    expect(await refusal(folder)).toMatch(
      /^M\/model\.safetensors\.index\.json: expected shard model-00001-of-00006\.safetensors in the same/,
    )
  })

  it('names a tensor that the index assigns to the wrong shard, and one that it omits', async () => {
    const folder = await written()
    const index = join(folder, 'model.safetensors.index.json')
    const { weight_map: map } = JSON.parse(await readFile(index, 'utf8')) as { readonly weight_map: Record<string, string> }
    const changed = (more: Readonly<Record<string, string | undefined>>) =>
      writeFile(index, JSON.stringify({ weight_map: { ...map, ...more } }))
    await changed({ 'model.norm.weight': 'model-00001-of-00006.safetensors' })
    expect(await refusal(folder)).toBe(
      'M/model-00001-of-00006.safetensors: expected tensor "model.norm.weight" as model.safetensors.index.json says, got none of that name',
    )
    await changed({ 'model.norm.weight': undefined })
    expect(await refusal(folder)).toBe('M: expected tensor norm.weight [64], got none of that name in the weights')
    await changed({ 'model.norm.weight': '../m0/model-00001-of-00006.safetensors' })
    expect(await refusal(folder)).toMatch(/expected shards named like model-00001-of-00002\.safetensors, in the same folder, got "\.\.\/m0/)
  })

  it.each([
    [
      'another width',
      { intermediate_size: 95 },
      /: expected tensor model\.layers\.0\.mlp\.gate_proj\.weight of shape \[95, 64\], got \[96, 64\]$/,
    ],
    ['another vocabulary', { vocab_size: 100 }, /: expected tensor model\.embed_tokens\.weight of shape \[100, 64\], got \[101, 64\]$/],
    [
      'fewer layers',
      { num_hidden_layers: 3 },
      /: expected no tensor of the decoder beyond those of config\.json \(3 layers\), got "model\.layers\.3\./,
    ],
    ['more layers', { num_hidden_layers: 5 }, /^M: expected tensor layers\.4\.\S+ \[\d+, \d+\], got none of that name in the weights$/],
    [
      'shared heads',
      { num_key_value_heads: 2 },
      /: expected tensor model\.layers\.0\.self_attn\.k_proj\.weight of shape \[32, 64\], got \[64, 64\]$/,
    ],
  ])('names a tensor whose shape contradicts a config with %s', async (_, wrong, line) => {
    const folder = await written()
    await writeFile(join(folder, 'config.json'), JSON.stringify({ ...config, ...wrong }))
    expect(await refusal(folder)).toMatch(line)
  })

  it('names the number of layers that fit if the weights exceed memory at one byte per number', async () => {
    const folder = await written()
    const numbers = 4 * ofLayer + besides
    expect(await refusal(folder, { memory: numbers })).toBe('no error')
    for (const [memory, layers] of [
      [numbers - 1, 3],
      [besides + 2 * ofLayer, 2],
      [besides + 2 * ofLayer - 1, 1],
      [besides - 1, 0],
    ] as const)
      expect(await refusal(folder, { memory })).toBe(
        `M: expected weights that fit into memory (${(memory / 1e9).toPrecision(3)} GB here), got ${(numbers / 1e9).toPrecision(3)} GB at one byte per number; ${layers} of its 4 layers would fit`,
      )
  })

  it('names a precision that fits if the requested one exceeds memory', async () => {
    const folder = await written()
    const base = await openModelFolder(folder)
    const [half, eight] = [findPrecision('float32'), findPrecision('int8')].map(({ weightBytes }) => weightBytes(base)) as [number, number]
    expect(half).toBe(2 * (4 * ofLayer + besides))
    expect(eight).toBe(2 * 4 * (ofLayer - 2 * 64) + 4 * (besides + 4 * 2 * 64)) // small matrices are stored in both orientations
    const checked = (precision: string, memory: number) =>
      lineOf(folder, (async () => checkWeightsFit(findPrecision(precision), base, memory))())
    expect(await checked('float32', half)).toBe('no error')
    expect(await checked('int8', half)).toMatch(/got 0\.000333 GB in int8; --precision float32 takes 0\.000306 GB$/)
    expect(await checked('float32', half - 1)).toMatch(/got \S+ GB in float32; --precision int4 takes \S+ GB$/)
    const least = Math.min(...precisions.map(({ weightBytes }) => weightBytes(base)))
    expect(await checked('float32', least - 1)).toMatch(/got \S+ GB in float32; \d of its 4 layers would fit$/)
  })
})
