/**
 * Adapter formats, one line each: how adapters are written to a folder and read back, and exports of the merged model. A method names the
 * format that it is saved in; reading asks each format whether the files are its own. Reading and writing model files belongs in checkpoints/.
 */
import type { ModelFolder } from '../checkpoints/modelFolder.js'
import { inputError, formatValue } from '../errors/inputError.js'
import { methods } from '../methods/index.js'
import type { Method } from '../methods/method.js'
import { requiredFile, joinPath } from '../storage/paths.js'
import { nodeFiles } from '../storage/nodeFiles.js'
import type { Storage } from '../storage/storage.js'
import type { Adapter, AdapterFormat } from './adapter.js'
import { adapters } from './adapters/adapters.js'
import { huggingFace } from './exportMerged.js'
import { peftAdalora } from './peft/adalora.js'
import { peftIa3 } from './peft/ia3.js'
import { peftLora } from './peft/lora.js'
import { adapterFiles } from './peft/peft.js'
import { readPeftType } from './peft/peftConfig.js'
import { peftSettings } from './peft/peftSettings.js'
import { peftPrefix, peftPrompt } from './peft/promptLearning.js'

const formats: Readonly<Record<string, AdapterFormat>> = { peftLora, peftAdalora, peftPrefix, peftPrompt, peftIa3, adapters, huggingFace }

/** Writes an adapter into an existing folder, in the format of its method. @throws InputError */
export const writeAdapter = (folder: string, adapter: Adapter, base: ModelFolder, storage: Storage = nodeFiles): Promise<void> =>
  findFormat(adapter.method).write(folder, adapter, base, storage)

export const findFormat = ({ name, export: { format } }: Method): AdapterFormat => {
  const adapterFormat = formats[format]
  if (adapterFormat === undefined) throw new Error(`${name}: expected a format among ${Object.keys(formats).join(', ')}, got ${format}`)
  return adapterFormat
}

/**
 * What a run that begins with this adapter has unless it is told otherwise: the adapter's own method and settings, as far as its files say them.
 * @param given settings of the run @throws InputError for a configuration that is none
 */
export const adapterSettings = async (
  folder: string,
  { method, targetModules }: { readonly method?: unknown; readonly targetModules?: unknown },
  storage: Storage = nodeFiles,
): Promise<Readonly<Record<string, unknown>>> => {
  const { method: own, rankPattern, feedforwardModules, ...settings } = await peftSettings(folder, storage)
  const table = methods.find(({ name }) => name === (method ?? own))?.settings ?? {}
  const ofTargets = targetModules === undefined ? { rankPattern, feedforwardModules } : {} // of the adapter's targets
  const known = Object.entries({ ...settings, ...ofTargets }).filter(([name, value]) => value !== undefined && name in table)
  return { ...(method === undefined && own !== undefined ? { method: own } : {}), ...Object.fromEntries(known) }
}

/** Reads an adapter of any format. @throws InputError if there is none, if its format is unknown, or if it does not fit the model */
export const readAdapter = async (folder: string, base: ModelFolder, storage: Storage = nodeFiles): Promise<Adapter> => {
  for (const format of Object.values(formats)) {
    const adapter = await format.read(folder, base, storage)
    if (adapter !== null) return adapter
  }
  const { readGgufAdapter } = await import('./gguf/ggufAdapter.js')
  const ofLlamaCpp = await readGgufAdapter(folder, base, storage)
  if (ofLlamaCpp !== null) return ofLlamaCpp
  await requiredFile(folder, adapterFiles.config, storage)
  const type = await readPeftType(folder, storage)
  throw inputError(
    joinPath(folder, adapterFiles.config),
    'an adapter of a supported method',
    type === undefined ? 'one without peft_type' : `peft_type ${formatValue(type)}`,
  )
}
