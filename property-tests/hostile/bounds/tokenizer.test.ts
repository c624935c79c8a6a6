/** A tokenizer.json with too large ids, malformed tables or unsupported components is refused; unusual valid ones are read. */
import { describe, expect, it } from 'vitest'
import { parseConfigFile } from '../../../accelerated/checkpoints/configFile.js'
import { wordPatterns } from '../../../accelerated/checkpoints/tokenizer/tokenizerSchema.js'
import { loadTokenizer } from '../../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { bytePair, roberta, unigram, wordPiece } from '../validFiles.js'
import { model, place, put, refusal, usePlace } from './folder.js'

usePlace()

describe('a tokenizer', () => {
  const load = async (json: object, settings: object = {}) => {
    await put('tokenizer.json', json)
    await put('tokenizer_config.json', settings)
    return loadTokenizer(place.folder, { ...model, vocabularySize: 30 })
  }
  const bert = parseConfigFile(
    JSON.stringify({ ...roberta, model_type: 'bert', vocab_size: 30, pad_token_id: 0, type_vocab_size: 2 }),
    'config.json',
  ).model
  const kind = 'F/tokenizer.json: expected a supported tokenizer whose'
  it('is refused if an id would need a list of billions', async () => {
    for (const id of [30, 2 ** 32 - 2, 2 ** 40]) {
      expect(await refusal(() => load({ ...bytePair, model: { ...bytePair.model, vocab: { ...bytePair.model.vocab, z: id } } }))).toBe(
        `F/tokenizer.json: expected ids below vocab_size 30 of F/config.json, got ${id}`,
      )
      expect(await refusal(() => load({ ...bytePair, added_tokens: [...bytePair.added_tokens, { id, content: 'z' }] }))).toBe(
        `F/tokenizer.json: expected ids below vocab_size 30 of F/config.json, got ${id}`,
      )
    }
  })
  it('is refused if its vocabulary or merges have other types', async () => {
    const refusalOf = (change: object): Promise<string> => refusal(() => load({ ...bytePair, model: { ...bytePair.model, ...change } }))
    for (const id of [-1, 0.5, '4', null])
      expect(await refusalOf({ vocab: { ...bytePair.model.vocab, z: id } })).toBe(
        'F/tokenizer.json: expected an id for "z" in model.vocab, got no whole number from 0',
      )
    expect(await refusalOf({ vocab: [['a', 0]] })).toBe(
      'F/tokenizer.json: expected model.vocab that maps tokens to ids, got something else',
    )
    for (const [merges, at] of [
      [['a b', ['a', 'b']], 1],
      [[['a', 'b', 'c']], 0],
      [['a b', 7], 1],
    ] as const) {
      expect(await refusalOf({ merges })).toBe(
        `F/tokenizer.json: expected model.merges that are all texts or all pairs of texts, got something else at ${at}`,
      )
    }
  })
  it('may have more tokens than a call can have arguments', async () => {
    const vocab = Object.fromEntries(Array.from({ length: 400_000 }, (_, i) => [`t${i}`, i + 10]))
    await put('tokenizer.json', { ...bytePair, model: { ...bytePair.model, vocab: { ...bytePair.model.vocab, ...vocab } } })
    expect((await loadTokenizer(place.folder, { ...model, vocabularySize: 400_010 })).encode('a', undefined, 7).inputIds).toEqual([0, 4, 2])
  })
  it.each([
    ['pre_tokenizer', { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated', invert: false }],
    ['normalizer', { type: 'Replace', pattern: { Regex: '(a*)*b' }, content: '' }],
    ['normalizer', { type: 'Replace', pattern: { String: '' }, content: 'x'.repeat(1_000) }],
    ['normalizer', { type: 'Replace', pattern: { String: 'x' }, content: 'x'.repeat(9) }],
    ['normalizer', { type: 'Prepend', prepend: 'x'.repeat(9) }],
    ['pre_tokenizer', { type: 'Split', pattern: { Regex: '(a+)+$' }, behavior: 'Isolated' }],
    ['pre_tokenizer', { type: 'Split', pattern: { Regex: wordPatterns.qwen2 }, behavior: 'Removed', invert: false }],
    ['normalizer', { type: 'Precompiled', precompiled_charsmap: '' }],
    ['normalizer', { type: 'Replace', pattern: { Regex: '\\s{2,}|[\\n\\r\\t]+$' }, content: ' ' }],
    ['pre_tokenizer', { type: 'Punctuation', behavior: 'Isolated' }],
    ['pre_tokenizer', { type: 'Sequence', pretokenizers: [{ type: 'Split', pattern: { Regex: '(a+)+$' } }] }],
    ['post_processor', { type: 'Sequence', processors: [{ type: 'Sequence', processors: [] }] }],
    ['model', { type: 'Unigram', vocab: [['a', 0]] }],
    ['added_tokens', Array.from({ length: 100_001 }, () => ({ id: 9, content: 'z' }))],
    ['added_tokens', [{ id: 9, content: 'z'.repeat(1_001) }]],
    [
      'post_processor',
      { type: 'TemplateProcessing', single: Array.from({ length: 17 }, () => ({ Sequence: { id: 'A', type_id: 0 } })), pair: [] },
    ],
    ['pre_tokenizer', { type: 'Sequence', pretokenizers: Array.from({ length: 17 }, () => ({ type: 'Whitespace' })) }],
  ])('is refused if its %s is not supported', async (part, value) => {
    expect(await refusal(() => load({ ...bytePair, [part]: value }))).toContain(`${kind} ${part}`)
  })
  it('may be a unigram model, and is refused if its vocabulary is not a list of pieces', async () => {
    const refusalOf = (change: object): Promise<string> => refusal(() => load({ ...unigram, model: { ...unigram.model, ...change } }))
    expect((await load(unigram)).encode('ab a', undefined, 7).inputIds).toEqual([0, 4, 8, 7, 2])
    const pieces = 'F/tokenizer.json: expected model.vocab of pieces of 1 to 128 characters, each with a number, got something else at'
    const { vocab } = unigram.model
    for (const odd of [['a', '1'], ['', 1], ['a'], ['a', 1, 2], 'a', ['a'.repeat(129), 1], [1, 1], ['a', null]])
      expect(await refusalOf({ vocab: [...vocab, odd] })).toBe(`${pieces} 9`)
    expect(await refusalOf({ vocab: { a: 1 } })).toBe(`${pieces} 0`)
    expect(await refusalOf({ vocab: [] })).toBe(`${pieces} 0`)
    expect(await refusalOf({ unk_id: 9 })).toBe('F/tokenizer.json: expected model.unk_id below the 9 pieces of model.vocab, got 9')
    expect(await refusalOf({ byte_fallback: true })).toBe(`${kind} model.byte_fallback is false, got true`)
    const many = Array.from({ length: 31 }, (_, i) => [`t${i}`, -i])
    expect(await refusalOf({ vocab: many })).toBe('F/tokenizer.json: expected ids below vocab_size 30 of F/config.json, got 30')
    const table = { type: 'Precompiled', precompiled_charsmap: Buffer.from('no table').toString('base64') }
    expect(await refusal(() => load({ ...unigram, normalizer: table }))).toMatch(
      /^F\/tokenizer\.json: expected a precompiled_charsmap that begins with the size of its trie, got \d+ of 8 bytes$/,
    )
  })
  it('is refused if it allows words of more than a thousand characters, whose cost is quadratic', async () => {
    expect(await refusal(() => load({ ...wordPiece, model: { ...wordPiece.model, max_input_chars_per_word: 1_001 } }))).toContain(
      `${kind} model.max_input_chars_per_word`,
    )
  })
  it("may lack the model's type, like old files", async () => {
    const { type: _, ...model } = bytePair.model
    expect((await load({ ...bytePair, model })).encode('ab', undefined, 7).inputIds).toEqual([0, 9, 2])
    expect((await load({ ...bytePair, model: { ...model, merges: ['Ġ a'] } })).encode('ab', undefined, 7).inputIds).toEqual([0, 4, 5, 2]) // word pieces would find ab in the table
    const { type: __, ...pieces } = wordPiece.model
    await put('tokenizer.json', { ...wordPiece, model: pieces })
    expect((await loadTokenizer(place.folder, bert)).encode('ab', undefined, 7).inputIds).toEqual([2, 4, 9, 3])
  })
  it('a tokenizer without an id for a piece of a text refuses the text', async () => {
    await put('tokenizer.json', { ...wordPiece, model: { ...wordPiece.model, unk_token: '[NONE]' } })
    const tokenizer = await loadTokenizer(place.folder, bert)
    expect(await refusal(() => tokenizer.encode('z', undefined, 7))).toBe(
      'F/tokenizer.json: expected an id for every piece of a text (or an unk_token that has one), got none for a piece of "z"',
    )
  })
  it('passes neither templates nor tokens of its settings to the library', async () => {
    expect(
      (await load(bytePair, { chat_template: [{ name: 1 }], unk_token: { a: 1 }, additional_special_tokens: 3 })).encode('a', undefined, 7)
        .inputIds,
    ).toEqual([0, 4, 2])
    expect(await refusal(() => load(bytePair, { remove_space: 'yes' }))).toContain(
      'F/tokenizer_config.json: expected settings of a tokenizer whose remove_space is true or false',
    )
    expect(await refusal(() => load(bytePair, []))).toContain('F/tokenizer_config.json: expected settings of a tokenizer (an object)')
  })
})
