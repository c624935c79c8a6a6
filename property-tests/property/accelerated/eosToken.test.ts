/** The tokens that end a text: those of generation_config.json, else those of config.json. */
import { expect, it } from 'vitest'
import { eosTokenIds, namedEosTokenIds } from '../../../accelerated/checkpoints/tokenizer/eosToken.js'
import { memoryStorage } from '../../../accelerated/storage/memory.js'

const folderOf = async (files: Readonly<Record<string, object>>) => {
  const storage = memoryStorage()
  await storage.makeFolder('model')
  for (const [name, json] of Object.entries(files)) await storage.write(`model/${name}`, JSON.stringify(json))
  return storage
}

it.each([
  [{ 'generation_config.json': { eos_token_id: [7, 2] }, 'config.json': { eos_token_id: 5 } }, [7, 2]],
  [{ 'generation_config.json': {}, 'config.json': { eos_token_id: 5 } }, [5]],
  [{ 'generation_config.json': { eos_token_id: null }, 'config.json': { eos_token_id: [9] } }, [9]],
  [{ 'config.json': {} }, []],
])('the ends of texts in %j are %j', async (files, ids) => {
  expect(await namedEosTokenIds('model', 10, await folderOf(files))).toEqual(ids)
})

it('an end of text beyond the vocabulary, or none where one is needed, is refused with its file', async () => {
  const beyond = await folderOf({ 'config.json': { eos_token_id: 10 } })
  await expect(namedEosTokenIds('model', 10, beyond)).rejects.toThrow('config.json: expected an eos_token_id below vocab_size 10, got 10')
  await expect(eosTokenIds('model', 10, await folderOf({}))).rejects.toThrow('config.json: expected an eos_token_id')
})
