/** Unigram tokenizers give the ids that Hugging Face's own library gives: tables of characters, words cut and uncut, unknown characters, runs of blanks. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { nodeFiles } from '../../accelerated/storage/nodeFiles.js'
import { writeTokenizer } from '../../accelerated/formats/tokenizerFiles.js'
import { findMethod, resolveSettings } from '../../accelerated/training/resolveSettings.js'
import { loadTokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { parseConfigFile } from '../../accelerated/checkpoints/configFile.js'
import { fixtures } from './golden.js'

type Kind = {
  readonly tokenizer: object
  readonly ids: readonly (readonly number[])[]
  readonly pairs: readonly (readonly number[])[]
}
const { texts, kinds } = JSON.parse(readFileSync(join(fixtures, 'unigram.json'), 'utf8')) as {
  readonly texts: readonly string[]
  readonly kinds: Readonly<Record<string, Kind>>
}
const sizes = {
  vocab_size: 2_000,
  hidden_size: 8,
  num_hidden_layers: 1,
  num_attention_heads: 2,
  intermediate_size: 8,
  max_position_embeddings: 514,
}
const modelOf = (model_type: string) =>
  parseConfigFile(JSON.stringify({ ...sizes, model_type, type_vocab_size: model_type === 'deberta-v2' ? 0 : 1 }), 'config.json').model

const root = mkdtempSync(join(tmpdir(), 'salora-unigram-'))
afterAll(() => rmSync(root, { recursive: true }))

describe.each(Object.entries(kinds))('%s', (name, { tokenizer, ids, pairs }) => {
  const load = async () => {
    const folder = mkdtempSync(join(root, name))
    writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify(tokenizer))
    return loadTokenizer(folder, modelOf(name.startsWith('deberta') ? 'deberta-v2' : 'xlm-roberta'))
  }

  it('gives every text the same ids, also when its words are cached', async () => {
    const { encode } = await load()
    for (const [i, text] of [...texts, ...texts].entries())
      expect(encode(text, undefined, 512).inputIds, JSON.stringify(text)).toEqual(ids[i % texts.length])
  })

  it('gives every pair the same ids, and treats an empty second text as none', async () => {
    const { encode } = await load()
    for (const [i, expected] of pairs.entries()) {
      const [text = '', textPair = ''] = [texts[i], texts[i + 1]]
      if (textPair !== '') expect(encode(text, textPair, 512).inputIds, JSON.stringify([text, textPair])).toEqual(expected)
    }
  })
})

it('takes the name of the padding token of an exported folder from the pieces if no added token has its id', async () => {
  const [base, folder] = ['base', 'exported'].map((name) => mkdtempSync(join(root, name))) as [string, string]
  const tokenizer = { ...(kinds['bge'] as Kind).tokenizer, added_tokens: [] }
  writeFileSync(join(base, 'tokenizer.json'), JSON.stringify(tokenizer))
  const model = { ...modelOf('xlm-roberta'), paddingIndex: 1 }
  await writeTokenizer(
    { folder, storage: nodeFiles },
    { folder: base, storage: nodeFiles },
    { model, method: findMethod('lora'), settings: resolveSettings({ method: 'lora' }) },
  )
  expect(JSON.parse(readFileSync(join(folder, 'tokenizer_config.json'), 'utf8'))).toMatchObject({
    pad_token: '<pad>',
    tokenizer_class: 'XLMRobertaTokenizer',
  })
})
