/** The four parts of @huggingface/tokenizers that we replace: what its own do, and what ours do. A new version of the library fails here first. */
import { readFileSync } from 'node:fs'
import { Tokenizer } from '@huggingface/tokenizers'
import { describe, expect, it } from 'vitest'
import { libraryTokenizer } from '../../../accelerated/checkpoints/tokenizer/libraryTokenizer.js'
import { parseTokenizerFile, type TokenizerFile } from '../../../accelerated/checkpoints/tokenizer/tokenizerFile.js'
import { bytePair, unigram } from '../../hostile/validFiles.js'

type Loaded = {
  readonly encode: (text: string, options: object) => { readonly ids: readonly number[] }
  readonly decode: (ids: readonly number[], options: object) => string
  readonly model: { readonly cache?: { readonly cache: ReadonlyMap<string, unknown> } }
}
const parsed = (json: object): TokenizerFile => parseTokenizerFile(JSON.stringify(json), 'tokenizer.json', 1_000, 'config.json')
const theirs = (file: object): Loaded => new Tokenizer(file, {}) as unknown as Loaded
const ours = (file: TokenizerFile): Loaded => libraryTokenizer(file, {}, 'tokenizer.json') as unknown as Loaded
const ids = (tokenizer: Loaded, text: string, textPair?: string): readonly number[] =>
  tokenizer.encode(text, { add_special_tokens: true, ...(textPair === undefined ? {} : { text_pair: textPair }) }).ids

describe('our parts of @huggingface/tokenizers', () => {
  it('replace those of version 0.2.0', () => {
    const { version } = JSON.parse(readFileSync('node_modules/@huggingface/tokenizers/package.json', 'utf8')) as { version: string }
    expect(version).toBe('0.2.0')
  })

  it('keep the second of two texts that its ByteLevel post-processor loses', () => {
    const file = parsed({ ...bytePair, post_processor: { type: 'ByteLevel', trim_offsets: true } })
    const [a, b] = [ids(ours(file), 'ab'), ids(ours(file), 'a')]
    expect(ids(ours(file), 'ab', 'a')).toEqual([...a, ...b])
    expect(ids(theirs(file), 'ab', 'a')).toEqual(a)
  })

  it('normalize by the table of the file, where its Precompiled normalizer takes NFKC', () => {
    // A trie without keys: SentencePiece's "identity" rule.
    const table = Buffer.concat([Buffer.from([4, 0, 0, 0]), Buffer.from([0, 0, 0, 0])]).toString('base64')
    const vocab = [
      ['<s>', 0],
      ['<pad>', 0],
      ['</s>', 0],
      ['<unk>', 0],
      ['ﬁ', -1],
      ['f', -1],
      ['i', -1],
    ]
    const precompiled = { type: 'Precompiled', precompiled_charsmap: table }
    const json = { ...unigram, normalizer: precompiled, pre_tokenizer: null, post_processor: null, added_tokens: [] }
    const file = parsed({ ...json, model: { ...unigram.model, unk_id: 3, vocab } })
    expect(ids(ours(file), 'ﬁ')).toEqual([4])
    expect(ids(theirs(file), 'ﬁ')).toEqual([5, 6])
    const inSequence = parsed({ ...json, normalizer: { type: 'Sequence', normalizers: [precompiled] }, model: file.model })
    expect(ids(ours(inSequence), 'ﬁ')).toEqual([4])
  })

  it('leave the cache of its byte-pair model empty', () => {
    const file = parsed(bytePair)
    const [actual, library] = [ours(file), theirs(file)]
    expect(ids(actual, 'ab a')).toEqual(ids(library, 'ab a'))
    expect(actual.model.cache?.cache.size).toBe(0)
    expect(library.model.cache?.cache.size).toBeGreaterThan(0)
  })

  it('open a large unigram model fast, and make the same ids and texts of a small one', () => {
    const file = parsed(unigram)
    for (const text of ['ab a', 'a', 'b b ab', 'zz']) expect(ids(ours(file), text), text).toEqual(ids(theirs(file), text))
    const options = { skip_special_tokens: true, clean_up_tokenization_spaces: false }
    expect(ours(file).decode([4, 8, 7], options)).toBe(theirs(file).decode([4, 8, 7], options))
    const letters = 'abcdefghijklmnopqrstuvwxyz'
    const vocab = Array.from({ length: 100_000 }, (_, i) => [
      [0, 1, 2, 3, 4, 5].map((k) => letters[Math.floor(i / 26 ** k) % 26]).join(''),
      -i,
    ])
    const text = JSON.stringify({ ...unigram, model: { ...unigram.model, vocab: [...unigram.model.vocab, ...vocab] } })
    const large = parseTokenizerFile(text, 'tokenizer.json', 1e6, 'config.json')
    const time = (open: () => unknown): number => {
      const times = [1, 2].map(() => {
        const began = performance.now()
        open()
        return performance.now() - began
      })
      return Math.min(...times)
    }
    expect(time(() => ours(large))).toBeLessThan(time(() => theirs(large)))
  })

  const replace = (count: number, content: string) => ({
    type: 'Sequence',
    normalizers: Array.from({ length: count }, () => ({ type: 'Replace', pattern: { String: 'a' }, content })),
  })

  it('refuse components whose growths multiply, in normalizers, decoders and pre-tokenizers', () => {
    expect(() => parsed({ ...bytePair, normalizer: replace(16, 'aaaaaaaa') })).toThrow(
      /replacements that make a text at most 64 times as long/,
    )
    expect(() => parsed({ ...bytePair, normalizer: replace(3, 'aaaaaaaa') })).toThrow(/at most 64 times as long/)
    expect(() => parsed({ ...bytePair, normalizer: replace(2, 'aaaaaaaa') })).not.toThrow()
    expect(() => parsed({ ...bytePair, normalizer: replace(16, 'b') })).not.toThrow()
    const decoders = { type: 'Sequence', decoders: replace(16, 'aaaaaaaa').normalizers }
    expect(parsed({ ...bytePair, decoder: decoders }).decodes).toBe(false)
    const bytes = { type: 'Sequence', pretokenizers: Array.from({ length: 16 }, () => ({ type: 'ByteLevel' })) }
    expect(() => parsed({ ...bytePair, pre_tokenizer: bytes })).toThrow(/at most 2 of Precompiled, ByteLevel, Metaspace/)
  })

  it('refuse a normalized text that is much longer than its text', () => {
    const arabic = '\ufdfa' // 18 characters in NFKC, the most of all
    const file = parsed({ ...bytePair, normalizer: { type: 'Sequence', normalizers: [{ type: 'NFKC' }] } })
    expect(() => ids(ours(file), arabic.repeat(1_000))).not.toThrow()
    expect(() => ids(ours(parsed({ ...bytePair, normalizer: replace(2, 'aaaaaaaa') })), 'a'.repeat(1_000))).toThrow(
      'tokenizer.json: expected a normalizer that makes at most 33000 characters of 1000, got 64000',
    )
  })
})
