/** Tokenizers of decoders' kinds give the ids that Hugging Face's own library gives: prefix and replaced blanks, Metaspace, word expressions before bytes. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { llamaArchitecture } from '../../accelerated/models/llama/llama.js'
import { fixtures } from './golden.js'

type Kind = {
  readonly tokenizer: object
  readonly ids: readonly (readonly number[])[]
  readonly pairs: readonly (readonly number[])[]
  /** the text of all ids, and of those from the middle on */
  readonly decoded: readonly string[]
  readonly halves: readonly string[]
}
const { texts, kinds } = JSON.parse(readFileSync(join(fixtures, 'tokenizers.json'), 'utf8')) as {
  readonly texts: readonly string[]
  readonly kinds: Readonly<Record<string, Kind>>
}

const root = mkdtempSync(join(tmpdir(), 'salora-tokenizers-'))
afterAll(() => rmSync(root, { recursive: true }))

const model = llamaArchitecture.open(
  {
    model_type: 'llama',
    vocab_size: 1_000,
    hidden_size: 8,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    intermediate_size: 8,
    max_position_embeddings: 512,
  },
  'config.json',
)

describe.each(Object.entries(kinds))('%s', (name, { tokenizer, ids, pairs, decoded, halves }) => {
  const load = async () => {
    const folder = mkdtempSync(join(root, name))
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer))
    return loadTokenizer(folder, model)
  }

  it('gives every text the same ids', async () => {
    const { encode } = await load()
    for (const [i, text] of texts.entries()) expect(encode(text, undefined, 512).inputIds, JSON.stringify(text)).toEqual(ids[i])
  })

  it('decodes ids to the same text, and a part of them that begins with a letter', async () => {
    const { decode } = await load()
    expect(ids.map(decode)).toEqual(decoded)
    const parts = ids.map((tokens) => decode(tokens.slice(tokens.length >> 1)))
    const complete = halves.flatMap((text, i) => (text.includes('\ufffd') ? [] : [i]))
    expect(complete.length).toBeGreaterThan(15)
    expect(complete.map((i) => parts[i])).toEqual(complete.map((i) => halves[i]))
  })

  it('gives each token the bytes that it adds to a text', async () => {
    const { bytes, idToToken } = await load()
    const isSpecial = (id: number): boolean => /^<.+>$/.test(idToToken(id) ?? '') && !/^<0x..>$/.test(idToToken(id) ?? '')
    for (const [i, tokens] of ids.entries()) {
      const text = Buffer.concat(tokens.filter((id) => !isSpecial(id)).map(bytes)).toString()
      expect([decoded[i], ` ${decoded[i]}`]).toContain(text) // some decoders drop the first blank
    }
  })

  it('gives every pair the same ids, and treats an empty second text as none', async () => {
    const { encode } = await load()
    for (const [i, expected] of pairs.entries()) {
      const [text = '', textPair = ''] = [texts[i], texts[i + 1]]
      if (textPair !== '') expect(encode(text, textPair, 512).inputIds, JSON.stringify([text, textPair])).toEqual(expected)
    }
  })
})

it('a byte-level post-processor, as in Llama 3’s and Qwen2’s files, changes no ids of texts and pairs', async () => {
  const { tokenizer, pairs } = kinds['qwen2'] ?? { tokenizer: {}, pairs: [] }
  expect(tokenizer).toMatchObject({ post_processor: null })
  const folder = mkdtempSync(join(root, 'processor'))
  const processor = { type: 'ByteLevel', add_prefix_space: true, trim_offsets: false, use_regex: true }
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...tokenizer, post_processor: processor }))
  const { encode } = await loadTokenizer(folder, model)
  for (const [i, expected] of pairs.entries())
    if (texts[i + 1] !== '') expect(encode(texts[i] ?? '', texts[i + 1], 512).inputIds).toEqual(expected)
})

it("Gemma's cut at blanks is refused where its normalizer leaves blanks", async () => {
  const folder = mkdtempSync(join(root, 'blanks'))
  const { tokenizer } = kinds['gemma'] ?? { tokenizer: {} }
  expect(tokenizer).toMatchObject({ pre_tokenizer: { type: 'Split' } })
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...tokenizer, normalizer: null }))
  await expect(loadTokenizer(folder, model)).rejects.toThrow(/tokenizer\.json: expected .*, got /)
})

it('an unknown kind of decoder is an error only when tokens are decoded', async () => {
  const folder = mkdtempSync(join(root, 'odd'))
  const decoder = { type: 'Replace', pattern: { Regex: '(a+)+$' }, content: 'b' }
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...kinds['qwen2']?.tokenizer, decoder }))
  const { encode, decode } = await loadTokenizer(folder, model)
  expect(encode('The quick', undefined, 512).inputIds.length).toBeGreaterThan(0)
  expect(() => decode([5])).toThrow(/tokenizer\.json: expected a supported decoder, which makes text of tokens, got another$/)
})

it('ids without a token are omitted from a text, as in tables with more rows than tokens', async () => {
  const folder = mkdtempSync(join(root, 'rows'))
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(kinds['qwen2']?.tokenizer))
  const { ids, decode } = await loadTokenizer(folder, model)
  expect(decode([...ids('The quick'), 999, ...ids(' fox')])).toBe('The quick fox')
  expect(decode([999])).toBe('')
})
