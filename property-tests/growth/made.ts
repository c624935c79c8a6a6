/** Made-up inputs of any size. */
import { readFile, writeFile } from 'node:fs/promises'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openModelFolder } from '../../accelerated/checkpoints/modelFolder.js'
import { loadTokenizer, type Tokenizer } from '../../accelerated/checkpoints/tokenizer/tokenizer.js'
import { llamaArchitecture } from '../../accelerated/models/llama/llama.js'
import { embeddedModel } from '../../finetuning/embedded/quickstart.js'

export const times = <T>(count: number, make: (index: number) => T): ReadonlyArray<T> =>
  Array.from({ length: Math.max(0, count) }, (_, i) => make(i))

/** Words, some frequent and many rare, in an order of their own for each number. */
export const sentence = (number: number, words: number): string =>
  times(words, (i) => {
    const drawn = Math.imul(number * 31 + i + 1, 2_654_435_761) >>> 0
    return drawn % 3 === 0 ? 'the' : `w${(drawn >>> 8) % (drawn % 5 === 0 ? 50_000 : 500)}`
  }).join(' ')

export const embeddedTokenizer = async (): Promise<{ readonly tokenizer: Tokenizer; readonly vocabularySize: number }> => {
  const { folder, model } = await openModelFolder(embeddedModel)
  return { tokenizer: await loadTokenizer(folder, model), vocabularySize: model.vocabularySize }
}

const sizes = { vocab_size: 1_000, hidden_size: 8, num_hidden_layers: 1, num_attention_heads: 2, intermediate_size: 8 }
const decoder = llamaArchitecture.open({ model_type: 'llama', ...sizes, max_position_embeddings: 100_000 }, 'config.json')

/** A tokenizer of a decoder's kind: llama2, metaspace, llama3 or qwen2. */
export const decoderTokenizer = async (kind: string): Promise<Tokenizer> => {
  const text = await readFile('property-tests/golden/fixtures/tokenizers.json', 'utf8')
  const { kinds } = JSON.parse(text) as { readonly kinds: Readonly<Record<string, { readonly tokenizer: object }>> }
  const folder = await mkdtemp(join(tmpdir(), 'salora-growth-'))
  try {
    await writeFile(join(folder, 'tokenizer.json'), JSON.stringify(kinds[kind]?.tokenizer))
    return await loadTokenizer(folder, decoder)
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** That of a fixture of property-tests/golden. */
export const fixtureTokenizer = async (name: string): Promise<Tokenizer> => {
  const { folder, model } = await openModelFolder(join('property-tests/golden/fixtures', name))
  return loadTokenizer(folder, model)
}
