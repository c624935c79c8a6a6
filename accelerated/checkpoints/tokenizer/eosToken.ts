/** End-of-sequence tokens: those of generation_config.json, else of config.json. */
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { namesLimit } from '../labelNames.js'
import { parseJson } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { inputError } from '../../errors/inputError.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { joinPath, fileInFolder } from '../../storage/paths.js'
import type { Storage } from '../../storage/storage.js'

const schema = z.object({
  eos_token_id: z.union([z.int().min(0), z.array(z.int().min(0)).min(1).max(1_000)]).nullish(),
})

/** Ids that end a text. The first is the one to write. @throws InputError if no file has one, or if one exceeds the vocabulary */
export const eosTokenIds = async (folder: string, vocabularySize: number, storage: Storage = nodeFiles): Promise<readonly number[]> => {
  const ids = await namedEosTokenIds(folder, vocabularySize, storage)
  if (ids.length === 0) throw inputError(joinPath(folder, 'config.json'), 'an eos_token_id, which ends a generated text', 'none')
  return ids
}

/** The same ids; none if no file has one. @throws InputError if one exceeds the vocabulary */
export const namedEosTokenIds = async (
  folder: string,
  vocabularySize: number,
  storage: Storage = nodeFiles,
): Promise<readonly number[]> => {
  for (const name of ['generation_config.json', 'config.json']) {
    const file = await fileInFolder(folder, name, storage)
    if (file === undefined) continue
    const json = parseJson(await readText(file, namesLimit, storage), file)
    const { eos_token_id: eos } = validate(schema, json, file, 'a configuration')
    if (eos == null) continue
    const ids = typeof eos === 'number' ? [eos] : eos
    const beyond = ids.find((id) => id >= vocabularySize)
    if (beyond !== undefined) throw inputError(file, `an eos_token_id below vocab_size ${vocabularySize}`, String(beyond))
    return ids
  }
  return []
}
