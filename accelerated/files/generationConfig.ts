/** The tokens that end a text, as a model folder has them: generation_config.json's, else config.json's. */
import { join } from 'node:path'
import { z } from 'zod'
import { checked } from './checked.js'
import { configLimit } from './configFile.js'
import { parseJson, readText } from './jsonText.js'
import { mistake } from './mistake.js'
import { fileInFolder } from './safetensors/weightFiles.js'

const id = z.int().min(0)
const schema = z.object({ eos_token_id: z.union([id, z.array(id).max(1_000)]).nullish() })

/** None where neither file names one. Throws Mistake: no token id, or one beyond the word table. */
export const endTokensOf = async (folder: string, vocabularySize: number): Promise<ReadonlyArray<number>> => {
  for (const name of ['generation_config.json', 'config.json']) {
    const file = await fileInFolder(folder, name)
    if (file === undefined) continue
    const { eos_token_id: found } = checked(schema, parseJson(await readText(file, configLimit), file), file, 'the tokens that end a text')
    if (found == null) continue
    const ids = [found].flat()
    const beyond = ids.find((one) => one >= vocabularySize)
    if (beyond !== undefined)
      throw mistake(file, `eos_token_id below vocab_size ${vocabularySize} of ${join(folder, 'config.json')}`, String(beyond))
    return ids
  }
  return []
}
