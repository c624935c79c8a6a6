/** salora.json: the task type and the class names, for which other formats have no place. */
import { z } from 'zod'
import { labelNames, namesLimit } from '../checkpoints/labelNames.js'
import { validate } from '../errors/validate.js'
import type { Model } from '../models/architecture.js'
import { isBare, problemTypes, type ModelOutputs } from '../models/modelOutputs.js'
import { parseJson } from '../storage/json.js'
import { readText } from '../storage/text.js'
import { fileInFolder } from '../storage/paths.js'
import type { Storage } from '../storage/storage.js'

export const namesFile = 'salora.json'

/** Bytes of an adapter_config.json or salora.json. */
export const adapterConfigLimit = namesLimit

export const namesText = (model: Model, outputs: ModelOutputs, names: readonly string[] | undefined): string => {
  const { taskType } = outputs
  const problemType = outputs.head === 'sequence' ? outputs.problemType : null
  const head = outputs.head === 'token' || outputs.head === 'embedding' ? { head: outputs.head } : {}
  const pooling = outputs.head === 'sequence' && isBare(model, outputs) ? { pooling: 'mean' } : {}
  return `${JSON.stringify({ labelNames: names ?? null, ...(taskType === undefined ? {} : { taskType }), ...head, ...pooling, problemType }, null, 2)}\n`
}

const schema = z.object({
  labelNames: labelNames.nullable(),
  taskType: z.string().min(1).max(1_000).optional(),
  /** absent: the head of a sequence or, if `problemType` is null, of the next token */
  head: z.enum(['token', 'embedding']).optional(),
  /** of a classifier on embeddings of a sentence encoder; absent: as transformers classifies */
  pooling: z.literal('mean').optional(),
  /** null: the next token, a class per token, or an embedding */
  problemType: z.enum(problemTypes).nullable(),
})
export type StoredNames = z.infer<typeof schema>

/** The names in a folder; undefined if it has no such file. @throws InputError */
export const readNames = async (folder: string, storage: Storage): Promise<StoredNames | undefined> => {
  const file = await fileInFolder(folder, namesFile, storage)
  if (file === undefined) return undefined
  return validate(schema, parseJson(await readText(file, adapterConfigLimit, storage), file), file, 'names as salora writes them')
}
