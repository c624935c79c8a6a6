/** The tokenizer of a model as keys of GGUF: llama.cpp's names for the kinds that it knows, and refusals by name for all others. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openModelFolder } from '../../../accelerated/checkpoints/modelFolder.js'
import { tokenizerKeys } from '../../../accelerated/formats/gguf/exportGguf.js'
import { fixtures } from '../../golden/golden.js'
import { writeRandomDecoder } from '../../llamacpp/decoders.js'
import { withAllMerges } from '../../support/sentencePieceJson.js'
import { temporaryFolder } from '../../support/temporaryFolder.js'

const { folder } = temporaryFolder('gguf-tokenizer')

type Json = { readonly model: object; readonly [part: string]: unknown }
const { kinds } = JSON.parse(readFileSync(join(fixtures, 'tokenizers.json'), 'utf8')) as {
  readonly kinds: Readonly<Record<string, { readonly tokenizer: Json }>>
}
const kind = (name: string): Json => kinds[name]!.tokenizer
const changed = (name: string, parts: object, model: object = {}): Json => ({
  ...kind(name),
  ...parts,
  model: { ...kind(name).model, ...model },
})

const config = {
  ...{ model_type: 'llama', vocab_size: 560, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8 },
  ...{ bos_token_id: 1, eos_token_id: [2, 9, 7] },
}
let count = 0
const keysOf = async (tokenizer: Json, settings: object = {}) => {
  const model = await writeRandomDecoder(join(folder, String(count++)), config)
  writeFileSync(join(model, 'tokenizer.json'), JSON.stringify(tokenizer))
  writeFileSync(join(model, 'tokenizer_config.json'), JSON.stringify(settings))
  const keys = await tokenizerKeys(await openModelFolder(model))
  return Object.fromEntries(keys.map(([key, { value }]) => [key.replace('tokenizer.', '').replace('ggml.', ''), value]))
}

const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true }
const digits = { type: 'Digits', individual_digits: true }

describe('a tokenizer in GGUF', () => {
  it('has tokens by id, kinds of tokens, merges, special tokens and the chat template', async () => {
    const added = [...(kind('llama3')['added_tokens'] as readonly object[]), { id: 421, content: '<tool>', special: false, lstrip: false }]
    const keys = await keysOf(changed('llama3', { added_tokens: added }), {
      ...{ bos_token: '<unk>', unk_token: { content: '<unk>' }, pad_token: '</s>', chat_template: '{{ messages }}' },
    })
    const { vocab, merges } = kind('llama3').model as {
      readonly vocab: Readonly<Record<string, number>>
      readonly merges: readonly (readonly [string, string])[]
    }
    const byId = Object.keys(vocab).sort((a, b) => (vocab[a] ?? 0) - (vocab[b] ?? 0))
    const { tokens, token_type: types, merges: written, ...others } = keys
    expect(tokens).toHaveLength(560)
    expect((tokens as readonly string[]).slice(3, 421)).toEqual(byId.slice(3))
    expect((tokens as readonly string[]).slice(421, 424)).toEqual(['<tool>', '[PAD422]', '[PAD423]'])
    expect((types as readonly number[]).slice(0, 4)).toEqual([3, 3, 3, 1])
    expect((types as readonly number[]).slice(420, 424)).toEqual([1, 4, 5, 5])
    expect(written).toEqual(merges.map(([left, right]) => `${left} ${right}`))
    expect(others).toEqual({
      ...{ model: 'gpt2', pre: 'smaug-bpe', bos_token_id: 1, eos_token_id: 2, eot_token_id: 9, eom_token_id: 7 },
      ...{ unknown_token_id: 0, padding_token_id: 2, add_bos_token: true, add_eos_token: false, chat_template: '{{ messages }}' },
    })
  })

  it.each<readonly [string, Json]>([
    ['gpt-2', changed('qwen2', { pre_tokenizer: byteLevel })],
    ['smollm', changed('qwen2', { pre_tokenizer: { type: 'Sequence', pretokenizers: [digits, byteLevel] } })],
    ['qwen2', changed('qwen2', { normalizer: { type: 'NFC' } })],
    ['llama-bpe', changed('llama3', {}, { ignore_merges: true })],
    ['tekken', changed('mistral-nemo', {}, { ignore_merges: true })],
    ['gpt-4o', changed('gpt-4o', {})],
  ])('is of the kind %s', async (pre, tokenizer) => {
    expect(await keysOf(tokenizer)).toMatchObject({ model: 'gpt2', pre, add_bos_token: ['llama-bpe', 'tekken'].includes(pre) })
  })

  it("of LLaMA 2's kind has scores in the order of its merges, and the kinds of bytes", async () => {
    const { model, tokens, scores, token_type: types, add_space_prefix: space } = await keysOf(withAllMerges(kind('llama2')))
    expect([model, space]).toEqual(['llama', true])
    const merged = (tokens as readonly string[]).flatMap((token, id) => ((scores as readonly number[])[id]! < 0 ? [token] : []))
    expect(merged.length).toBeGreaterThan(100)
    const of = (token: string): number => (scores as readonly number[])[(tokens as readonly string[]).indexOf(token)]!
    expect(merged.map(of)).toEqual([...merged].sort((a, b) => of(b) - of(a)).map(of)) // ids and scores have one order here
    expect((types as readonly number[]).slice(0, 4)).toEqual([2, 3, 3, 6])
  })

  const sequence = (...pretokenizers: readonly object[]) => ({ pre_tokenizer: { type: 'Sequence', pretokenizers } })
  const words = JSON.parse(readFileSync(join(fixtures, 'llama', 'tokenizer.json'), 'utf8')) as Json
  const known = "a byte-level tokenizer of GPT-2's, SmolLM's, Llama 3's, Qwen2's, Mistral NeMo's or GPT-4o's kind, for GGUF, got normalizer"
  it.each<readonly [string, Json, string]>([
    ['words', words, 'a tokenizer of pairs of bytes (BPE), for GGUF, got one of type WordPiece'],
    ['Metaspace', kind('metaspace'), 'blanks that become ▁, as the normalizers of LLaMA 2 and Gemma write them, for GGUF, got others'],
    [
      'a blank before the first word',
      changed('qwen2', { pre_tokenizer: { ...byteLevel, add_prefix_space: true } }),
      `${known} none, pre-tokenizer ByteLevel`,
    ],
    [
      'groups of digits',
      changed('qwen2', sequence({ type: 'Digits', individual_digits: false }, byteLevel)),
      `${known} none, pre-tokenizer Sequence`,
    ],
    ['three cuts', changed('qwen2', sequence(digits, digits, byteLevel)), `${known} none, pre-tokenizer Sequence`],
    ['a lower case', changed('llama3', { normalizer: { type: 'Lowercase' } }), `${known} Lowercase, pre-tokenizer Sequence`],
    ['NFC of GPT-2', changed('qwen2', { normalizer: { type: 'NFC' }, pre_tokenizer: byteLevel }), `${known} NFC, pre-tokenizer ByteLevel`],
    ['merged words of Mistral NeMo', changed('mistral-nemo', {}), `${known} none, pre-tokenizer Sequence`],
    ['whole words of GPT-4o', changed('gpt-4o', {}, { ignore_merges: true }), `${known} none, pre-tokenizer Sequence`],
    ['whole words of Qwen2', changed('qwen2', {}, { ignore_merges: true }), `${known} none, pre-tokenizer Sequence`],
    [
      'an end of words',
      changed('qwen2', {}, { end_of_word_suffix: '</w>' }),
      'a BPE without marks of words within its tokens, for GGUF, got "</w>"',
    ],
    [
      'a token that takes blanks',
      changed('qwen2', { added_tokens: [{ id: 0, content: '<unk>', special: true, lstrip: true }] }),
      'added tokens that leave the blanks beside them, for GGUF, got "<unk>" with lstrip, rstrip or single_word',
    ],
    [
      'a missing byte',
      changed('llama2', {}, { vocab: { '<unk>': 0, '<s>': 1, '</s>': 2, '▁': 3, a: 4 }, merges: [] }),
      'a token for every byte, for GGUF, got none for <0x00>',
    ],
    ['merges that are not all', kind('llama2'), 'all 2 merges of "ith", for GGUF, got 1'],
  ])('is refused by name with %s', async (_, tokenizer, message) => {
    await expect(keysOf(tokenizer)).rejects.toThrow(`tokenizer.json: expected ${message}`)
  })

  it('is refused with two tokens before a text', async () => {
    const special = { id: '<s>', type_id: 0 }
    const parts = [{ SpecialToken: special }, { SpecialToken: special }, { Sequence: { id: 'A', type_id: 0 } }]
    const processor = {
      ...(kind('llama3')['post_processor'] as object),
      single: parts,
      pair: [...parts, { Sequence: { id: 'B', type_id: 0 } }],
    }
    await expect(keysOf(changed('llama3', { post_processor: processor }))).rejects.toThrow(
      'expected at most one token before a text, for GGUF, got 2',
    )
  })
})
