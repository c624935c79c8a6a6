/** The weight files of a model folder: model.safetensors, or the shards that model.safetensors.index.json names. */
import { realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, relative, sep } from 'node:path'
import { z } from 'zod'
import { validate } from '../../errors/validate.js'
import { parseJson, readText } from '../../storage/boundedJson.js'
import { inputError, quoted } from '../../errors/inputError.js'
import { isAbsent, systemInputError } from '../../errors/systemError.js'
import { readSafetensors } from './safetensors.js'
import type { TensorEntry } from './safetensorsHeader.js'

const indexSchema = z.object({ weight_map: z.record(z.string(), z.string()) })

/** Bytes of an index file, and files that it may name. */
export const indexLimit = 16_000_000
const shardLimit = 1_000

/** Every tensor of the folder by its name in the files. Throws Mistake. */
export const openWeights = async (folder: string): Promise<ReadonlyMap<string, TensorEntry>> => {
  const single = await fileInFolder(folder, 'model.safetensors')
  if (single !== undefined) return (await readSafetensors(single)).tensors
  const index = await fileInFolder(folder, 'model.safetensors.index.json')
  if (index !== undefined) return openShards(folder, index)
  const pickled = await fileInFolder(folder, 'pytorch_model.bin')
  throw inputError(
    folder,
    'model.safetensors or model.safetensors.index.json',
    pickled === undefined ? 'neither' : 'only pytorch_model.bin (pickled weights are not read: convert them to safetensors)',
  )
}

/** The shard names of an index file's text, each once. `where` is the file's name in messages. Throws Mistake. */
export const parseShardIndex = (text: string, where: string): Readonly<Record<string, string>> => {
  const { weight_map: shards } = validate(indexSchema, parseJson(text, where), where, 'an index of shards')
  const unsafe = Object.values(shards).find((shard) => !/^\w[\w.-]{0,200}\.safetensors$/.test(shard) || shard.includes('..'))
  if (unsafe !== undefined)
    throw inputError(where, 'shards named like model-00001-of-00002.safetensors, in the same folder', quoted(unsafe))
  const count = new Set(Object.values(shards)).size
  if (count > shardLimit) throw inputError(where, `at most ${shardLimit} shards`, `${count}`)
  return shards
}

const openShards = async (folder: string, index: string): Promise<ReadonlyMap<string, TensorEntry>> => {
  const weightMap = Object.entries(parseShardIndex(await readText(index, indexLimit), index))
  const shards = new Map<string, ReadonlyMap<string, TensorEntry>>()
  for (const shard of new Set(weightMap.map(([, name]) => name))) {
    const file = await fileInFolder(folder, shard)
    if (file === undefined) throw inputError(index, `shard ${shard} in the same folder`, 'no such file')
    shards.set(shard, (await readSafetensors(file)).tensors)
  }
  return new Map(
    weightMap.map(([name, shard]) => {
      const entry = shards.get(shard)?.get(name)
      if (entry === undefined)
        throw inputError(join(folder, shard), `tensor ${quoted(name)} as ${basename(index)} says`, 'none of that name')
      return [name, entry]
    }),
  )
}

/** Weight files as they lie on the disk, behind all links: one folder that holds them, the path of each in it, and what tells it from another. */
export type WeightFiles = {
  readonly folder: string
  /** by the file's name in messages; separated by / */
  readonly locations: ReadonlyMap<string, string>
  readonly marks: ReadonlyMap<string, string>
}

/** Where files that fileInFolder found lie. Throws Mistake. */
export const locateFiles = async (folder: string, files: Iterable<string>): Promise<WeightFiles> => {
  const root = ownedBy(await realpath(folder))
  const [locations, marks] = [new Map<string, string>(), new Map<string, string>()]
  for (const file of files) {
    marks.set(file, await markOf(file))
    locations.set(file, relative(root, await realpath(file)).replaceAll(sep, '/'))
  }
  return { folder: root, locations, marks }
}

/** Throws Mistake where a file is another one than it was, or was written to. */
export const checkUnchanged = async ({ marks }: WeightFiles): Promise<void> => {
  for (const [file, mark] of marks)
    if ((await markOf(file)) !== mark) throw inputError(file, 'the weights that were there at the start', 'a file changed since')
}

const markOf = async (file: string): Promise<string> => {
  const { dev, ino, size, mtimeNs } = await stat(file, { bigint: true }).catch((thrown: unknown) => {
    throw systemInputError(file, 'a readable file', thrown)
  })
  return [dev, ino, size, mtimeNs].join()
}

/**
 * The path of a file in the folder, undefined if there is none. A link may lead elsewhere within the folder, or, in the hub's
 * cache (models--…/snapshots/REVISION/FILE → ../../blobs/HASH), within the same model's cache. Throws Mistake if it leads out.
 */
export const fileInFolder = async (folder: string, name: string): Promise<string | undefined> => {
  const file = join(folder, name)
  try {
    const root = ownedBy(await realpath(folder))
    const target = await realpath(file)
    if (!target.startsWith(root.endsWith(sep) ? root : root + sep)) throw inputError(file, `a file within ${root}`, `a link to ${target}`)
    if (!(await stat(target)).isFile()) throw inputError(file, 'a file', 'something else')
    return file
  } catch (thrown) {
    if (isAbsent(thrown)) return undefined
    throw systemInputError(file, 'a readable file', thrown)
  }
}

const ownedBy = (folder: string): string => {
  const snapshots = dirname(folder)
  const model = dirname(snapshots)
  return basename(snapshots) === 'snapshots' && basename(model).startsWith('models--') ? model : folder
}
