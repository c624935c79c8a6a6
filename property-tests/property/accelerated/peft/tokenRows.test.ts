/** Rows of tokens in adapters that others wrote: each form of trainable_token_indices, and one line for each that does not fit. */
import { cp, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { withListedTokens, withNewTokens } from '../../../../accelerated/checkpoints/tokenizer/addedTokens.js'
import { rowsName } from '../../../../accelerated/methods/trainedTokens.js'
import { loadTextModel } from '../../../../finetuning/use/openModel.js'
import { fixtures } from '../../../golden/golden.js'
import { temporaryFolder } from '../../../support/temporaryFolder.js'

const { folder } = temporaryFolder('rows')
let count = 0

type Change = { readonly family?: 'qwen3' | 'llama'; readonly indices?: unknown; readonly tokenizer?: ((text: string) => string) | null }

/** PEFT's adapter of the fixture, changed. It trains rows of tokens 21, 7, 50 and 51; the last two are new. */
const load = async ({ family = 'qwen3', indices, tokenizer = (text) => text }: Change) => {
  const adapter = join(folder, String(count++))
  await cp(join(fixtures, family, 'tokens', 'peft-adapter'), adapter, { recursive: true })
  const [config, file] = [join(adapter, 'adapter_config.json'), join(adapter, 'tokenizer.json')]
  const json = JSON.parse(await readFile(config, 'utf8')) as object
  if (indices !== undefined) await writeFile(config, JSON.stringify({ ...json, trainable_token_indices: indices }))
  if (tokenizer === null) await rm(file)
  else await writeFile(file, tokenizer(await readFile(file, 'utf8')))
  return loadTextModel({ model: join(fixtures, family), adapter })
}
const messageOf = (change: Change): Promise<string> =>
  load(change).then(
    () => 'no error',
    ({ message }: Error) => message.replaceAll(folder, 'M').replace(/M\/\d+/, 'A'),
  )

describe('rows of tokens that PEFT trained', () => {
  it('may be named by the modules of a tied model, and are sorted by token', async () => {
    const ids = [21, 7, 50, 51]
    const [listed, named] = [await load({}), await load({ indices: { embed_tokens: ids, lm_head: ids } })]
    const of = ({ adapter }: typeof listed) => [
      adapter.method.tokens?.map((rows) => rows.ids),
      adapter.tensors.get(rowsName('embed_tokens.weight')),
    ]
    expect(of(named)).toEqual(of(listed))
    expect(listed.adapter.method.tokens?.map((rows) => rows.ids)).toEqual([[7, 21, 50, 51]])
    expect([listed.base.model.vocabularySize, listed.base.added?.tokens]).toEqual([52, ['<|user|>', 'ibuprofen']])
  })

  it.each<readonly [string, Change, string]>([
    [
      'a token twice',
      { indices: [21, 7, 50, 50] },
      'A/adapter_config.json: expected a plain LoRA configuration whose trainable_token_indices',
    ],
    [
      'another module',
      { indices: { wte: [21, 7, 50, 51] } },
      'expected trainable_token_indices of the embeddings or the output matrix, got "wte"',
    ],
    [
      'other tokens of a tied matrix',
      { indices: { embed_tokens: [21, 7, 50, 51], lm_head: [1] } },
      'expected the same tokens of both tables, as they are one',
    ],
    [
      'no row of a new token',
      { indices: [21, 7, 50, 8] },
      'expected a row of embed_tokens.weight for each new token, got none for token 51',
    ],
    ['new tokens without their tokenizer', { tokenizer: null }, "expected tokens below the vocabulary's 50"],
    ['a token beyond its tokenizer', { indices: [21, 7, 50, 52] }, "expected tokens below the vocabulary's 52"],
    [
      'a tensor of other tokens',
      { indices: [21, 7, 50] },
      'expected tensor base_model.model.model.embed_tokens.token_adapter.trainable_tokens_delta of shape [3, 24], got [4, 24]',
    ],
    [
      'a gap in its tokenizer',
      { tokenizer: (text) => text.replace('"id": 50', '"id": 60') },
      'expected a token of id 50, the first beyond those of',
    ],
    [
      'an output matrix without new rows',
      { family: 'llama', indices: { embed_tokens: [21, 7, 50, 51], lm_head: [21, 7, 50, 3] } },
      'expected a row of lm_head.weight for each new token, got none for token 51',
    ],
  ])('are refused in one line with %s', async (_, change, line) => {
    const message = await messageOf(change)
    expect(message).toContain(line)
    expect(message).not.toContain('\n')
  })
})

describe('new tokens in the files of a tokenizer', () => {
  it('are refused where ids have gaps, which other tools would number anew', () => {
    const text = JSON.stringify({ model: { vocab: { a: 0, b: 3 } } })
    expect(() => withNewTokens(text, ['c'], 'T')).toThrow('T: expected tokens whose ids follow one another')
  })

  it('join the list of tokenizer_config.json where it has one', () => {
    expect(withListedTokens('{"unk_token": "a"}', ['<c>'], 4, 'T')).toBeNull()
    const listed = withListedTokens('{"added_tokens_decoder": {"1": {"content": "b"}}}', ['<c>', 'd'], 4, 'T') ?? ''
    expect(JSON.parse(listed)).toMatchObject({
      added_tokens_decoder: { 1: { content: 'b' }, 4: { content: '<c>', special: true }, 5: { content: 'd', special: false } },
    })
  })
})
