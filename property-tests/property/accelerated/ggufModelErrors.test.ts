/** What a file in GGUF must not be to be opened as a model: each is refused by name, and soon. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { convertedModel, ggufConfig } from '../../../accelerated/checkpoints/gguf/convertModel.js'
import { readGguf } from '../../../accelerated/checkpoints/gguf/ggufHeader.js'
import { ggufChunks } from '../../../accelerated/checkpoints/gguf/writeGguf.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { tokenizerKeys } from '../../../accelerated/formats/gguf/exportGguf.js'
import { architectures } from '../../../accelerated/models/index.js'
import { concatenate } from '../../../accelerated/storage/storage.js'
import { fixtures } from '../../golden/golden.js'
import { ggufFile, key, string, tensor, uint32, uint64 } from '../../support/ggufFile.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('gguf-errors')
const converted = (file: string): Promise<string> => convertedModel(file, join(folder, 'cache'))

const readable = architectures.flatMap(({ gguf }) => (gguf?.read == null ? [] : [gguf.architecture])).join(', ')

describe('a file that is no model in GGUF', () => {
  const whole = readFileSync(join(fixtures, 'quantized.gguf'))
  const numbers = { block_count: 1, context_length: 8, embedding_length: 8, feed_forward_length: 8, 'attention.head_count': 2 }
  const keys = (changed: Readonly<Record<string, Uint8Array>> = {}): readonly Uint8Array[] => {
    const strings = (...list: readonly string[]) => Buffer.concat([uint32(8), uint64(list.length), ...list.map((one) => string(one))])
    const all: Readonly<Record<string, Uint8Array>> = {
      'general.architecture': key('general.architecture', 8, string('llama')),
      ...Object.fromEntries(Object.entries(numbers).map(([name, value]) => [`llama.${name}`, key(`llama.${name}`, 4, uint32(value))])),
      'llama.attention.layer_norm_rms_epsilon': key('llama.attention.layer_norm_rms_epsilon', 6, uint32(0x3727_c5ac)),
      'tokenizer.ggml.model': key('tokenizer.ggml.model', 8, string('gpt2')),
      'tokenizer.ggml.pre': key('tokenizer.ggml.pre', 8, string('gpt-2')),
      'tokenizer.ggml.tokens': key('tokenizer.ggml.tokens', 9, strings('a', 'b')),
      'tokenizer.ggml.merges': key('tokenizer.ggml.merges', 9, strings()),
      ...changed,
    }
    return Object.values(all).filter(({ length }) => length > 0)
  }
  const none = new Uint8Array(0)
  const embedding = tensor('token_embd.weight', [8, 2], 0, 0)
  it.each<readonly [string, Uint8Array, string]>([
    ['is cut off', whole.subarray(0, 5000), 'expected tensor "'],
    [
      'is an adapter',
      ggufFile({ keys: keys({ type: key('general.type', 8, string('adapter')) }) }),
      'expected a model in GGUF, got an adapter (it goes into adapter',
    ],
    [
      'is of another architecture',
      ggufFile({ keys: keys({ 'general.architecture': key('general.architecture', 8, string('gemma9')) }) }),
      `expected a model of architecture ${readable} ("gemma" is the nearest), got "gemma9"`,
    ],
    [
      'is far from every architecture',
      ggufFile({ keys: keys({ 'general.architecture': key('general.architecture', 8, string('mamba')) }) }),
      `expected a model of architecture ${readable}, got "mamba"`,
    ],
    [
      'is a part',
      ggufFile({ keys: keys({ split: key('split.count', 2, Uint8Array.of(2, 0)) }) }),
      'expected a whole model in one file (llama-gguf-split --merge makes one), got one of 2 parts',
    ],
    ['lacks a size', ggufFile({ keys: keys({ 'llama.block_count': none }) }), 'expected the key llama.block_count, got none'],
    [
      'has a size for each layer',
      ggufFile({ keys: keys({ kv: key('llama.attention.head_count_kv', 9, Buffer.concat([uint32(4), uint64(1), uint32(1)])) }) }),
      'expected a number in the key llama.attention.head_count_kv, got something else',
    ],
    [
      'has other sizes of values',
      ggufFile({ keys: keys({ v: key('llama.attention.value_length', 4, uint32(8)) }) }),
      'expected llama.attention.value_length of 4, the size of a head, got 8',
    ],
    [
      'has another rotary scaling',
      ggufFile({ keys: keys({ s: key('llama.rope.scaling.type', 8, string('longrope')) }) }),
      'expected a rope.scaling.type of none, linear or yarn, got "longrope"',
    ],
    [
      "lacks YaRN's original positions",
      ggufFile({ keys: keys({ s: key('llama.rope.scaling.type', 8, string('yarn')), f: key('llama.rope.scaling.factor', 4, uint32(4)) }) }),
      'expected the keys llama.rope.scaling.factor and llama.rope.scaling.original_context_length, of YaRN, got none',
    ],
    [
      'has another tokenizer',
      ggufFile({ keys: keys({ 'tokenizer.ggml.model': key('tokenizer.ggml.model', 8, string('t5')) }) }),
      'expected tokenizer.ggml.model gpt2 or llama, got "t5"',
    ],
    [
      'cuts words otherwise',
      ggufFile({ keys: keys({ 'tokenizer.ggml.pre': key('tokenizer.ggml.pre', 8, string('constructor')) }) }),
      'expected tokenizer.ggml.pre gpt-2, smollm, llama-bpe, smaug-bpe, qwen2, tekken, gpt-4o, got "constructor"',
    ],
    [
      'lacks tokens',
      ggufFile({ keys: keys({ 'tokenizer.ggml.tokens': none }) }),
      'expected a list of strings in the key tokenizer.ggml.tokens, got none',
    ],
    [
      'lacks a kind of token',
      ggufFile({ keys: keys({ t: key('tokenizer.ggml.token_type', 9, Buffer.concat([uint32(5), uint64(1), uint32(1)])) }) }),
      'expected token_type of 2 tokens, got 1',
    ],
    [
      'lacks a tensor',
      ggufFile({ keys: keys(), tensors: [embedding], data: Buffer.alloc(64) }),
      'expected tensor blk.0.attn_q.weight [8, 8], got none of that name',
    ],
    [
      'claims an absurd size',
      ggufFile({
        keys: keys({ 'llama.block_count': key('llama.block_count', 4, uint32(4_000_000_000)) }),
        tensors: [embedding],
        data: Buffer.alloc(64),
      }),
      'num_hidden_layers',
    ],
  ])('is refused in one line if it %s', async (_, bytes, message) => {
    const error = await converted(write('odd.gguf', bytes)).then(
      () => 'no error',
      ({ message }: Error) => message,
    )
    expect(error).toContain(join(folder, 'odd.gguf'))
    expect(error).toContain(message)
    expect(error).not.toContain('\n')
  })

  const ofPieces = (tokens: readonly string[]): Uint8Array => {
    const list = (name: string, type: number, values: readonly Uint8Array[]) =>
      key(`tokenizer.ggml.${name}`, 9, Buffer.concat([uint32(type), uint64(values.length), ...values]))
    return ggufFile({
      keys: keys({
        'tokenizer.ggml.model': key('tokenizer.ggml.model', 8, string('llama')),
        'tokenizer.ggml.tokens': list(
          'tokens',
          8,
          tokens.map((token) => string(token)),
        ),
        scores: list(
          'scores',
          6,
          tokens.map(() => uint32(0)),
        ),
      }),
    })
  }
  /** Every text of two letters up to this length. */
  const twoLetters = (length: number): readonly string[] =>
    Array.from({ length: 2 ** (length + 1) - 2 }, (_, i) => (i + 2).toString(2).slice(1).replaceAll('0', 'a').replaceAll('1', 'b'))
  it.each<readonly [string, readonly string[], string]>([
    ['a token of a million characters', ['a'.repeat(1_000_000)], 'expected tokens of at most 1000 characters, got one of 1000000'],
    ['a token twice', ['a', 'b', 'a'], 'expected each token once, got "a" twice'],
    ['millions of merges', twoLetters(17), 'expected tokens of at most 2000000 merges, got more'],
  ])('is refused within seconds for %s', async (_, tokens, message) => {
    const start = process.cpuUsage()
    await expect(converted(write('pieces.gguf', ofPieces(tokens)))).rejects.toThrow(message)
    const { user, system } = process.cpuUsage(start)
    expect((user + system) / 1e6).toBeLessThan(20)
  })

  it('is refused if it has tensors beyond those of its sizes', async () => {
    const header = await readGguf(join(fixtures, 'quantized.gguf'))
    expect(ggufConfig(header, new Map(), 'f')).toMatchObject({ num_hidden_layers: 1 })
    const chunks: Uint8Array[] = []
    const tensors = [
      ...header.tensors.values(),
      { name: 'blk.0.attn_sinks.weight', type: 'F32', shape: [1], offset: 0, length: 4 } as const,
    ]
    const given = tensors.map(({ name, type, shape, offset, length }) => ({
      ...{ name, type, shape, bytes: async () => Uint8Array.from(whole.subarray(offset, offset + length)) },
    }))
    const sizes = { block_count: 1, context_length: 64, embedding_length: 256, feed_forward_length: 32, 'attention.head_count': 2 }
    const more = { 'attention.head_count_kv': 1, 'attention.key_length': 8, 'attention.value_length': 8 }
    const tokens = await tokenizerKeys(await openModelFolder(await converted(join(fixtures, 'quantized.gguf'))))
    for await (const chunk of ggufChunks(
      [
        ['general.architecture', { type: 'string', value: 'llama' }],
        ...Object.entries({ ...sizes, ...more }).map(([name, value]) => [`llama.${name}`, { type: 'uint32', value }] as const),
        ['llama.attention.layer_norm_rms_epsilon', { type: 'float32', value: 1e-5 }],
        ...tokens,
      ],
      given,
    ))
      chunks.push(chunk)
    await expect(converted(write('more.gguf', concatenate(chunks)))).rejects.toThrow(
      'expected only tensors of a model of type llama, got "blk.0.attn_sinks.weight"',
    )
  })
})
