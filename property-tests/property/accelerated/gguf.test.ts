/** GGUF: files of the gguf package and of this test are read, wrong ones are refused in one line, and an adapter is written. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ggufName, interleaveHeads, separateHeads } from '../../../accelerated/checkpoints/gguf/decoderNames.js'
import { type GgufEntry, readGguf } from '../../../accelerated/checkpoints/gguf/ggufHeader.js'
import { ggufChunks, ggufHeader, type WrittenTensor } from '../../../accelerated/checkpoints/gguf/writeGguf.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { inputError, InputError } from '../../../accelerated/errors/inputError.js'
import type { Adapter } from '../../../accelerated/formats/adapter.js'
import { writtenName } from '../../../accelerated/formats/gguf/exportGguf.js'
import { readGgufAdapter, writeGgufAdapter } from '../../../accelerated/formats/gguf/ggufAdapter.js'
import { readAdapter } from '../../../accelerated/formats/index.js'
import { causalOutputs } from '../../../accelerated/models/modelOutputs.js'
import { concatenate, type Storage } from '../../../accelerated/storage/storage.js'
import { memoryStorage } from '../../../accelerated/storage/memory.js'
import { findMethod, resolveSettings } from '../../../accelerated/training/resolveSettings.js'
import { fixtures } from '../../golden/golden.js'
import { SEED } from '../../support/seed.js'
import { ggufFile, key, string, tensor, uint32, uint64, type Parts } from '../../support/ggufFile.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('gguf')

const messageOf = async (bytes: Uint8Array): Promise<string> => {
  const file = write('file.gguf', bytes)
  return readGguf(file).then(
    () => 'no error',
    (thrown: Error) => {
      if (!(thrown instanceof InputError)) throw thrown
      return thrown.message.replace(`${folder}/file.gguf: `, '')
    },
  )
}

const float32s = (...numbers: readonly number[]): Uint8Array => new Uint8Array(Float32Array.from(numbers).buffer)

describe('the name in a merged file', () => {
  it.each([
    ['microsoft/Phi-3-mini', 'Phi 3-mini'],
    ['models/phi3', 'phi 3'],
    ['C:\\models\\smollm2', 'smollm2'],
  ])('of %s is %s', (baseModelName, expected) => {
    expect(writtenName({ baseModelName })).toBe(expected)
  })
})

describe('a GGUF file', () => {
  it.each(['llama', 'mistral', 'qwen2', 'qwen3'])('of the gguf package is read with the numbers of the checkpoint: %s', async (family) => {
    const { model, tensors, frozen } = await openModelFolder(join(fixtures, family))
    const file = join(fixtures, family, 'base.gguf')
    const { keys, tensors: stored } = await readGguf(file)
    expect(keys.get('general.architecture')).toBe(family.startsWith('qwen') ? family : 'llama')
    expect(keys.get('tokenizer.ggml.tokens')).toHaveLength(50)
    expect(keys.get('tokenizer.ggml.add_bos_token')).toBe(false)
    const names = [...frozen.keys()].map((name) => ggufName(name, model))
    expect([...stored.keys()].filter((name) => name !== 'rope_freqs.weight').sort()).toEqual([...names].sort())
    const bytes = readFileSync(file)
    for (const [name, entry] of tensors) {
      const { shape, type, offset, length } = stored.get(ggufName(name, model))!
      expect([type, shape]).toEqual(['F32', entry.shape])
      const numbers = new Float32Array(Uint8Array.from(bytes.subarray(offset, offset + length)).buffer)
      const isTurned = !family.startsWith('qwen') && /[qk]_proj/.test(name)
      const own = isTurned ? separateHeads(numbers, entry.shape[1] ?? 1, model.spec.layers[0]?.headSize ?? 0) : numbers
      expect(own, name).toEqual(await readTensor(entry))
    }
  })

  it('has every type of value, and data at the alignment that it names', async () => {
    const file = write(
      'types.gguf',
      ggufFile({
        version: 2,
        keys: [
          key('a.uint8', 0, Uint8Array.of(200)),
          key('a.int8', 1, Uint8Array.of(200)),
          key('a.uint16', 2, Uint8Array.of(1, 2)),
          key('a.int16', 3, Uint8Array.of(255, 255)),
          key('general.alignment', 4, uint32(64)),
          key('a.int32', 5, Uint8Array.of(255, 255, 255, 255)),
          key('a.float32', 6, float32s(0.1)),
          key('a.bool', 7, Uint8Array.of(1)),
          key('a.string', 8, string('é')),
          key('a.strings', 9, Buffer.concat([uint32(8), uint64(2), string('x'), string('')])),
          key('a.bools', 9, Buffer.concat([uint32(7), uint64(2), Uint8Array.of(0, 1)])),
          key('a.uint64', 10, uint64(5)),
          key('a.int64', 11, uint64(2n ** 64n - 3n)),
          key('a.float64', 12, new Uint8Array(Float64Array.of(0.1).buffer)),
        ],
        tensors: [tensor('x', [2, 3], 0, 0), tensor('y', [1], 1, 64), tensor('none', [0], 0, 128)],
        alignment: 64,
        data: Buffer.alloc(128),
      }),
    )
    const { keys, tensors } = await readGguf(file)
    expect(Object.fromEntries(keys)).toEqual({
      ...{ 'a.uint8': 200, 'a.int8': -56, 'a.uint16': 513, 'a.int16': -1, 'general.alignment': 64, 'a.int32': -1 },
      'a.float32': Math.fround(0.1),
      'a.bool': true,
      'a.string': 'é',
      'a.strings': ['x', ''],
      'a.bools': [false, true],
      'a.uint64': 5,
      'a.int64': -3,
      'a.float64': 0.1,
    })
    expect([...tensors.values()].map(({ name, type, shape, offset, length }) => [name, type, shape, offset % 64, length])).toEqual([
      ['x', 'F32', [3, 2], 0, 24],
      ['y', 'F16', [1], 0, 2],
      ['none', 'F32', [0], 0, 0],
    ])
  })

  it('is refused in one line wherever it is cut off', async () => {
    const whole = ggufFile({
      keys: [
        key('general.architecture', 8, string('llama')),
        key('list', 9, Buffer.concat([uint32(8), uint64(2), string('x'), string('yz')])),
      ],
      tensors: [tensor('x', [2, 3], 0, 0)],
      data: Buffer.alloc(24),
    })
    expect(await messageOf(whole)).toBe('no error')
    for (let length = 0; length < whole.length; length++)
      expect(await messageOf(whole.subarray(0, length)), String(length)).toMatch(/^expected .+truncated\??\)$/)
  })

  const x = tensor('x', [2, 3], 0, 0)
  it.each<readonly [string, Parts, string]>([
    ['other magic', { magic: 'GGML' }, 'expected a GGUF file, which begins with GGUF, got other bytes'],
    ['version 1', { version: 1 }, 'expected GGUF of version 2 or 3, little-endian, got version 1'],
    ['the other order of bytes', { version: 0x0300_0000 }, 'expected GGUF of version 2 or 3, little-endian, got version 50331648'],
    ['2^40 tensors', { tensorCount: 2n ** 40n }, 'expected at most 100000 tensors, got 1099511627776'],
    ['2^64 − 1 keys', { keyCount: 2n ** 64n - 1n }, 'expected at most 10000 keys, got 18446744073709552000'],
    ['a long key', { keys: [string('k'.repeat(1001))] }, 'expected key of at most 1000 bytes, got 1001'],
    ['a long name', { tensors: [string('n'.repeat(1001))] }, "expected tensor's name of at most 1000 bytes, got 1001"],
    [
      'a string beyond the file',
      { keys: [key('k', 8, uint64(2n ** 63n))] },
      'expected string of "k" of at most 64 bytes, got 9223372036854776000',
    ],
    [
      'an array of 2^50',
      { keys: [key('k', 9, Buffer.concat([uint32(4), uint64(2n ** 50n)]))] },
      'expected at most 4000000 values of "k", got 1125899906842624',
    ],
    [
      'an array of arrays',
      { keys: [key('k', 9, Buffer.concat([uint32(9), uint64(1)]))] },
      'expected "k" of a known type of value, got type 9',
    ],
    ['an unknown type of value', { keys: [key('k', 99, uint32(1))] }, 'expected "k" of a known type of value, got type 99'],
    ['a key twice', { keys: [key('k', 4, uint32(1)), key('k', 4, uint32(1))] }, 'expected each key once, got "k" twice'],
    ['a name without UTF-8', { keys: [Buffer.concat([uint64(1), Buffer.of(0xff)])] }, 'expected a key in UTF-8, got bytes that are not'],
    ['a tensor twice', { tensors: [x, x], data: Buffer.alloc(24) }, 'expected each tensor once, got "x" twice'],
    ['five dimensions', { tensors: [tensor('x', [1, 1, 1, 1, 1], 0, 0)] }, 'expected tensor "x" of at most 4 dimensions, got 5'],
    [
      'an unknown type',
      { tensors: [tensor('x', [32], 10, 0)] },
      'expected tensor "x" in F32, F16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q4_K, Q5_K, Q6_K, BF16, got type 10 of ggml',
    ],
    [
      '2^80 numbers',
      { tensors: [tensor('x', [2n ** 40n, 2n ** 40n], 0, 0)] },
      'expected tensor "x" of fewer than 2^53 numbers, got [1099511627776, 1099511627776]',
    ],
    [
      'half a block',
      { tensors: [tensor('x', [16, 2], 8, 0)], data: Buffer.alloc(34) },
      'expected tensor "x" in Q8_0 with rows of whole blocks of 32, got rows of 16',
    ],
    [
      'an odd place',
      { tensors: [tensor('x', [2, 3], 0, 4)], data: Buffer.alloc(64) },
      'expected tensor "x" at a multiple of 32 bytes, got byte 4',
    ],
    [
      'a tensor beyond the file',
      { tensors: [tensor('x', [2, 3], 0, 32)], data: Buffer.alloc(55) },
      'expected tensor "x" within the 55 bytes of data, got bytes 32 to 56 (is the file truncated?)',
    ],
    [
      'a place beyond 2^53',
      { tensors: [tensor('x', [2, 3], 0, 2n ** 63n)] },
      'expected tensor "x" within the 0 bytes of data, got bytes 9223372036854776000 to 9223372036854776000 (is the file truncated?)',
    ],
    [
      'overlap',
      { tensors: [tensor('y', [10], 0, 0), tensor('x', [2, 3], 0, 32)], data: Buffer.alloc(64) },
      'expected tensors that do not overlap, got "y" and "x"',
    ],
    [
      'a false alignment',
      { keys: [key('general.alignment', 4, uint32(3))] },
      'expected general.alignment as a multiple of 8, from 8 to 65536, got 3',
    ],
  ])('is refused in one line for %s', async (_, parts, message) => expect(await messageOf(ggufFile(parts))).toBe(message))

  it('may have a string that is longer than the part of the file that is read first', async () => {
    const text = 'x'.repeat(1_500_000)
    const { keys } = await readGguf(write('long.gguf', ggufFile({ keys: [key('tokenizer.chat_template', 8, string(text))] })))
    expect(keys.get('tokenizer.chat_template')).toBe(text)
  })

  it('is refused before memory is taken for a header that claims more than 64 MB', async () => {
    const strings = Buffer.concat([uint32(8), uint64(3_999_999)])
    const storage = memoryStorage()
    const start = ggufFile({ keys: [key('k', 9, strings)], keyCount: 1 }).subarray(0, 57)
    await storage.write('big.gguf', concatenate([start, new Uint8Array(1000), string('x'.repeat(70_000_000))]))
    const before = process.memoryUsage().heapUsed
    await expect(readGguf('big.gguf', storage)).rejects.toThrow(/^big.gguf: expected a header of at most 64000000 bytes, got a longer one$/)
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(200e6)
  })
})

describe('written GGUF', () => {
  it('has the bytes that the specification gives', async () => {
    const tensors: readonly WrittenTensor[] = [
      { name: 'x', shape: [3, 2], type: 'F32', bytes: async () => float32s(1, 2, 3, 4, 5, 6) },
      { name: 'y', shape: [2], type: 'F16', bytes: async () => Uint8Array.of(0, 60, 0, 64) },
    ]
    const chunks: Uint8Array[] = []
    for await (const chunk of ggufChunks(
      [
        ['a', { type: 'string', value: 'é' }],
        ['b', { type: 'uint32', value: 7 }],
        ['c', { type: 'float32', value: 0.5 }],
        ['d', { type: 'bool', value: true }],
        ['e', { type: 'strings', value: ['x', ''] }],
        ['f', { type: 'int32s', value: [-1] }],
        ['g', { type: 'float32s', value: [0.5] }],
      ],
      tensors,
    ))
      chunks.push(chunk)
    const expected = ggufFile({
      keys: [
        key('a', 8, string('é')),
        key('b', 4, uint32(7)),
        key('c', 6, float32s(0.5)),
        key('d', 7, Uint8Array.of(1)),
        key('e', 9, Buffer.concat([uint32(8), uint64(2), string('x'), string('')])),
        key('f', 9, Buffer.concat([uint32(5), uint64(1), Buffer.alloc(4, 0xff)])),
        key('g', 9, Buffer.concat([uint32(6), uint64(1), float32s(0.5)])),
      ],
      tensors: [tensor('x', [2, 3], 0, 0), tensor('y', [2], 1, 32)],
      data: Buffer.concat([float32s(1, 2, 3, 4, 5, 6), Buffer.alloc(8), Uint8Array.of(0, 60, 0, 64), Buffer.alloc(28)]),
    })
    expect(concatenate(chunks)).toEqual(expected)
  })

  it('has no name that ggml cannot store, and no half block', () => {
    expect(() => ggufHeader([], [{ name: 'n'.repeat(64), shape: [1], type: 'F32' }])).toThrow('expected a name of at most 63 bytes, got 64')
    expect(() => ggufHeader([], [{ name: 'n', shape: [2, 16], type: 'Q8_0' }])).toThrow(
      'expected rows of whole blocks of 32, got 16 numbers',
    )
  })
})

describe(`rows of queries and keys (seed ${SEED})`, () => {
  it("are in llama.cpp's order: of each head, those of the first half between those of the second", () => {
    const rows = Float32Array.from({ length: 16 }, (_, i) => i)
    expect([...interleaveHeads(rows, 1, 8)]).toEqual([0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15])
    expect([...interleaveHeads(rows, 2, 4)]).toEqual([0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15])
  })

  it('come back as they were', () =>
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 3 }), (heads, half, width) => {
        const data = Float32Array.from({ length: heads * half * 2 * width }, (_, i) => i)
        expect(separateHeads(interleaveHeads(data, width, half * 2), width, half * 2)).toEqual(data)
      }),
      { seed: SEED },
    ))
})

describe('an adapter in GGUF', () => {
  const settings = { ...resolveSettings({ method: 'lora' }), rank: 4, loraAlpha: 6 }
  const inMemory = async () => {
    const storage = memoryStorage()
    await storage.makeFolder('a')
    return storage
  }
  const base = () => openModelFolder(join(fixtures, 'llama'))
  /** Of one matrix [d, k], with A of ones and B of numbers that grow. */
  const adapterOf = async (r: number, name = 'layers.1.mlp.up_proj', family = 'llama'): Promise<Adapter> => {
    const { model } = await openModelFolder(join(fixtures, family))
    const matrix = model.spec.matrices.find((matrix) => matrix.name === name)!
    return {
      ...{ model, baseModelName: 'm', method: findMethod('lora'), settings, phase: { matrices: [{ ...matrix, r }] } },
      tensors: new Map([
        [`${matrix.name}.A`, { shape: [r, matrix.k], data: new Float32Array(matrix.k * r).fill(1) }],
        [`${matrix.name}.B`, { shape: [matrix.d, r], data: Float32Array.from({ length: matrix.d * r }, (_, i) => i) }],
      ]),
      ...{ outputs: causalOutputs, head: new Map(), labelNames: undefined },
    }
  }

  it("scales B by what llama.cpp's alpha / own rank lacks", async () => {
    const storage = await inMemory()
    await writeGgufAdapter('a', await adapterOf(2), 'float32', storage)
    const { keys, tensors } = await readGguf('a/adapter.gguf', storage)
    expect(keys.get('adapter.lora.alpha')).toBe(6)
    expect((await numbersAt(storage, tensors.get('blk.1.ffn_up.weight.lora_b'))).slice(0, 3)).toEqual([0, 0.5, 1]) // (6 / 4) / (6 / 2) = 1 / 2
  })

  it.each([
    ['llama', 'q', 8],
    ['llama', 'k', 8],
    ['mistral', 'k', 6],
  ])("has the rows of B in llama.cpp's order: %s, attn_%s", async (family, kind, size) => {
    const storage = await inMemory()
    await writeGgufAdapter('a', await adapterOf(4, `layers.0.self_attn.${kind}_proj`, family), 'float32', storage)
    const { tensors } = await readGguf('a/adapter.gguf', storage)
    const B = await numbersAt(storage, tensors.get(`blk.0.attn_${kind}.weight.lora_b`))
    const rows = B.filter((_, i) => i % 4 === 0).map((x) => x / 4)
    expect(rows.slice(0, 4)).toEqual([0, size / 2, 1, size / 2 + 1])
    expect(rows.slice(size, size + 4)).toEqual([size, size + size / 2, size + 1, size + size / 2 + 1])
  })

  it.each([
    ['llama', 'v'],
    ['qwen2', 'q'],
    ['qwen2', 'k'],
    ['qwen3', 'q'],
    ['qwen3', 'k'],
  ])("has the rows of B in the checkpoint's order where llama.cpp has it too: %s, attn_%s", async (family, kind) => {
    const storage = await inMemory()
    await writeGgufAdapter('a', await adapterOf(4, `layers.0.self_attn.${kind}_proj`, family), 'float32', storage)
    const { tensors } = await readGguf('a/adapter.gguf', storage)
    const B = await numbersAt(storage, tensors.get(`blk.0.attn_${kind}.weight.lora_b`))
    expect(B).toEqual(B.map((_, i) => i))
  })

  const numbersAt = async (storage: Storage, entry: GgufEntry | undefined): Promise<readonly number[]> => {
    const { offset = 0, length = 0 } = entry ?? {}
    const file = await storage.open('a/adapter.gguf')
    return [...new Float32Array(Uint8Array.from(await file.read(offset, length)).buffer)]
  }

  it('of rank 0 everywhere is a pair of zeros of rank 1', async () => {
    const storage = await inMemory()
    await writeGgufAdapter('a', await adapterOf(0), 'float32', storage)
    const { tensors } = await readGgufAdapter('a', await base(), storage).then((adapter) => adapter!)
    expect([...tensors].map(([name, { shape, data }]) => [name, shape, data.every((x) => x === 0)])).toEqual([
      ['layers.0.self_attn.q_proj.A', [1, 24], true],
      ['layers.0.self_attn.q_proj.B', [32, 1], true],
    ])
  })

  it('is refused in float16 for a number beyond its range, by the name of the tensor', async () => {
    const { tensors, ...rest } = await adapterOf(2)
    const large = new Map([...tensors].map(([name, weights]) => [name, { ...weights, data: weights.data.map((x) => 1e6 * x) }]))
    await expect(writeGgufAdapter('a', { ...rest, tensors: large }, 'float16', await inMemory())).rejects.toThrow(
      'adapter.gguf: expected numbers in blk.1.ffn_up.weight.lora_a that float16 can hold (precision float32 holds all), got a larger one',
    )
  })

  it('without alpha has its scale in B, as llama.cpp reads it', async () => {
    const storage = await inMemory()
    const ones = float32s(...Array.from({ length: 104 }, () => 1))
    await storage.write(
      'a/adapter.gguf',
      ggufFile({ keys: lora(), tensors: pair(), data: Buffer.concat([ones.subarray(0, 96), ones.subarray(0, 160)]) }),
    )
    const { settings, tensors } = await readAdapter('a', await base(), storage)
    expect([settings['rank'], settings['loraAlpha'], tensors.get('layers.0.mlp.gate_proj.B')?.data[0]]).toEqual([1, 1, 1])
  })

  const lora = (of = 'llama', type = 'lora') => [key('general.architecture', 8, string(of)), key('adapter.type', 8, string(type))]
  const pair = (name = 'blk.0.ffn_gate.weight', wide = 24, rank = 1) => [
    tensor(`${name}.lora_a`, [wide, rank], 0, 0),
    tensor(`${name}.lora_b`, [rank, 40], 0, 96),
  ]
  it.each<readonly [string, Parts, string]>([
    ['another architecture', { keys: lora('qwen2') }, 'an adapter of a model of type llama, got one of architecture "qwen2"'],
    ['another type', { keys: lora('llama', 'control_vector') }, 'adapter.type lora, got "control_vector"'],
    ['a negative alpha', { keys: [...lora(), key('adapter.lora.alpha', 6, float32s(-1))] }, 'adapter.lora.alpha of at least 0, got -1'],
    ['no tensors', { keys: lora() }, "pairs of the model's adapted matrices, got none"],
    [
      'a matrix that the model lacks',
      { keys: lora(), tensors: pair('blk.9.ffn_gate.weight') },
      'pairs of the model\'s adapted matrices, got "blk.9.ffn_gate.weight.lora_a"',
    ],
    ['another shape', { keys: lora(), tensors: pair(undefined, 23) }, 'tensor blk.0.ffn_gate.weight.lora_a of shape [1, 24], got [1, 23]'],
    ['half a pair', { keys: lora(), tensors: pair().slice(0, 1) }, 'tensor blk.0.ffn_gate.weight.lora_b, got none of that name'],
    [
      'a quantized tensor',
      { keys: lora(), tensors: [tensor('blk.0.ffn_down.weight.lora_a', [64, 1], 8, 0)] },
      'tensor blk.0.ffn_down.weight.lora_a in F32, F16 or BF16, got Q8_0',
    ],
    [
      'a number that is not finite',
      { keys: lora(), tensors: pair(), data: Buffer.alloc(256, 0xff) },
      'finite numbers in blk.0.ffn_gate.weight.lora_a, got NaN at 0',
    ],
  ])('is refused in one line for %s', async (_, parts, message) => {
    const storage = await inMemory()
    await storage.write('a/adapter.gguf', ggufFile({ data: Buffer.alloc(256), ...parts }))
    const error = inputError('a/adapter.gguf', message.split(', got ')[0] ?? '', message.split(', got ')[1] ?? '')
    await expect(readAdapter('a', await base(), storage)).rejects.toThrow(error.message)
  })
})
