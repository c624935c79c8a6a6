/** A model in GGUF is opened as a folder is: with the numbers, sizes and tokens of its file. */
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { convertedModel } from '../../../accelerated/checkpoints/gguf/convertModel.js'
import { ggufTokenizer } from '../../../accelerated/checkpoints/gguf/ggufTokenizerJson.js'
import { readGguf } from '../../../accelerated/checkpoints/gguf/ggufHeader.js'
import { llama3Scaling } from '../../../accelerated/models/llama/gguf.js'
import { resolveModel } from '../../../accelerated/checkpoints/hub/hub.js'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { readTensor } from '../../../accelerated/checkpoints/safetensors/safetensors.js'
import { loadTokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { rotaryFrequencies } from '../../../accelerated/models/layers/rotary.js'
import { storedSha256 } from '../../../accelerated/storage/digests.js'
import { exportAdapter } from '../../../finetuning/use/exportAdapter.js'
import { saloraHere } from '../../cli/inProcess.js'
import { fixtures } from '../../golden/golden.js'
import { largestDifference } from '../../llamacpp/llama.js'
import { families, ourProbabilities, writeDecoder, writeRandomAdapter, writeRandomDecoder } from '../../llamacpp/decoders.js'
import { assertClose } from '../../support/assertClose.js'
import { withAllMerges } from '../../support/sentencePieceJson.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder, write } = temporaryFolder('gguf-model')
const at = (...path: readonly string[]): string => join(folder, ...path)
const cache = at('cache')
const digestOf = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
const converted = (file: string): Promise<string> => convertedModel(file, cache)

describe('a model in GGUF', () => {
  it.each(families)('of the gguf package has the weights and the probabilities of the checkpoint: %s', async (family) => {
    const original = await writeDecoder(at(family), family)
    const model = await converted(join(fixtures, family, 'base.gguf'))
    const [before, after] = [await openModelFolder(original), await openModelFolder(model)]
    expect(after.frozen.size).toBe(before.frozen.size)
    for (const [name, entry] of before.frozen) {
      const [own, expected] = [await readTensor(after.frozen.get(name)!), await readTensor(entry)]
      if (family.startsWith('gemma') && name.endsWith('norm.weight')) assertClose(own, expected, { relative: 0, absolute: 2e-7 })
      else expect(own, name).toEqual(expected)
    }
    const prompts = [[1, 8, 34, 33, 6, 29, 11, 4, 19, 7, 40, 41, 42, 9, 3]]
    const difference = largestDifference(await ourProbabilities(model, null, prompts), await ourProbabilities(original, null, prompts))
    expect(difference).toBeLessThan(family.startsWith('gemma') ? 1e-6 : 2e-7) // the weights of Gemma's norms are rounded with 1 added
  })

  it.each([
    ['smollm3', { no_rope_layers: [1, 0, 1, 0] }, 'no rotation in layers 4, 8, … alone, for GGUF, got otherwise in layer 2'],
    ['gemma2', { query_pre_attn_scalar: 9 }, 'query_pre_attn_scalar 6, for GGUF, got 9'],
    [
      'gemma2',
      { layer_types: ['full_attention', 'full_attention'] },
      'full attention in layers 2, 4, … alone, for GGUF, got otherwise in layer 1',
    ],
    [
      'gemma3',
      { layer_types: ['sliding_attention', 'full_attention'] },
      'full attention in layers 6, 12, … alone, for GGUF, got otherwise in layer 2',
    ],
    [
      'gemma3',
      { rope_parameters: { sliding_attention: { rope_type: 'linear', factor: 2 } } },
      'layers with a window whose rotation is not scaled, for GGUF, got linear',
    ],
  ] as const)('%s with %j is not exported, since llama.cpp would compute otherwise', async (family, change, message) => {
    const name = `${family}-${JSON.stringify(change).length}`
    const model = await writeDecoder(at(name), family)
    const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8')) as object
    writeFileSync(join(model, 'config.json'), JSON.stringify({ ...config, ...change }))
    const adapter = await writeRandomAdapter(at(`${name}-lora`), model, { method: 'lora', rank: 1 })
    const given = { model, adapter, format: 'gguf-merged', output: at(`${name}-gguf`), maxLength: null, targeted: null } as const
    await expect(exportAdapter({ ...given, precision: 'float32' })).rejects.toThrow(`config.json: expected ${message}`)
  })

  it('of Gemma has 1 + the weights of norms, and comes back with its sizes and probabilities', async () => {
    const sizes = { vocab_size: 430, hidden_size: 32, num_hidden_layers: 7, num_attention_heads: 2, num_key_value_heads: 1, head_dim: 24 }
    const config = {
      ...{ ...sizes, model_type: 'gemma3_text', intermediate_size: 48, query_pre_attn_scalar: 24, sliding_window: 4 },
      ...{ rope_local_base_freq: 70, rope_scaling: { rope_type: 'linear', factor: 8 }, final_logit_softcapping: 9 },
    }
    const model = await writeRandomDecoder(at('written'), config)
    writeFileSync(join(model, 'tokenizer.json'), JSON.stringify(kinds['qwen2']!.tokenizer))
    const adapter = await writeRandomAdapter(at('gemma-lora'), model, { method: 'lora', rank: 1 })
    const given = { model, adapter, format: 'gguf-merged', output: at('gemma-gguf'), maxLength: null, targeted: null } as const
    await exportAdapter({ ...given, precision: 'float32' })
    const back = await converted(at('gemma-gguf', 'model.gguf'))
    const json = JSON.parse(readFileSync(join(back, 'config.json'), 'utf8')) as object
    expect(json).toMatchObject({ model_type: 'gemma3_text', sliding_window: 4, rope_local_base_freq: 70, final_logit_softcapping: 9 })
    const prompts = [[1, 8, 34, 133, 6, 229, 11, 4, 19, 7, 40, 41]]
    const difference = largestDifference(await ourProbabilities(back, null, prompts), await ourProbabilities(model, adapter, prompts))
    expect(difference).toBeLessThan(1e-5)
  })

  it('has the numbers of the gguf package for Q4_K, Q6_K, Q4_0, Q4_1, Q8_0, BF16, F16 and F32, and its own types where they are floats', async () => {
    const { digests } = JSON.parse(readFileSync(join(fixtures, 'gguf.json'), 'utf8')) as {
      readonly digests: Readonly<Record<string, string>>
    }
    const { frozen, model } = await openModelFolder(await converted(join(fixtures, 'quantized.gguf')))
    const found: Record<string, string> = {}
    for (const [name, entry] of frozen)
      found[model.naming.stored(name)] = createHash('sha256')
        .update(new Uint8Array((await readTensor(entry)).buffer))
        .digest('hex')
    expect(found).toEqual(digests)
    expect([...new Set([...frozen.values()].map(({ dtype }) => dtype))].sort()).toEqual(['BF16', 'F16', 'F32'])
    const { ids } = await loadTokenizer(await converted(join(fixtures, 'quantized.gguf')), model)
    expect(ids('abcd</s>ab')).toEqual([7, 5, 1, 6])
  })

  it('is --model of every command, and is converted once', async () => {
    const file = join(fixtures, 'quantized.gguf')
    const environment = { SALORA_CACHE: cache }
    expect(await resolveModel(file, { environment })).toEqual({ folder: await converted(file), baseModelName: file, revision: null })
    const before = process.env['SALORA_CACHE']
    process.env['SALORA_CACHE'] = cache
    try {
      const written = ['generate', '--prompt', 'abcd', '--max-new-tokens', '5', '--threads', '1', '--device', 'cpu', '--quiet', '--model']
      const [own, ofFolder] = [await saloraHere(...written, file), await saloraHere(...written, await converted(file))]
      expect([own.code, own.stderr]).toEqual([0, ''])
      expect(own.stdout).toBe(ofFolder.stdout)
    } finally {
      if (before === undefined) delete process.env['SALORA_CACHE']
      else process.env['SALORA_CACHE'] = before
    }
  })

  it('is converted again if an earlier conversion did not end, and anew if the file changed', async () => {
    const bytes = readFileSync(join(fixtures, 'quantized.gguf'))
    const model = await converted(write('changing.gguf', bytes))
    rmSync(join(model, 'config.json'))
    writeFileSync(join(model, 'model.safetensors'), 'half')
    expect(await converted(at('changing.gguf'))).toBe(model)
    await openModelFolder(model)
    bytes[bytes.length - 1] = (bytes[bytes.length - 1] ?? 0) ^ 1
    expect(await converted(write('changing.gguf', bytes))).not.toBe(model)
  })

  it('is found by its stored digest without another look into the file, until the file changes', async () => {
    vi.spyOn(Date, 'now').mockReturnValue(Date.now() + 10_000) // a file that changed just now has no stored digest
    const own = at('digest-cache')
    const model = await convertedModel(join(fixtures, 'quantized.gguf'), own)
    const other = write('other.gguf', 'no model')
    await storedSha256(other, join(own, 'salora-digests'), 1)
    const [stored = ''] = readdirSync(join(own, 'salora-digests'))
    writeFileSync(join(own, 'salora-digests', stored), digestOf(readFileSync(join(fixtures, 'quantized.gguf'))))
    expect(await convertedModel(other, own)).toBe(model)
    writeFileSync(other, 'no more a model')
    await expect(convertedModel(other, own)).rejects.toThrow(/other\.gguf: expected a GGUF file/)
    vi.restoreAllMocks()
  })

  it('leaves the cache at the next conversion if nobody used it for 30 days; other folders stay', async () => {
    const bytes = readFileSync(join(fixtures, 'quantized.gguf'))
    const own = at('pruned-cache')
    const convert = (end: number): Promise<string> => {
      bytes[bytes.length - 1] = end
      return convertedModel(write(`pruned-${end}.gguf`, bytes), own)
    }
    const [old, recent, used] = [await convert(1), await convert(2), await convert(3)]
    const daysAgo = (model: string, days: number): void =>
      utimesSync(join(model, '.used'), new Date(), new Date(Date.now() - days * 86_400_000))
    daysAgo(old, 31)
    daysAgo(recent, 29)
    daysAgo(used, 31)
    expect(await convert(3)).toBe(used) // marks it
    const foreign = join(own, 'salora-gguf', 'mine')
    mkdirSync(foreign)
    utimesSync(foreign, new Date(0), new Date(0))
    const added = await convert(4)
    expect(readdirSync(join(own, 'salora-gguf')).sort()).toEqual([...[recent, used, added].map((model) => basename(model)), 'mine'].sort())
    expect(await convert(1)).toBe(old)
    await openModelFolder(old)
  })

  it("has a token before a text where llama.cpp puts one without a key: for Llama 3's words", async () => {
    const { keys, tensors } = await readGguf(join(fixtures, 'quantized.gguf'))
    const startOf = (pre: string): unknown => {
      const { tokenizer } = ggufTokenizer({ keys: new Map([...keys, ['tokenizer.ggml.pre', pre]]), tensors }, 'f')
      return (tokenizer as { readonly post_processor: object | null }).post_processor
    }
    expect(startOf('gpt-2')).toBeNull()
    expect(startOf('tekken')).toMatchObject({ special_tokens: { '<s>': { ids: [0] } } })
    expect(startOf('llama-bpe')).toMatchObject({ special_tokens: { '<s>': { ids: [0] } } })
  })

  it.each([
    ['deepseek-r1-qwen', 'qwen2'],
    ['falcon3', 'llama-bpe'],
    ['dbrx', 'smaug-bpe'],
  ])('of the words %s is read as one of %s', async (other, pre) => {
    const { keys, tensors } = await readGguf(join(fixtures, 'quantized.gguf'))
    const read = (name: string) => ggufTokenizer({ keys: new Map([...keys, ['tokenizer.ggml.pre', name]]), tensors }, 'f')
    expect(read(other)).toEqual(read(pre))
    expect(read(other)).not.toEqual(read('gpt-2'))
  })

  it('that export wrote has the sizes, numbers and end tokens of the model', async () => {
    const scaling = { rope_type: 'llama3', factor: 8, low_freq_factor: 1, high_freq_factor: 4, original_max_position_embeddings: 64 }
    const config = {
      ...{ model_type: 'llama', vocab_size: 430, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 48 },
      ...{ head_dim: 24, rope_scaling: scaling, rope_theta: 5e5, eos_token_id: [2, 5], bos_token_id: 1, attention_bias: true },
    }
    const model = await writeRandomDecoder(at('ours'), config)
    writeFileSync(join(model, 'tokenizer.json'), JSON.stringify(kinds['llama3']!.tokenizer))
    const adapter = await writeRandomAdapter(at('ours-lora'), model, { method: 'lora', rank: 1 })
    const given = { model, adapter, format: 'gguf-merged', output: at('ours-gguf'), maxLength: null, targeted: null } as const
    await exportAdapter({ ...given, precision: 'float32' })
    const back = await converted(at('ours-gguf', 'model.gguf'))
    const json = JSON.parse(readFileSync(join(back, 'config.json'), 'utf8')) as object
    expect(json).toMatchObject({ eos_token_id: [2, 5], bos_token_id: 1, head_dim: 24, attention_bias: true, tie_word_embeddings: false })
    const prompts = [[1, 8, 34, 133, 6, 229, 11, 4, 19, 7, 40, 41]]
    expect(largestDifference(await ourProbabilities(back, null, prompts), await ourProbabilities(model, adapter, prompts))).toBeLessThan(
      1e-6,
    )
  })
})

describe('a GPT-2 in GGUF', () => {
  it('that export wrote in float32 has the numbers of the merged model, and its matrices as GPT-2 stores them', async () => {
    const config = {
      ...{ model_type: 'gpt2', vocab_size: 430, n_embd: 32, n_layer: 2, n_head: 4, n_inner: 40, n_positions: 64, n_ctx: 64 },
      ...{ tie_word_embeddings: false, layer_norm_epsilon: 1e-3 },
    }
    const untied = await writeRandomDecoder(at('gpt2-untied'), config)
    writeFileSync(join(untied, 'tokenizer.json'), JSON.stringify(kinds['gpt2']!.tokenizer))
    const own = await writeRandomAdapter(at('gpt2-untied-lora'), untied, { method: 'lora', rank: 2 })
    const given = { model: untied, adapter: own, format: 'gguf-merged', maxLength: null, targeted: null } as const
    await exportAdapter({ ...given, output: at('gpt2-gguf'), precision: 'float32' })
    const back = await converted(at('gpt2-gguf', 'model.gguf'))
    const prompts = [[1, 8, 34, 133, 6, 229, 11, 4, 19, 7, 40, 41]]
    expect(largestDifference(await ourProbabilities(back, null, prompts), await ourProbabilities(untied, own, prompts))).toBeLessThan(1e-6)
    const { frozen } = await openModelFolder(back)
    expect([frozen.get('h.0.mlp.c_fc.weight')?.shape, frozen.has('lm_head.weight')]).toEqual([[40, 32], true])
    await exportAdapter({ ...given, output: at('gpt2-half'), precision: 'int8' })
    const { tensors } = await readGguf(at('gpt2-half', 'model.gguf'))
    const types = ['position_embd.weight', 'blk.1.attn_qkv.weight', 'blk.1.ffn_down.weight', 'output_norm.bias']
    expect(types.map((name) => tensors.get(name)?.type)).toEqual(['F32', 'Q8_0', 'F16', 'F32'])
  })
})

describe('a model with YaRN in GGUF', () => {
  const scaling = { rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64, attention_factor: 1.3 }
  const config = {
    ...{ model_type: 'qwen3', vocab_size: 430, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 48 },
    ...{ head_dim: 24, max_position_embeddings: 256, rope_scaling: scaling, rope_theta: 1e4 },
  }
  const exported = async (name: string, more: object) => {
    const model = await writeRandomDecoder(at(name), { ...config, rope_scaling: { ...scaling, ...more } })
    writeFileSync(join(model, 'tokenizer.json'), JSON.stringify(kinds['qwen2']!.tokenizer))
    const adapter = await writeRandomAdapter(at(`${name}-lora`), model, { method: 'lora', rank: 1 })
    const given = { model, adapter, format: 'gguf-merged', output: at(`${name}-gguf`), maxLength: null, targeted: null } as const
    return { model, adapter, ...(await exportAdapter({ ...given, precision: 'float32' })) }
  }

  it('comes back with the scaling, and the probabilities', async () => {
    const { model, adapter, output } = await exported('yarn', {})
    const back = await converted(join(output, 'model.gguf'))
    const { rope_scaling: found } = JSON.parse(readFileSync(join(back, 'config.json'), 'utf8')) as { readonly rope_scaling: object }
    expect(found).toMatchObject({ rope_type: 'yarn', factor: 4, original_max_position_embeddings: 64 })
    const prompts = [[1, 8, 34, 133, 6, 229, 11, 4, 19, 7, 40, 41]]
    const difference = largestDifference(await ourProbabilities(back, null, prompts), await ourProbabilities(model, adapter, prompts))
    expect(difference).toBeLessThan(1e-6)
  })

  it.each([
    [{ beta_fast: 16 }, '16, 1 and true'],
    [{ beta_slow: 2 }, '32, 2 and true'],
    [{ truncate: false }, '32, 1 and false'],
  ])('is refused where llama.cpp would scale otherwise: %j', async (more, got) => {
    await expect(exported(`yarn-${got}`, more)).rejects.toThrow(
      `config.json: expected a YaRN scaling with beta_fast 32, beta_slow 1 and truncate true, for GGUF, got ${got}`,
    )
  })
})

const { texts, kinds } = JSON.parse(readFileSync(join(fixtures, 'tokenizers.json'), 'utf8')) as {
  readonly texts: readonly string[]
  readonly kinds: Readonly<Record<string, { readonly tokenizer: { readonly model: object }; readonly ids: readonly (readonly number[])[] }>>
}

describe('the tokenizer of a model in GGUF', () => {
  const ofKind = ['llama3', 'qwen2', 'llama2', 'gpt2', 'smollm', 'mistral-nemo', 'gpt-4o']
  it.each(ofKind)("makes the tokens of Hugging Face's library, and decodes them: %s", async (kind) => {
    const { tokenizer, ids } = kinds[kind]!
    const whole = { ...tokenizer, model: { ...tokenizer.model, ignore_merges: true } }
    const json = kind === 'llama2' ? withAllMerges(tokenizer) : kind === 'mistral-nemo' ? whole : tokenizer
    const config = {
      ...{ model_type: 'llama', vocab_size: 560, hidden_size: 8, num_hidden_layers: 1 },
      num_attention_heads: 2,
      intermediate_size: 8,
    }
    const model = await writeRandomDecoder(at(`tokens-${kind}`), { ...config, bos_token_id: 1 })
    writeFileSync(join(model, 'tokenizer.json'), JSON.stringify(json))
    writeFileSync(join(model, 'tokenizer_config.json'), JSON.stringify({ bos_token: '<s>', chat_template: '{{ bos_token }}' }))
    const opened = await openModelFolder(model)
    const adapter = await writeRandomAdapter(at(`lora-${kind}`), model, { method: 'lora', rank: 1 })
    const output = at(`export-${kind}`)
    await exportAdapter({ model, adapter, format: 'gguf-merged', output, precision: 'float32', maxLength: null, targeted: null })
    const back = await converted(join(output, 'model.gguf'))
    const [before, after] = [await loadTokenizer(model, opened.model), await loadTokenizer(back, opened.model)]
    expect(after.start).toEqual(before.start)
    for (const [i, text] of texts.entries()) {
      if (kind === 'qwen2' && text.normalize('NFC') !== text) continue // Qwen2's own files normalize a text, unlike this one
      expect(after.ids(text), text).toEqual(before.ids(text))
      expect(after.decode(after.ids(text)), text).toBe(before.decode(before.ids(text)))
      if (kind !== 'llama2') expect([...after.start, ...after.ids(text)]).toEqual(ids[i])
    }
    expect(JSON.parse(readFileSync(join(back, 'tokenizer_config.json'), 'utf8'))).toMatchObject({
      bos_token: '<s>',
      chat_template: '{{ bos_token }}',
    })
  })
})

describe("Llama 3's scaling", () => {
  const sizes = { base: 5e5, headSize: 64 }
  const factorsOf = (low: number, high: number, positions: number, factor = 8, { base, headSize } = sizes): Float32Array => {
    const plain = rotaryFrequencies({ headSize, rotaryBase: base, rotaryScaling: null })
    const rotaryScaling = {
      kind: 'llama3',
      factor,
      lowFrequencyFactor: low,
      highFrequencyFactor: high,
      originalPositions: positions,
    } as const
    const scaled = rotaryFrequencies({ headSize, rotaryBase: base, rotaryScaling })
    return Float32Array.from(plain, (frequency, i) => frequency / (scaled[i] ?? NaN))
  }

  it.each([
    [1, 4, 8192, 8, sizes],
    [1, 4, 8192, 32, sizes],
    [2, 3, 100, 4, sizes],
    [1, 4, 64, 8, { base: 5e5, headSize: 8 }], // few frequencies, none or one between
    [1, 1.001, 100, 4, sizes],
  ])('of %d, %d, %d by %d is found again in its factors', (low, high, positions, factor, of) => {
    const factors = factorsOf(low, high, positions, factor, of)
    const found = llama3Scaling(factors, of, 'f') as Readonly<Record<string, number>>
    const again = factorsOf(
      found['low_freq_factor']!,
      found['high_freq_factor']!,
      found['original_max_position_embeddings']!,
      found['factor'],
      of,
    )
    again.forEach((f, i) => expect(Math.abs(f / (factors[i] ?? NaN) - 1)).toBeLessThan(2e-5))
  })

  it('is none if all factors are 1, and refused if they are no scaling of this kind', () => {
    expect(llama3Scaling(new Float32Array(32).fill(1), sizes, 'f')).toBeNull()
    const odd = factorsOf(1, 4, 8192).map((f, i) => (i === 3 ? 2 : f))
    expect(() => llama3Scaling(odd, sizes, 'f')).toThrow("f: expected rope_freqs.weight of Llama 3's scaling, got other factors")
    expect(() => llama3Scaling(new Float32Array(32).fill(3), sizes, 'f')).toThrow('got other factors')
  })
})
