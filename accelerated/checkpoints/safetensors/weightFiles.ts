/** The weight files of a model folder: model.safetensors, or the shards that model.safetensors.index.json lists. */
import { z } from 'zod'
import { ChangedFileError, inputError, quoted } from '../../errors/inputError.js'
import { validate } from '../../errors/validate.js'
import { parseJson } from '../../storage/json.js'
import { readText } from '../../storage/text.js'
import { fileInFolder, findLinkRoot, joinPath, baseName, parentFolder } from '../../storage/paths.js'
import { nodeFiles } from '../../storage/nodeFiles.js'
import { fileSha256 } from '../../storage/digests.js'
import type { Storage } from '../../storage/storage.js'
import { readSafetensors, type TensorEntry } from './safetensors.js'

type Tensors = ReadonlyMap<string, TensorEntry>

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) })

/** Bytes of an index file, and shards that it may list. */
export const indexLimit = 16_000_000
const shardLimit = 1_000

/** Every tensor of the folder, by its name in the files. @throws InputError */
export const openWeights = async (folder: string, storage: Storage = nodeFiles): Promise<Tensors> => {
  const single = await fileInFolder(folder, 'model.safetensors', storage)
  if (single !== undefined) return (await readSafetensors(single, storage)).tensors
  const index = await fileInFolder(folder, 'model.safetensors.index.json', storage)
  if (index !== undefined) return openShards(folder, index, storage)
  const pickled = await fileInFolder(folder, 'pytorch_model.bin', storage)
  throw inputError(
    folder,
    'model.safetensors or model.safetensors.index.json',
    pickled === undefined ? 'neither' : 'only pytorch_model.bin (pickled weights are not read: convert them to safetensors)',
  )
}

/** The shard of each tensor, from an index file's text. `where` is the file's name in messages. @throws InputError */
export const parseShardIndex = (text: string, where: string): Readonly<Record<string, string>> => {
  const { weight_map: shards } = validate(indexSchema, parseJson(text, where), where, 'an index of shards')
  const unsafe = Object.values(shards).find((shard) => !/^\w[\w.-]{0,200}\.safetensors$/.test(shard) || shard.includes('..'))
  if (unsafe !== undefined)
    throw inputError(where, 'shards named like model-00001-of-00002.safetensors, in the same folder', quoted(unsafe))
  const count = new Set(Object.values(shards)).size
  if (count > shardLimit) throw inputError(where, `at most ${shardLimit} shards`, `${count}`)
  return shards
}

const openShards = async (folder: string, index: string, storage: Storage): Promise<Tensors> => {
  const weightMap = Object.entries(parseShardIndex(await readText(index, indexLimit, storage), index))
  const shards = new Map<string, Tensors>()
  for (const shard of new Set(weightMap.map(([, name]) => name))) {
    const file = await fileInFolder(folder, shard, storage)
    if (file === undefined) throw inputError(index, `shard ${shard} in the same folder`, 'no such file')
    shards.set(shard, (await readSafetensors(file, storage)).tensors)
  }
  return new Map(
    weightMap.map(([name, shard]) => {
      const entry = shards.get(shard)?.get(name)
      if (entry === undefined)
        throw inputError(joinPath(folder, shard), `tensor ${quoted(name)} as ${baseName(index)} says`, 'none of that name')
      return [name, entry]
    }),
  )
}

/** Weight files behind all links: the folder that contains them, the path of each in it, and the version that was opened. */
export type WeightFiles = {
  readonly storage: Storage
  readonly folder: string
  /** by the file's name in messages */
  readonly locations: ReadonlyMap<string, string>
  readonly versions: ReadonlyMap<string, string>
  /** SHA-256 of files that another process may replace by the same bytes */
  readonly digests?: ReadonlyMap<string, string>
}

/** The locations of files that fileInFolder returned, of this folder and of others beside or around it. @throws InputError */
export const locateFiles = async (folder: string, files: Iterable<string>, storage: Storage = nodeFiles): Promise<WeightFiles> => {
  const [places, versions] = [new Map<string, string>(), new Map<string, string>()]
  for (const file of files) {
    versions.set(file, await readVersion(file, storage))
    places.set(file, await storage.realPath(file))
  }
  let root = findLinkRoot(await storage.realPath(folder))
  while (root !== '' && [...places.values()].some((place) => !place.startsWith(`${root}/`))) root = parentFolder(root)
  const locations = new Map([...places].map(([file, place]) => [file, place.slice(root.length).replace(/^\//, '')]))
  const isAbsolute = [...places.values()].some((place) => place.startsWith('/'))
  return { storage, folder: root === '' && isAbsolute ? '/' : root, locations, versions }
}

/**
 * One look at each file's size and time stamps. A file that was written is refused even if its bytes are the first again: it is memory-mapped, and
 * what was computed meanwhile read others. One that another process replaced by the same bytes is no change where their digest is known.
 * @throws ChangedFileError if a file was written, replaced or removed since it was opened
 */
export const checkUnchanged = async ({ versions, digests, storage }: WeightFiles): Promise<void> => {
  for (const [file, version] of versions) {
    const now = (await storage.stat(file))?.version
    if (now === version) continue
    const digest = digests?.get(file)
    if (now !== undefined && digest !== undefined && digest === (await fileSha256(file, storage))) continue
    throw new ChangedFileError(file, 'the weights that were there at the start', now === undefined ? 'no file' : 'a file changed since')
  }
}

const readVersion = async (file: string, storage: Storage): Promise<string> => {
  const info = await storage.stat(file)
  if (info === null) throw inputError(file, 'a readable file', 'none')
  return info.version
}
