/** A decoder in GGUF as a folder in Hugging Face layout: converted once, and kept in the cache under the file's digest. */
import { factorTensors } from '../../models/gguf.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { joinPath } from '../../storage/paths.js'
import { withFile, type Storage } from '../../storage/storage.js'
import { markUsed, removeUnused } from '../../storage/unusedFolders.js'
import { knownSha256, storedSha256 } from '../../storage/storedDigest.js'
import { parseConfigFile } from '../configFile.js'
import { convertWeights } from './convertWeights.js'
import { dequantize } from './dequantize.js'
import { ggufConfig } from './ggufConfig.js'
import type { GgufHeader } from './ggufHeader.js'
import { ggufTokenizer } from './ggufTokenizerJson.js'
import { readGguf } from './readGguf.js'

/** The version of the written files: a later one converts again. */
const layout = 1

/** → the folder. config.json is written last: without it, the folder is incomplete, and is written again. @throws InputError */
export const convertedModel = async (file: string, cache: string): Promise<string> => {
  const digests = joinPath(cache, 'salora-digests')
  const folderOf = (digest: string): string => joinPath(cache, 'salora-gguf', `${digest.slice(0, 32)}-${layout}`)
  const known = await knownSha256(file, digests)
  if (known !== null && (await isComplete(folderOf(known)))) return used(folderOf(known)) // its header needs no second reading
  const header = await readGguf(file) // before the whole file is read for its digest
  const { config, tokenizer, settings } = await filesOf(header, file, nodeFiles)
  const { model } = parseConfigFile(config, file)
  const folder = folderOf(await storedSha256(file, digests))
  if (await isComplete(folder)) return used(folder)
  await removeUnused(joinPath(cache, 'salora-gguf'), /^[0-9a-f]{32}-\d+$/)
  await nodeFiles.makeFolder(folder, { recursive: true })
  await markUsed(folder)
  await convertWeights(header, model, file, { path: joinPath(folder, 'model.safetensors'), storage: nodeFiles }, nodeFiles)
  await nodeFiles.write(joinPath(folder, 'tokenizer.json'), tokenizer)
  await nodeFiles.write(joinPath(folder, 'tokenizer_config.json'), settings)
  await nodeFiles.write(joinPath(folder, 'config.json'), config)
  return folder
}

const isComplete = async (folder: string): Promise<boolean> => (await nodeFiles.stat(joinPath(folder, 'config.json'))) !== null

const used = async (folder: string): Promise<string> => {
  await markUsed(folder)
  return folder
}

/** The texts of the small files. @throws InputError */
const filesOf = async (
  header: GgufHeader,
  file: string,
  storage: Storage,
): Promise<Readonly<Record<'config' | 'tokenizer' | 'settings', string>>> => {
  const factors = new Map<string, Float32Array>()
  for (const name of factorTensors) {
    const entry = header.tensors.get(name)
    if (entry === undefined) continue
    const numbers = await withFile(storage, file, async ({ read }) => Uint8Array.from(await read(entry.offset, entry.length)))
    factors.set(name, dequantize(entry.type, numbers))
  }
  const { tokenizer, settings } = ggufTokenizer(header, file)
  return { config: text(ggufConfig(header, factors, file)), tokenizer: JSON.stringify(tokenizer), settings: text(settings) }
}

const text = (value: object): string => `${JSON.stringify(value, null, 2)}\n`
