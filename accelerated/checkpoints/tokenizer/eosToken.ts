/** The tokens that end a text: those of generation_config.json, else of config.json. */
import { join } from 'node:path'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { configLimit } from '../configFile.js'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { inputError } from '../../errors/inputError.js'
import { fileInFolder } from '../../storage/fileInFolder.js'

const schema = z.object({
  eos_token_id: z.union([z.int().min(0), z.array(z.int().min(0)).min(1).max(1_000)]).nullish(),
})

/** Ids, the first of which is the one to write. Throws Mistake where no file names one, or one that is no word of the model's. */
export const eosTokenIds = async (folder: string, vocabularySize: number): Promise<ReadonlyArray<number>> => {
  const ids = await namedEosTokenIds(folder, vocabularySize)
  if (ids.length === 0) throw inputError(join(folder, 'config.json'), 'an eos_token_id, which ends what is written', 'none')
  return ids
}

/** The same, or none where no file names one. */
export const namedEosTokenIds = async (folder: string, vocabularySize: number): Promise<ReadonlyArray<number>> => {
  for (const name of ['generation_config.json', 'config.json']) {
    const file = await fileInFolder(folder, name)
    if (file === undefined) continue
    const { eos_token_id: found } = validate(schema, parseJson(await readText(file, configLimit), file), file, 'a configuration')
    if (found == null) continue
    const ids = typeof found === 'number' ? [found] : found
    const beyond = ids.find((id) => id >= vocabularySize)
    if (beyond !== undefined) throw inputError(file, `an eos_token_id below vocab_size ${vocabularySize}`, String(beyond))
    return ids
  }
  return []
}
